import assert from "node:assert/strict";
import { test } from "node:test";
import type { RbacPermission, RbacPrincipal, RbacRules } from "../../../../../src/envoy/http-filter/rbac.ts";
import { rbac } from "../../../../../src/filter/http/rbac/rbac.ts";
import type { Asked } from "../stand-ins.ts";
import { filterUnderTest, streamFor } from "../stand-ins.ts";

const any = { kind: "any" } as const;
const exact = (value: string) => ({ kind: "exact", value, ignoreCase: false }) as const;
const prefix = (value: string) => ({ kind: "prefix", value, ignoreCase: false }) as const;
const header = (name: string, value: string) =>
  ({
    kind: "header",
    header: { name, match: { kind: "string", matcher: exact(value) }, invertMatch: false, treatMissingHeaderAsEmpty: false },
  }) as const;

function rules(action: RbacRules["action"], permission: RbacPermission = any, principal: RbacPrincipal = any, name = "p"): RbacRules {
  return { action, policies: [{ name, permissions: [permission], principals: [principal] }] };
}

function outcome(model: RbacRules, asked: Asked): string {
  const { filter } = filterUnderTest(rbac, { rules: model, rulesStatPrefix: "" });
  const recorded = streamFor(asked);
  const status = filter.onRequestHeaders!(recorded.stream, true, 0);
  assert.equal(status === "stop", recorded.reply !== undefined);
  return recorded.reply === undefined ? "passes" : `${recorded.reply.status} ${recorded.reply.details}`;
}

const denied = "403 rbac_access_denied_matched_policy[p]";
const notAllowed = "403 rbac_access_denied_matched_policy[none]";
const spiffe = "spiffe://cluster.local/ns/default/sa/client";

test("shadow rules refuse nobody and tell what they would have done", () => {
  const { filter, stats } = filterUnderTest(rbac, {
    rulesStatPrefix: "",
    rules: rules("DENY", { kind: "urlPath", matcher: exact("/denied") }, any, "enforced"),
    shadowRules: rules("DENY", { kind: "urlPath", matcher: prefix("/") }, any, "shadow"),
    shadowRulesStatPrefix: "istio_dry_run_deny_",
  });
  const passed = streamFor({ path: "/" });
  assert.equal(filter.onRequestHeaders!(passed.stream, true, 0), "continue");
  assert.deepEqual(passed.stream.info.dynamicMetadata?.get("envoy.filters.http.rbac"), {
    istio_dry_run_deny_shadow_engine_result: "denied",
    istio_dry_run_deny_shadow_effective_policy_id: "shadow",
  });
  const refused = streamFor({ path: "/denied" });
  assert.equal(filter.onRequestHeaders!(refused.stream, true, 0), "stop");
  assert.equal(refused.reply?.details, "rbac_access_denied_matched_policy[enforced]");
  assert.deepEqual(Object.fromEntries(stats), {
    "http.test.rbac.istio_dry_run_deny_.shadow_denied": 2,
    "http.test.rbac.allowed": 1,
    "http.test.rbac.denied": 1,
  });
});

test("LOG marks the requests that access logs are to have", () => {
  for (const [path, hint] of [
    ["/logged", true],
    ["/other", false],
  ] as const) {
    const { filter } = filterUnderTest(rbac, {
      rules: rules("LOG", { kind: "urlPath", matcher: exact("/logged") }),
      rulesStatPrefix: "",
      shadowRulesStatPrefix: "",
    });
    const recorded = streamFor({ path });
    assert.equal(filter.onRequestHeaders!(recorded.stream, true, 0), "continue");
    assert.deepEqual(recorded.stream.info.dynamicMetadata?.get("envoy.common"), { access_log_hint: hint });
  }
});

