import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { decodeCorsPolicy } from "../../../src/envoy/http-filter/cors.ts";
import { decodeFault, isInertFault } from "../../../src/envoy/http-filter/fault.ts";
import { decodeJwtAuthn } from "../../../src/envoy/http-filter/jwt-authn.ts";
import { decodeProxyProtocol } from "../../../src/envoy/listener/listener-filters.ts";
import {
  decodeLocalRateLimit,
  decodeLocalRateLimitPerRoute,
  isInertLocalRateLimit,
} from "../../../src/envoy/http-filter/local-ratelimit.ts";
import { decodeHttpRbac, decodeNetworkRbac } from "../../../src/envoy/http-filter/rbac-decoder.ts";
import { accepted, any, issuesOf } from "./decoding.ts";

const lost = "is not supported, and leaving it out could change who may reach whom";
const policy = (permissions: readonly object[], principals: readonly object[] = [{ any: true }]): object => ({
  rules: { policies: { p: { permissions, principals } } },
});
const exact = (value: string): object => ({ exact: value });
const plain = (value: string): object => ({ kind: "exact", value, ignoreCase: false });

suite("RBAC", () => {
  for (const [title, json, expected] of [
    ["anything", { any: true }, { kind: "any" }],
    ["all of several", { and_rules: { rules: [{ any: true }] } }, { kind: "and", rules: [{ kind: "any" }] }],
    ["one of several", { or_rules: { rules: [{ any: true }] } }, { kind: "or", rules: [{ kind: "any" }] }],
    ["the contrary", { not_rule: { any: true } }, { kind: "not", rule: { kind: "any" } }],
    ["a path", { url_path: { path: exact("/a") } }, { kind: "urlPath", matcher: plain("/a") }],
    [
      "an address",
      { destination_ip: { address_prefix: "10.0.0.0", prefix_len: 8 } },
      { kind: "destinationIp", range: { addressPrefix: "10.0.0.0", prefixLen: 8 } },
    ],
    ["a port", { destination_port: 80 }, { kind: "destinationPort", port: 80 }],
    ["ports", { destination_port_range: { start: 1, end: 9 } }, { kind: "destinationPortRange", start: 1, end: 9 }],
    ["a server name", { requested_server_name: exact("a") }, { kind: "requestedServerName", matcher: plain("a") }],
    [
      "a template",
      {
        uri_template: {
          name: "t",
          typed_config: any("envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig", { path_template: "/a/*" }),
        },
      },
      { kind: "uriTemplate", template: "/a/*" },
    ],
  ] as const) {
    test(`permits ${title}`, () => assert.deepEqual(accepted(decodeHttpRbac, policy([json])).rules?.policies[0]?.permissions, [expected]));
  }

  for (const [title, json, expected] of [
    ["a verified peer", { authenticated: {} }, { kind: "authenticated" }],
    [
      "a named peer",
      { authenticated: { principal_name: exact("spiffe://a") } },
      { kind: "authenticated", principalName: plain("spiffe://a") },
    ],
    [
      "a neighbour's address",
      { direct_remote_ip: { address_prefix: "::1", prefix_len: 128 } },
      { kind: "ip", which: "direct", range: { addressPrefix: "::1", prefixLen: 128 } },
    ],
    [
      "a client's address",
      { remote_ip: { address_prefix: "1.2.3.4", prefix_len: 32 } },
      { kind: "ip", which: "remote", range: { addressPrefix: "1.2.3.4", prefixLen: 32 } },
    ],
    ["anyone but", { not_id: { any: true } }, { kind: "not", id: { kind: "any" } }],
    ["one of several", { or_ids: { ids: [{ any: true }] } }, { kind: "or", ids: [{ kind: "any" }] }],
  ] as const) {
    test(`knows ${title}`, () =>
      assert.deepEqual(accepted(decodeHttpRbac, policy([{ any: true }], [json])).rules?.policies[0]?.principals, [expected]));
  }

  test("keeps policies in the order of their names, as Envoy tries them", () => {
    const one = { permissions: [{ any: true }], principals: [{ any: true }] };
    const rules = accepted(decodeHttpRbac, { rules: { action: "DENY", policies: { b: one, a: one, "10": one } } }).rules;
    assert.equal(rules?.action, "DENY");
    assert.deepEqual(
      rules.policies.map(({ name }) => name),
      ["10", "a", "b"],
    );
  });

  test("tells no rules, which let everything pass, from empty ones, which let nothing pass", () => {
    assert.equal(accepted(decodeHttpRbac, {}).rules, undefined);
    assert.deepEqual(accepted(decodeHttpRbac, { rules: {} }).rules, { action: "ALLOW", policies: [] });
  });

  test("reads the network filter", () => {
    assert.deepEqual(accepted(decodeNetworkRbac, { stat_prefix: "r", enforcement_type: "CONTINUOUS" }), {
      statPrefix: "r",
      shadowRulesStatPrefix: "",
      enforcement: "CONTINUOUS",
    });
  });

  const at = "rules.policies.p";
  for (const [title, json, expected] of [
    [
      "metadata without a value",
      policy([{ metadata: { filter: "f", path: [{ key: "a" }] } }]),
      [`error ${at}.permissions[0].metadata.value: required, but not given`],
    ],
    [
      "metadata of routes",
      policy([{ sourced_metadata: {} }]),
      [`error ${at}.permissions[0].sourced_metadata: not supported: permissions over metadata of routes`],
    ],
    [
      "filter state",
      policy([{ any: true }], [{ filter_state: {} }]),
      [`error ${at}.principals[0].filter_state: not supported: principals over filter state`],
    ],
    [
      "a condition",
      { rules: { policies: { p: { permissions: [{ any: true }], principals: [{ any: true }], condition: {} } } } },
      [`error ${at}.condition: not supported: CEL conditions`],
    ],
    [
      "a newer kind of principal",
      policy([{ any: true }], [{ custom: {} }]),
      [
        `error ${at}.principals[0]: one of any, and_ids, or_ids, not_id, authenticated, source_ip, direct_remote_ip, remote_ip, header, url_path, metadata is required`,
        `error ${at}.principals[0].custom: ${lost}`,
      ],
    ],
    ["a policy for nobody", policy([{ any: true }], []), [`error ${at}.principals: must not be empty`]],
    ["any: false", policy([{ any: false }]), [`error ${at}.permissions[0].any: expected true, got false`]],
    [
      "a typo",
      policy([{ destination_prot: 80 }]),
      [
        `error ${at}.permissions[0]: one of any, and_rules, or_rules, not_rule, header, url_path, uri_template, destination_ip, destination_port, destination_port_range, requested_server_name, metadata is required`,
        `error ${at}.permissions[0].destination_prot: unknown field, did you mean destination_port`,
      ],
    ],
    ["matcher trees", { matcher: {} }, ["error matcher: not supported: matcher trees; give rules"]],
    ["a shadow matcher, as a warning", { shadow_matcher: {} }, ["warning shadow_matcher: is not honoured"]],
  ] as const) {
    test(`reports ${title}`, () => assert.deepEqual(issuesOf(decodeHttpRbac, json), expected));
  }
});

