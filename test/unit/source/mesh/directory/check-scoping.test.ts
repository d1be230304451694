// Warnings about Sidecars and selectors that do less than they seem to.
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { formatPath } from "../../../../../src/source/yaml-document.ts";
import { loadFiles, workload } from "../mesh-folder.ts";

const object = (kind: string, name: string, namespace: string, spec: string): string =>
  `---\napiVersion: networking.istio.io/v1\nkind: ${kind}\nmetadata: {name: ${name}, namespace: ${namespace}}\nspec: ${spec}\n`;
const egress = (...hosts: readonly string[]): string => object("Sidecar", "s", "default", `{egress: [{hosts: [${hosts.join(", ")}]}]}`);

suite("scoping", () => {
  const rule = object(
    "VirtualService",
    "v",
    "shop",
    "{hosts: ['*.v.com'], http: [{route: [{destination: {host: a.default.svc.cluster.local}}]}]}",
  );
  const cases: readonly (readonly [string, string, readonly string[]])[] = [
    [
      "hosts of services and rules are fine",
      egress("./a.default.svc.cluster.local", '"*/*.svc.cluster.local"', "shop/x.v.com", '"*/*"', "~/*") + rule,
      [],
    ],
    [
      "a host that nothing has is named",
      egress("./*", "./b.default.svc.cluster.local"),
      ["spec.egress[0].hosts[1]: names default/b.default.svc.cluster.local"],
    ],
    ["a host of another namespace is named", egress("shop/a.default.svc.cluster.local"), ["spec.egress[0].hosts[0]: names shop/a.default"]],
    ["a wildcard that covers nothing is named", egress("shop/*.svc.cluster.local"), ["spec.egress[0].hosts[0]: names shop/*.svc"]],
    [
      "the younger of two for a namespace is named",
      object("Sidecar", "a", "shop", "{}") + object("Sidecar", "b", "shop", "{}"),
      ["spec: has no effect: it is a second one"],
    ],
    [
      "the younger of two for the same workloads is named",
      object("Sidecar", "a", "shop", "{workloadSelector: {labels: {x: y, z: a}}}") +
        object("Sidecar", "b", "shop", "{workloadSelector: {labels: {z: a, x: y}}}"),
      ["spec: has no effect: it selects the same workloads"],
    ],
    [
      "one for all beside one for some is fine",
      object("Sidecar", "a", "shop", "{}") + object("Sidecar", "b", "shop", "{workloadSelector: {labels: {x: y}}}"),
      [],
    ],
    ["what . means in the Sidecar of the mesh is open", object("Sidecar", "s", "istio-system", "{egress: [{hosts: [./x.com]}]}"), []],
  ];
  for (const [title, istio, expected] of cases) {
    test(title, async (t) => {
      const { issues } = await loadFiles(t, {
        "k8s/c1.yaml": workload({ name: "a", vip: "10.0.1.1", podIp: "10.0.0.1" }),
        "istio/a.yaml": istio,
      });
      const found = issues.map(({ path, message }) => `${formatPath(path)}: ${message}`);
      assert.equal(found.length, expected.length, found.join("\n"));
      for (const [index, text] of expected.entries()) assert.ok(found[index]?.startsWith(text), found[index]);
      assert.ok(issues.every((issue) => issue.severity === "warning" && issue.line > 0 && issue.file.endsWith("a.yaml")));
    });
  }

  test("discoverySelectors take objects away by the labels of their namespace, and say so for Istio's", async (t) => {
    const { mesh, issues } = await loadFiles(t, {
      "meshconfig.yaml": "discoverySelectors: [{matchLabels: {mesh: 'yes'}}]\n",
      "k8s/c1.yaml":
        "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {mesh: 'yes'}}\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: default}\n" +
        workload({ name: "a", vip: "10.0.1.1", podIp: "10.0.0.1" }) +
        workload({ name: "b", namespace: "shop", vip: "10.0.1.2", podIp: "10.0.0.2" }),
      // Each cluster has its own namespaces; here nobody describes this one.
      "k8s/c2.yaml": workload({ name: "b", namespace: "shop", vip: "10.0.2.2", podIp: "10.0.0.3" }),
      "istio/a.yaml": egress("*/*").replaceAll("*/*", '"*/*"') + object("Sidecar", "s", "shop", "{}"),
    });
    assert.deepEqual(
      mesh.clusters.map(({ services, pods, endpointSlices }) =>
        [services, pods, endpointSlices].map((list) => list.map(({ meta }) => meta.name).join()),
      ),
      [
        ["b", "b", "b"],
        ["", "", ""],
      ],
    );
    assert.deepEqual(
      mesh.sidecars.map(({ meta }) => meta.namespace),
      ["shop"],
    );
    assert.deepEqual(
      issues.map(({ path, message }) => `${formatPath(path)}: ${message}`),
      ["metadata.namespace: is default, which discoverySelectors leave out: the Sidecar has no effect"],
    );
  });
});