const cases: readonly (readonly [title: string, rules: RbacRules, asked: Asked, expected: string])[] = [
  ["DENY on the path", rules("DENY", { kind: "urlPath", matcher: prefix("/rbac") }), { path: "/rbac" }, denied],
  ["DENY on the path looks past the query", rules("DENY", { kind: "urlPath", matcher: exact("/rbac") }), { path: "/rbac?x" }, denied],
  ["DENY on another path", rules("DENY", { kind: "urlPath", matcher: prefix("/rbac") }), { path: "/" }, "passes"],
  ["ALLOW that matches", rules("ALLOW"), {}, "passes"],
  ["ALLOW that does not match", rules("ALLOW", { kind: "destinationPort", port: 81 }), {}, notAllowed],
  ["ALLOW without policies", { action: "ALLOW", policies: [] }, {}, notAllowed],
  ["DENY without policies", { action: "DENY", policies: [] }, {}, "passes"],
  ["LOG never refuses", rules("LOG"), {}, "passes"],
  ["spaces of the name in details", rules("DENY", any, any, "a b"), {}, "403 rbac_access_denied_matched_policy[a_b]"],
  ["method", rules("DENY", header(":method", "POST")), { method: "POST" }, denied],
  [
    "a header hidden behind another of its name",
    rules("DENY", header("x-role", "admin")),
    {
      fields: [
        ["x-role", "user"],
        ["x-role", "admin"],
      ],
    },
    denied,
  ],
  ["port range, end exclusive", rules("DENY", { kind: "destinationPortRange", start: 70, end: 80 }), {}, "passes"],
  ["port range", rules("DENY", { kind: "destinationPortRange", start: 80, end: 81 }), {}, denied],
  ["destination address", rules("DENY", { kind: "destinationIp", range: { addressPrefix: "10.0.0.0", prefixLen: 24 } }), {}, denied],
  ["server name", rules("DENY", { kind: "requestedServerName", matcher: exact("a.test") }), { sni: "a.test" }, denied],
  ["template", rules("DENY", { kind: "uriTemplate", template: "/a/{id}" }), { path: "/a/1?x" }, denied],
  ["not", rules("DENY", { kind: "not", rule: { kind: "urlPath", matcher: prefix("/open") } }), { path: "/closed" }, denied],
  [
    "and",
    rules("DENY", { kind: "and", rules: [{ kind: "urlPath", matcher: prefix("/a") }, header(":method", "PUT")] }),
    { path: "/a" },
    "passes",
  ],
  [
    "or",
    rules("DENY", { kind: "or", rules: [{ kind: "urlPath", matcher: prefix("/a") }, header(":method", "PUT")] }),
    { path: "/a" },
    denied,
  ],
  [
    "permission without principal",
    rules("DENY", any, { kind: "ip", which: "direct", range: { addressPrefix: "192.168.0.0", prefixLen: 16 } }),
    {},
    "passes",
  ],
  ["source address", rules("DENY", any, { kind: "ip", which: "direct", range: { addressPrefix: "10.0.0.0", prefixLen: 8 } }), {}, denied],
  [
    "identity by URI SAN",
    rules("ALLOW", any, { kind: "authenticated", principalName: exact(spiffe) }),
    { tls: { uriSans: [spiffe] } },
    "passes",
  ],
  [
    "identity by DNS SAN",
    rules("ALLOW", any, { kind: "authenticated", principalName: exact("a.test") }),
    { tls: { uriSans: [spiffe], dnsSans: ["a.test"] } },
    "passes",
  ],
  [
    "identity by subject",
    rules("ALLOW", any, { kind: "authenticated", principalName: exact("CN=a") }),
    { tls: { subject: "CN=a" } },
    "passes",
  ],
  [
    "identity that was not verified",
    rules("ALLOW", any, { kind: "authenticated", principalName: exact(spiffe) }),
    { tls: { uriSans: [spiffe], validated: false } },
    notAllowed,
  ],
  ["identity on plaintext", rules("ALLOW", any, { kind: "authenticated" }), {}, notAllowed],
  ["any identity", rules("ALLOW", any, { kind: "authenticated" }), { tls: {} }, "passes"],
];

for (const [title, model, asked, expected] of cases) {
  test(`${title}: ${expected}`, () => assert.equal(outcome(model, asked), expected));
}

test("the reply and the stats are Envoy's", () => {
  const { filter, stats } = filterUnderTest(rbac, {
    rules: rules("DENY", { kind: "urlPath", matcher: exact("/no") }),
    rulesStatPrefix: "",
  });
  const refused = streamFor({ path: "/no" });
  filter.onRequestHeaders!(refused.stream, true, 0);
  filter.onRequestHeaders!(streamFor({ path: "/yes" }).stream, true, 0);
  assert.deepEqual(refused.reply, { status: 403, body: "RBAC: access denied", details: denied.slice(4), flags: 0 });
  assert.deepEqual([stats.get("http.test.rbac.denied"), stats.get("http.test.rbac.allowed")], [1, 1]);
});

test("a route replaces the rules, or switches them off", () => {
  const { filter } = filterUnderTest(rbac, { rules: rules("DENY"), rulesStatPrefix: "" });
  assert.equal(filter.onRequestHeaders!(streamFor().stream, true, 0), "stop");
  assert.equal(filter.onRequestHeaders!(streamFor({ config: {} }).stream, true, 0), "continue");
  assert.equal(
    filter.onRequestHeaders!(streamFor({ config: { rbac: { rules: rules("ALLOW"), rulesStatPrefix: "" } } }).stream, true, 0),
    "continue",
  );
});

test("without rules everything passes", () => {
  const { filter } = filterUnderTest(rbac, { rulesStatPrefix: "" });
  assert.equal(filter.onRequestHeaders!(streamFor().stream, true, 0), "continue");
});

test("rules that cannot be compiled let nobody pass", () => {
  assert.equal(outcome(rules("DENY", { kind: "urlPath", matcher: { kind: "safeRegex", regex: "(" } }), {}), notAllowed);
});
