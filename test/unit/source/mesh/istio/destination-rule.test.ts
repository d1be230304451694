import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { formatPath } from "../../../../../src/source/yaml-document.ts";
import { loadFiles } from "../mesh-folder.ts";

const rule = (trafficPolicy: string): string =>
  `apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: a}\nspec: {host: a, trafficPolicy: {${trafficPolicy}}}\n`;
const hash = (text: string): string => `loadBalancer: {consistentHash: {${text}}}`;
const locality = (text: string): string => `outlierDetection: {}, loadBalancer: {localityLbSetting: {${text}}}`;

const tls = (text: string): string => `tls: {${text}}`;

suite("traffic policy", () => {
  const refused: (readonly [string, string, RegExp])[] = [
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
  refused.push(
    [
      "files beside a Secret",
      tls("mode: SIMPLE, credentialName: a, caCertificates: /ca"),
      /caCertificates: is given beside credentialName/,
    ],
    ["a revocation list beside a Secret", tls("mode: MUTUAL, credentialName: a, caCrl: /crl"), /caCrl: is given beside credentialName/],
    ["MUTUAL without a key", tls("mode: MUTUAL, clientCertificate: /c"), /privateKey: is missing, expected it in mode MUTUAL/],
    ["MUTUAL without a certificate", tls("mode: MUTUAL, privateKey: /k"), /clientCertificate: is missing/],
    ["names that are not looked at", tls("mode: SIMPLE, insecureSkipVerify: true, subjectAltNames: [a]"), /beside insecureSkipVerify/],
    ["authorities that are not asked", tls("mode: SIMPLE, insecureSkipVerify: true, caCertificates: /ca"), /beside insecureSkipVerify/],
    ["a mode it does not know", tls("mode: STRICT"), /mode: is "STRICT", expected one of DISABLE, SIMPLE, MUTUAL, ISTIO_MUTUAL/],
  );
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

suite("DestinationRule", () => {
  const written = (spec: string): string =>
    `apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: a, namespace: shop}\nspec: {host: a, ${spec}}\n`;
  for (const [title, spec, severity, message] of [
    [
      "a selected rule that is exported",
      "workloadSelector: {matchLabels: {a: b}}, exportTo: ['*']",
      "error",
      /goes beyond the rule's own namespace/,
    ],
    ["a wildcard in a selector", "workloadSelector: {matchLabels: {a: '*'}}", "error", /has the wildcard a=\*/],
    ["a selected rule for its own namespace", "workloadSelector: {matchLabels: {a: b}}, exportTo: [., shop]", undefined, /./],
    [
      "a Secret without a selector",
      "trafficPolicy: {tls: {mode: SIMPLE, credentialName: a}}",
      "warning",
      /sidecars call in plaintext, as in Istio/,
    ],
    [
      "a Secret with a selector",
      "workloadSelector: {matchLabels: {a: b}}, trafficPolicy: {tls: {mode: SIMPLE, credentialName: a}}",
      undefined,
      /./,
    ],
    [
      "an unchecked server",
      "trafficPolicy: {tls: {mode: SIMPLE, insecureSkipVerify: true}}",
      "warning",
      /takes any server for the right one/,
    ],
    [
      "what mesh mTLS does not read",
      "trafficPolicy: {tls: {mode: ISTIO_MUTUAL, caCertificates: /ca}}",
      "warning",
      /has no effect in mode ISTIO_MUTUAL/,
    ],
  ] as const) {
    test(`${title}: ${severity ?? "nothing said"}`, async (t) => {
      const { issues } = await loadFiles(t, { "istio/a.yaml": written(spec) });
      const found = issues.filter(
        (issue) => formatPath(issue.path).startsWith("spec") && /selector|namespace|tls/i.test(formatPath(issue.path) + issue.message),
      );
      assert.deepEqual(
        found.map((issue) => [issue.severity, message.test(issue.message)]),
        severity === undefined ? [] : [[severity, true]],
        JSON.stringify(found),
      );
    });
  }
});
