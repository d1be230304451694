// What is said of AuthorizationPolicies, RequestAuthentications and their providers: errors refuse the object, warnings do not.
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { formatIssue } from "../../../../../src/source/yaml-document.ts";
import { loadMeshDirectory } from "../../../../../src/source/mesh/directory/load.ts";
import { writeMesh } from "../../../../support/mesh-proxy.ts";

const policy = (spec: string, annotations = ""): string =>
  `apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: p, namespace: a${annotations}}\nspec: ${spec}\n`;
const jwt = (rule: string): string =>
  `apiVersion: security.istio.io/v1\nkind: RequestAuthentication\nmetadata: {name: p, namespace: a}\nspec: {jwtRules: [${rule}]}\n`;
const to = (operation: string): string => policy(`{rules: [{to: [{operation: ${operation}}]}]}`);
const from = (source: string, action = "ALLOW"): string => policy(`{action: ${action}, rules: [{from: [{source: ${source}}]}]}`);
const when = (condition: string): string => policy(`{rules: [{when: [${condition}]}]}`);
const dryRun = (value: string): string => `, annotations: {istio.io/dry-run: ${value}}`;

const errors: readonly (readonly [title: string, yaml: string, expected: RegExp])[] = [
  ["an action nobody knows", policy("{action: REFUSE}"), /spec\.action: is "REFUSE", expected one of ALLOW, DENY, AUDIT, CUSTOM/],
  ["a field nobody knows", from("{principal: [a]}"), /is an unknown field/],
  ["DENY without rules", policy("{action: DENY}"), /spec\.rules: is missing, which makes DENY meaningless/],
  ["CUSTOM without a provider", policy("{action: CUSTOM, rules: [{}]}"), /spec\.provider: is missing/],
  ["a provider of ALLOW", policy("{provider: {name: x}, rules: [{}]}"), /spec\.provider: is given with action ALLOW/],
  [
    "CUSTOM over identities",
    policy("{action: CUSTOM, provider: {name: x}, rules: [{from: [{source: {principals: [a]}}]}]}"),
    /principals: is not supported with action CUSTOM/,
  ],
  [
    "CUSTOM over claims",
    policy("{action: CUSTOM, provider: {name: x}, rules: [{when: [{key: 'request.auth.claims[a]', values: [b]}]}]}"),
    /key: is request\.auth\.claims\[a\], which is not supported/,
  ],
  ["an empty source", from("{}"), /is empty, expected at least one condition/],
  ["an empty list of sources", policy("{rules: [{from: []}]}"), /from: is empty/],
  ["an empty value", from("{principals: ['']}"), /principals: has an empty value/],
  ["an address that is none", from("{ipBlocks: [10.0.0.300]}"), /ipBlocks: has "10\.0\.0\.300", expected an IP address/],
  ["a range that is too long", from("{notRemoteIpBlocks: [10.0.0.0/33]}"), /notRemoteIpBlocks: has "10\.0\.0\.0\/33"/],
  ["a port that is none", to("{ports: ['70000']}"), /ports: has "70000", expected a port/],
  ["a port as a number", to("{ports: [80]}"), /expected a string/],
  ["a template of its own", to("{paths: ['/a/{id}']}"), /paths: has "\/a\/{id}", expected { and } only as/],
  ["a template after {**}", to("{paths: ['/{**}/{*}']}"), /expected \{\*\*\} as its last operator/],
  ["a template beside text", to("{paths: ['/a/{*}b']}"), /expected \{ and \} only as/],
  ["service accounts with a pattern", from("{serviceAccounts: ['a*']}"), /serviceAccounts: has "a\*"/],
  ["service accounts beside namespaces", from("{serviceAccounts: [a], namespaces: [b]}"), /serviceAccounts: is given beside/],
  ["a condition nobody knows", when("{key: source.labels, values: [a]}"), /key: is "source\.labels", expected one of/],
  ["a condition without values", when("{key: source.ip}"), /values: is missing/],
  ["a header without a name", when("{key: 'request.headers[]', values: [a]}"), /key: is "request\.headers\[\]"/],
  ["a dry run of AUDIT", policy("{action: AUDIT, rules: [{}]}", dryRun("'true'")), /action: is AUDIT with annotation istio\.io\/dry-run/],
  ["a dry run of maybe", policy("{rules: [{}]}", dryRun("maybe")), /has annotation istio\.io\/dry-run: "maybe"/],
  [
    "a selector beside targetRefs",
    policy("{selector: {matchLabels: {a: b}}, targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: g}]}"),
    /targetRefs: is given beside selector/,
  ],
  ["a pattern in a selector", policy("{selector: {matchLabels: {a: 'b*'}}}"), /expected a label without \*/],
  ["a target nobody knows", policy("{targetRefs: [{group: apps, kind: Deployment, name: d}]}"), /kind: is Deployment of group "apps"/],
  ["a token rule of nobody", jwt("{}"), /issuer: is missing/],
  [
    "keys of another scheme",
    jwt("{issuer: a, jwksUri: 'file:///etc/passwd'}"),
    /jwksUri: is "file:\/\/\/etc\/passwd", expected an http or https URL/,
  ],
  ["keys that are none", jwt("{issuer: a, jwks: '[]'}"), /jwks: is no key set/],
  [
    "a header that cannot be one",
    jwt("{issuer: a, jwks: '{\"keys\":[]}', outputClaimToHeaders: [{header: 'a b', claim: c}]}"),
    /header: is "a b"/,
  ],
];