suite("fault injection", () => {
  test("reads delays and aborts with their shares", () => {
    assert.deepEqual(
      accepted(decodeFault, {
        delay: { fixed_delay: "0.4s", percentage: { numerator: 50 } },
        abort: { grpc_status: 8 },
        max_active_faults: 0,
      }),
      {
        delay: { fixedDelayMs: 400, share: { numerator: 50, denominator: 100 } },
        abort: { status: { kind: "grpc", code: 8 }, share: { numerator: 0, denominator: 100 } },
        upstreamCluster: "",
        headers: [],
        downstreamNodes: [],
        maxActiveFaults: 0,
      },
    );
  });
  test("knows that nothing configured does nothing", () => {
    assert.equal(isInertFault(accepted(decodeFault, { max_active_faults: 100 })), true);
    assert.equal(isInertFault(accepted(decodeFault, { abort: { http_status: 503 } })), false);
  });
  test("leaves to requests what is to be chosen by header", () => {
    const { delay, abort, responseRate } = accepted(decodeFault, {
      delay: { header_delay: {} },
      abort: { header_abort: {}, percentage: { numerator: 5, denominator: "MILLION" } },
      response_rate_limit: { header_limit: {} },
    });
    assert.deepEqual([delay?.fixedDelayMs, abort?.status, responseRate?.kibPerSecond], [undefined, undefined, undefined]);
    assert.deepEqual(abort?.share, { numerator: 5, denominator: 1_000_000 });
    assert.equal(isInertFault(accepted(decodeFault, { response_rate_limit: { fixed_limit: { limit_kbps: 1 } } })), false);
  });
  test("reports faults without a kind, and rates of nothing", () => {
    assert.deepEqual(issuesOf(decodeFault, { abort: {}, delay: {}, response_rate_limit: { fixed_limit: { limit_kbps: 0 } } }), [
      "error delay: one of fixed_delay, header_delay is required",
      "error abort: one of http_status, grpc_status, header_abort is required",
      "error response_rate_limit.fixed_limit.limit_kbps: expected a number from 1 to 9007199254740991, got 0",
    ]);
  });
});

test("CORS policies take strings as they go into headers", () => {
  const value = accepted(decodeCorsPolicy, { allow_origin_string_match: [exact("https://a")], max_age: "600", allow_credentials: true });
  assert.deepEqual(
    [value.allowOrigin, value.maxAge, value.allowCredentials, value.forwardNotMatchingPreflights],
    [[plain("https://a")], "600", true, undefined],
  );
  assert.deepEqual(issuesOf(decodeCorsPolicy, { max_age: 600 }), ["error max_age: expected a string, got 600 (quote it)"]);
});

