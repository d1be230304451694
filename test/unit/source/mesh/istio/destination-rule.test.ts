import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { formatPath } from "../../../../../src/source/yaml-document.ts";
import { loadFiles } from "../mesh-folder.ts";

const rule = (trafficPolicy: string): string =>
  `apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: a}\nspec: {host: a, trafficPolicy: {${trafficPolicy}}}\n`;
const hash = (text: string): string => `loadBalancer: {consistentHash: {${text}}}`;
const locality = (text: string): string => `outlierDetection: {}, loadBalancer: {localityLbSetting: {${text}}}`;

suite("traffic policy", () => {
  const refused: readonly (readonly [string, string, RegExp])[] = [
    ["a balancer it does not know", "loadBalancer: {simple: FASTEST}", /simple: is "FASTEST", expected one of/],
    ["two balancers", "loadBalancer: {simple: RANDOM, consistentHash: {useSourceIp: true}}", /consistentHash: is given beside simple/],
    ["two hash keys", hash("useSourceIp: true, httpHeaderName: x"), /one of several keys/],
    ["two hash algorithms", hash("useSourceIp: true, minimumRingSize: 5, maglev: {tableSize: 7}"), /beside another algorithm/],
    ["a Maglev table that is no prime", hash("useSourceIp: true, maglev: {tableSize: 1000}"), /tableSize: is missing or no prime/],
    ["a cookie without a name", hash("httpCookie: {ttl: 0s}"), /httpCookie\.name: is missing/],
    ["an empty pool", "connectionPool: {}", /connectionPool: is empty/],
    ["a negative limit", "connectionPool: {tcp: {maxConnections: -1}}", /maxConnections: is number -1/],
    ["a timeout without unit", 'connectionPool: {tcp: {connectTimeout: "5"}}', /connectTimeout: is "5", expected a duration/],
    [
      "local failures that are not split off",
      "outlierDetection: {consecutiveLocalOriginFailures: 3}",
      /needs splitExternalLocalOriginErrors/,
    ],
    ["a percentage above 100", "outlierDetection: {maxEjectionPercent: 101}", /maxEjectionPercent: is number 101/],
    ["locality weights that do not sum to 100", locality("distribute: [{from: r1, to: {r1: 50, r2: 49}}]"), /sum to 99, expected 100/],
    ["failover into the same region", locality("failover: [{from: r1, to: r1}]"), /is the region of from/],
    ["failover between zones", locality("failover: [{from: r1/z1, to: r2}]"), /expected a region alone/],
    [
      "distribution beside failover",
      locality("distribute: [{from: r1, to: {r1: 100}}], failover: [{from: r1, to: r2}]"),
      /failover: is given beside distribute/,
    ],
  ];
  for (const [title, policy, message] of refused) {
    test(`refuses ${title}`, async (t) => {
      const { issues, mesh } = await loadFiles(t, { "istio/a.yaml": rule(policy) });
      const errors = issues.filter((issue) => issue.severity === "error");
      assert.match(errors.map((issue) => `${formatPath(issue.path)}: ${issue.message}`).join("\n"), message);
      assert.deepEqual(mesh.destinationRules, []);
    });
  }

  test("says what of it has no effect", async (t) => {
    const { issues } = await loadFiles(t, { "istio/a.yaml": rule("loadBalancer: {simple: RANDOM, warmup: {duration: 10s}}") });
    assert.deepEqual(
      issues.map((issue) => `${issue.severity} ${formatPath(issue.path)}`),
      ["warning spec.trafficPolicy.loadBalancer.warmup"],
    );
  });
});