const provider = "extensionProviders: [{name: x, envoyExtAuthzHttp: {service: gone.a.svc.cluster.local, port: 80}}]\n";
const warnings: readonly (readonly [title: string, yaml: string, expected: RegExp])[] = [
  [
    "a provider that is not defined",
    policy("{action: CUSTOM, provider: {name: y}, rules: [{}]}"),
    /provider: names "y", which is no external authorizer/,
  ],
  [
    "a provider whose service is not there",
    policy("{action: CUSTOM, provider: {name: x}, rules: [{}]}"),
    /whose service gone\.a\.svc\.cluster\.local is not in the mesh/,
  ],
  ["a policy for a waypoint", policy("{targetRefs: [{kind: Service, name: s}]}"), /has no effect on Service s/],
  [
    "a DENY rule over methods",
    policy("{action: DENY, rules: [{to: [{operation: {methods: [GET]}}]}]}"),
    /rules\[0\]: asks about requests alone/,
  ],
];

suite("authorization policies as they are written", () => {
  for (const [kind, table] of [
    ["error", errors],
    ["warning", warnings],
  ] as const) {
    for (const [title, yaml, expected] of table) {
      test(`${title}: ${kind}`, async (t) => {
        const folder = await writeMesh(t, { "meshconfig.yaml": provider, "istio/p.yaml": yaml });
        const { mesh, issues } = await loadMeshDirectory(folder);
        assert.ok(
          issues.some((issue) => issue.severity === kind && expected.test(formatIssue(issue))),
          issues.map(formatIssue).join("\n"),
        );
        assert.equal(mesh.authorizationPolicies.length + mesh.requestAuthentications.length, kind === "error" ? 0 : 1);
      });
    }
  }

  test("providers are checked where they are defined", async (t) => {
    for (const [settings, expected] of [
      ["envoyExtAuthzHttp: {service: a, port: 0}", /port: is number 0/],
      ["envoyExtAuthzHttp: {service: a, port: 80, pathPrefix: check}", /pathPrefix: is "check"/],
      ["envoyExtAuthzHttp: {service: a, port: 80, statusOnError: '999'}", /statusOnError: is "999"/],
      ["envoyExtAuthzHttp: {service: a, port: 80, headersToUpstreamOnAllow: ['*']}", /has a bare \*/],
      ["envoyExtAuthzGrpc: {service: a, port: 80, includeRequestBodyInCheck: {}}", /maxRequestBytes: is missing/],
    ] as const) {
      const folder = await writeMesh(t, { "meshconfig.yaml": `extensionProviders: [{name: x, ${settings}}]\n` });
      const { issues } = await loadMeshDirectory(folder);
      assert.ok(
        issues.some((issue) => expected.test(formatIssue(issue))),
        `${settings}: ${issues.map(formatIssue).join("\n")}`,
      );
    }
  });
});
