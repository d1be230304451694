import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { formatPath } from "../../../../../src/source/yaml-document.ts";
import { loadFiles } from "../mesh-folder.ts";

const rule = (trafficPolicy: string, subsets = ""): string =>
  `apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: a}\nspec:\n  host: a\n  trafficPolicy: ${trafficPolicy}\n  subsets: [${subsets}]\n`;
const failover = "loadBalancer: {localityLbSetting: {failover: [{from: r1, to: r2}]}}";
const priority = "loadBalancer: {localityLbSetting: {failoverPriority: [version]}}";
const detection = "outlierDetection: {consecutive5xxErrors: 5}";
const ofRule = "spec.trafficPolicy.loadBalancer.localityLbSetting";

suite("locality failover", () => {
  const cases: readonly (readonly [string, Readonly<Record<string, string>>, readonly string[]])[] = [
    ["without outlier detection is warned about", { "istio/a.yaml": rule(`{${failover}}`) }, [ofRule]],
    ["by labels as well", { "istio/a.yaml": rule(`{${priority}}`) }, [ofRule]],
    ["with outlier detection is fine", { "istio/a.yaml": rule(`{${failover}, ${detection}}`) }, []],
    [
      "that is switched off is fine",
      { "istio/a.yaml": rule("{loadBalancer: {localityLbSetting: {enabled: false, failover: [{from: r1, to: r2}]}}}") },
      [],
    ],
    [
      "of a port does not inherit detection",
      { "istio/a.yaml": rule(`{${detection}, portLevelSettings: [{port: {number: 80}, ${failover}}]}`) },
      ['spec.trafficPolicy.portLevelSettings["port 80"].loadBalancer.localityLbSetting'],
    ],
    [
      "of a subset inherits detection",
      { "istio/a.yaml": rule(`{${detection}}`, `{name: v1, labels: {version: v1}, trafficPolicy: {${failover}}}`) },
      [],
    ],
    [
      "of a subset without any is warned about",
      { "istio/a.yaml": rule("{}", `{name: v1, labels: {version: v1}, trafficPolicy: {${failover}}}`) },
      ["spec.subsets[0].trafficPolicy.loadBalancer.localityLbSetting"],
    ],
    [
      "of the mesh needs detection in some rule",
      { "meshconfig.yaml": `localityLbSetting: {failoverPriority: [version]}\n` },
      ["localityLbSetting"],
    ],
    [
      "of the mesh with a rule that detects is fine",
      { "meshconfig.yaml": `localityLbSetting: {failoverPriority: [version]}\n`, "istio/a.yaml": rule(`{${detection}}`) },
      [],
    ],
  ];
  for (const [title, files, expected] of cases) {
    test(title, async (t) => {
      const { issues } = await loadFiles(t, files);
      assert.deepEqual(
        issues.map((issue) => [issue.severity, formatPath(issue.path)]),
        expected.map((path) => ["warning", path]),
      );
      for (const issue of issues) assert.match(issue.message, /without outlierDetection/);
    });
  }
});