suite("local rate limits", () => {
  const bucket = { max_tokens: 1, fill_interval: "600s" };
  const whole = { default_value: { numerator: 100 } };
  test("read their bucket and shares", () => {
    const value = accepted(decodeLocalRateLimit, {
      stat_prefix: "rl",
      token_bucket: bucket,
      filter_enabled: whole,
      filter_enforced: whole,
      status: { code: "ServiceUnavailable" },
      enable_x_ratelimit_headers: "DRAFT_VERSION_03",
    });
    assert.deepEqual(value.tokenBucket, { maxTokens: 1, tokensPerFill: 1, fillIntervalMs: 600_000 });
    assert.deepEqual([value.status, value.enabledFraction, value.enforcedFraction, value.xRateLimitHeaders], [503, 1, 1, true]);
    assert.equal(isInertLocalRateLimit(value), false);
  });
  test("do nothing without a bucket or unless enabled", () => {
    assert.equal(isInertLocalRateLimit(accepted(decodeLocalRateLimit, { stat_prefix: "rl" })), true);
    assert.equal(isInertLocalRateLimit(accepted(decodeLocalRateLimit, { stat_prefix: "rl", token_bucket: bucket })), true);
  });
  test("of a route need a bucket", () => {
    assert.equal(accepted(decodeLocalRateLimitPerRoute, { stat_prefix: "rl", token_bucket: bucket }).statPrefix, "rl");
    const issues = issuesOf(decodeLocalRateLimitPerRoute, { stat_prefix: "rl" });
    assert.deepEqual(issues, ["error token_bucket: required where a route limits: to limit nothing, disable the filter there"]);
  });
  test("report descriptors that come twice and intervals below Envoy's", () => {
    const descriptor = { entries: [{ key: "u", value: "1" }], token_bucket: { max_tokens: 1, fill_interval: "1s" } };
    const token_bucket = { max_tokens: 1, fill_interval: "0.01s" };
    assert.deepEqual(issuesOf(decodeLocalRateLimit, { stat_prefix: "rl", descriptors: [descriptor, descriptor], token_bucket }), [
      "error token_bucket.fill_interval: Envoy's shortest fill interval is 0.050s",
      "error descriptors[1]: the same descriptor is already there",
    ]);
  });
});

suite("JWT authentication", () => {
  const provider = { issuer: "i", audiences: ["a"], local_jwks: { inline_string: '{"keys":[]}' } };
  const authn = (requires: object, providers: object = { p: provider }): object => ({
    providers,
    rules: [{ match: { prefix: "/" }, requires }],
  });

  for (const [title, json, expected] of [
    ["one provider", { provider_name: "p" }, { kind: "provider", name: "p" }],
    [
      "a provider for other audiences",
      { provider_and_audiences: { provider_name: "p", audiences: ["b"] } },
      { kind: "provider", name: "p", audiences: ["b"] },
    ],
    [
      "a token or none",
      { requires_any: { requirements: [{ provider_name: "p" }, { allow_missing: {} }] } },
      { kind: "any", requirements: [{ kind: "provider", name: "p" }, { kind: "allowMissing" }] },
    ],
  ] as const) {
    test(`requires ${title}`, () => assert.deepEqual(accepted(decodeJwtAuthn, authn(json)).rules[0]?.requires, expected));
  }

  test("resolves requirements by name", () => {
    const value = accepted(decodeJwtAuthn, {
      providers: { p: provider },
      requirement_map: { r: { provider_name: "p" } },
      rules: [{ match: { prefix: "/" }, requirement_name: "r" }],
    });
    assert.deepEqual(value.rules[0]?.requires, { kind: "provider", name: "p" });
    assert.equal(value.providers[0]?.clockSkewSeconds, 60);
  });

  for (const [title, json, expected] of [
    [
      "keys that would have to be fetched",
      authn({ provider_name: "p" }, { p: { remote_jwks: {} } }),
      ["error providers.p.remote_jwks: not supported: fetching keys; give local_jwks"],
    ],
    [
      "keys that are none",
      authn({ provider_name: "p" }, { p: { local_jwks: { inline_string: "x" } } }),
      ['error providers.p.local_jwks: expected a JWK set: JSON such as {"keys": [...]}'],
    ],
    ["a provider that there is not", authn({ provider_name: "q" }), ["error rules[0].requires: there is no provider named q"]],
    [
      "a requirement that there is not",
      { providers: {}, rules: [{ match: { prefix: "/" }, requirement_name: "r" }] },
      ["error rules[0].requirement_name: requirement_map has no r"],
    ],
    [
      "a restriction that would be lost",
      authn({ provider_name: "p" }, { p: { ...provider, subjects: exact("s") } }),
      [`error providers.p.subjects: ${lost}`],
    ],
  ] as const) {
    test(`reports ${title}`, () => assert.deepEqual(issuesOf(decodeJwtAuthn, json), expected));
  }
});

test("the PROXY protocol filter reads what it lets pass", () => {
  assert.deepEqual(accepted(decodeProxyProtocol, { allow_requests_without_proxy_protocol: true, disallowed_versions: ["V1"] }), {
    allowRequestsWithoutProxyProtocol: true,
    disallowedVersions: ["V1"],
    statPrefix: "",
  });
});
