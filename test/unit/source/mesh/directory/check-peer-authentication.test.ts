// Policies that Istio accepts and does not act on are pointed out where they stand.
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { formatPath } from "../../../../../src/source/yaml-document.ts";
import { loadFiles, workload } from "../mesh-folder.ts";

const policy = (name: string, namespace: string, spec: string, day = 1): string =>
  `apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: ${name}, namespace: ${namespace}, creationTimestamp: "2024-01-0${day}T00:00:00Z"}\nspec: ${spec}\n`;
const strict = "{mtls: {mode: STRICT}}";
const ofApp = (rest = "mtls: {mode: STRICT}", app = "a"): string => `{selector: {matchLabels: {app: ${app}}}, ${rest}}`;
const pods = { "k8s/c1.yaml": workload({ name: "a", vip: "10.1.1.1", podIp: "10.1.0.1" }) };

/** Policies, and the warnings: line of the policy, path, and what is said. */
const cases: readonly (readonly [string, readonly string[], readonly (readonly [number, string, RegExp])[]])[] = [
  [
    "one for each of mesh, namespace and workload",
    [policy("m", "istio-system", strict), policy("n", "default", strict), policy("w", "default", ofApp())],
    [],
  ],
  [
    "two for the mesh",
    [policy("second", "istio-system", strict, 2), policy("first", "istio-system", strict, 1)],
    [[1, "", /^has no effect: the older PeerAuthentication istio-system\/first holds for the mesh/]],
  ],
  [
    "two for a namespace",
    [policy("first", "default", strict), policy("second", "default", strict)],
    [[6, "", /the older PeerAuthentication default\/first holds for the namespace default/]],
  ],
  ["two of one name in two namespaces", [policy("same", "default", strict), policy("same", "other", strict)], []],
  [
    "two for one workload",
    [policy("first", "default", ofApp()), policy("second", "default", ofApp("portLevelMtls: {8080: {mode: DISABLE}}"))],
    [[6, "", /the older PeerAuthentication default\/first has the same selector/]],
  ],
  [
    "two selectors that meet in a Pod",
    [policy("first", "default", ofApp()), policy("second", "default", "{selector: {matchLabels: {security.istio.io/tlsMode: istio}}}", 2)],
    [[6, "", /no effect on Pod default\/a, which the older PeerAuthentication default\/first selects as well/]],
  ],
  ["two selectors that do not meet", [policy("first", "default", ofApp()), policy("second", "default", ofApp(undefined, "b"))], []],
  [
    "ports without a selector",
    [policy("ports", "default", "{mtls: {mode: STRICT}, portLevelMtls: {8080: {mode: DISABLE}}}")],
    [[4, "spec.portLevelMtls", /^has no effect without a selector/]],
  ],
  [
    "a selector in the root namespace",
    [policy("root", "istio-system", ofApp())],
    [[4, "spec.selector", /^has no effect in the root namespace/]],
  ],
  [
    "the Service's port in place of the workload's",
    [policy("port", "default", ofApp("portLevelMtls: {8000: {mode: DISABLE}}"))],
    [[4, "spec.portLevelMtls.8000", /^is a port of Service a, expected the workload's own, to which that one leads: 8080/]],
  ],
  [
    "a port that no Service leads to",
    [policy("port", "default", ofApp("portLevelMtls: {8080: {mode: STRICT}, 9999: {mode: DISABLE}}"))],
    [],
  ],
];

suite("PeerAuthentications without effect", () => {
  for (const [title, policies, expected] of cases) {
    test(title, async (t) => {
      const { issues } = await loadFiles(t, { ...pods, "istio/p.yaml": policies.join("---\n") });
      assert.deepEqual(
        issues.map((issue) => [issue.severity, issue.line, formatPath(issue.path)]),
        expected.map(([line, path]) => ["warning", line, path]),
      );
      for (const [index, [, , said]] of expected.entries()) assert.match(issues[index]?.message ?? "", said);
    });
  }
});
