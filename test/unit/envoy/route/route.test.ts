import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { decode } from "../../../../src/envoy/decode/cursor.ts";
import { decodeInlineRouteConfiguration, decodeRouteConfiguration } from "../../../../src/envoy/route/route-decoder.ts";
import type { ForwardAction, Route } from "../../../../src/envoy/route/route.ts";
import { accepted, any, issuesOf } from "../decoding.ts";

function table(...routes: readonly object[]): object {
  return { name: "r", virtual_hosts: [{ name: "v", domains: ["*"], routes }] };
}
function routed(action: object, fields: object = {}): object {
  return table({ match: { prefix: "/" }, route: { cluster: "a", ...action }, ...fields });
}
function first(json: object): Route {
  const route = accepted(decodeRouteConfiguration, json).virtualHosts[0]?.routes[0];
  assert.ok(route);
  return route;
}
function forward(action: object): ForwardAction {
  const decoded = first(routed(action)).action;
  assert.ok(decoded.kind === "route");
  return decoded;
}

suite("decodeRouteConfiguration", () => {
  test("checks clusters of inline tables and trusts those that come by name, unless told otherwise", () => {
    assert.equal(accepted(decodeInlineRouteConfiguration, table()).validateClusters, true);
    assert.equal(accepted(decodeRouteConfiguration, table()).validateClusters, false);
    assert.equal(accepted(decodeInlineRouteConfiguration, { ...table(), validate_clusters: false }).validateClusters, false);
  });

  test("fills in Envoy's defaults of a forwarding route", () => {
    const action = forward({});
    assert.equal(action.timeoutMs, 15_000);
    assert.equal(action.idleTimeoutMs, undefined);
    assert.equal(action.clusterNotFoundStatus, 503);
    assert.equal(action.retryPolicy, undefined);
    assert.deepEqual(action.upgrades, {});
  });

  test("tells no timeout from a timeout of nothing", () => {
    assert.equal(forward({ timeout: "0s", idle_timeout: "0s" }).idleTimeoutMs, 0);
    assert.equal(forward({ max_grpc_timeout: "0s" }).maxGrpcTimeoutMs, 0);
    assert.equal(forward({ max_stream_duration: { grpc_timeout_header_max: "3s" } }).grpcTimeoutHeaderMaxMs, 3000);
  });

  test("has no older timeouts beside max_stream_duration", () => {
    const { timeoutMs, maxGrpcTimeoutMs } = forward({ timeout: "2s", max_grpc_timeout: "1s", max_stream_duration: {} });
    assert.deepEqual([timeoutMs, maxGrpcTimeoutMs], [0, undefined]);
  });

  test("carries the virtual host's attempt count to its routes", () => {
    const host = {
      name: "v",
      domains: ["*"],
      include_request_attempt_count: true,
      routes: [{ match: { prefix: "/" }, route: { cluster: "a" } }],
    };
    const action = accepted(decodeRouteConfiguration, { name: "r", virtual_hosts: [host] }).virtualHosts[0]?.routes[0]?.action;
    assert.ok(action?.kind === "route" && action.includeAttemptCount);
  });

  for (const [title, match, path] of [
    ["a prefix", { prefix: "/a" }, { kind: "prefix", value: "/a", caseSensitive: true }],
    ["a path in any case", { path: "/a", case_sensitive: false }, { kind: "path", value: "/a", caseSensitive: false }],
    ["an expression", { safe_regex: { regex: "/[0-9]+" } }, { kind: "safeRegex", regex: "/[0-9]+" }],
    ["a prefix of segments", { path_separated_prefix: "/seg" }, { kind: "pathSeparatedPrefix", value: "/seg", caseSensitive: true }],
    ["CONNECT", { connect_matcher: {} }, { kind: "connect" }],
    [
      "a template",
      {
        path_match_policy: {
          name: "t",
          typed_config: any("envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig", { path_template: "/a/{id}" }),
        },
      },
      { kind: "template", template: "/a/{id}" },
    ],
  ] as const) {
    test(`matches ${title}`, () => assert.deepEqual(first(table({ match, non_forwarding_action: {} })).match.path, path));
  }

  for (const [title, header, expected] of [
    [
      "the current form",
      { string_match: { prefix: "x", ignore_case: true } },
      { kind: "string", matcher: { kind: "prefix", value: "x", ignoreCase: true } },
    ],
    ["the deprecated exact form", { exact_match: "x" }, { kind: "string", matcher: { kind: "exact", value: "x", ignoreCase: false } }],
    ["the deprecated regex form", { safe_regex_match: { regex: "x+" } }, { kind: "string", matcher: { kind: "safeRegex", regex: "x+" } }],
    ["a range", { range_match: { start: "-1", end: 5 } }, { kind: "range", start: -1, end: 5 }],
    ["nothing, which means presence", {}, { kind: "present", present: true }],
  ] as const) {
    test(`matches a header by ${title}`, () => {
      const route = first(table({ match: { prefix: "/", headers: [{ name: "X-H", ...header }] }, non_forwarding_action: {} }));
      assert.deepEqual(route.match.headers[0], { name: "x-h", match: expected, invertMatch: false, treatMissingHeaderAsEmpty: false });
    });
  }

  test("reads retries with Envoy's default back-off and previous hosts", () => {
    const previous = { name: "p", typed_config: any("envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate") };
    assert.deepEqual(
      forward({
        retry_policy: { retry_on: "5xx, reset", num_retries: 2, retry_host_predicate: [previous], host_selection_retry_max_attempts: "5" },
      }).retryPolicy,
      {
        retryOn: ["5xx", "reset"],
        numRetries: 2,
        perTryTimeoutMs: 0,
        perTryIdleTimeoutMs: 0,
        retriableStatusCodes: [],
        retriableHeaders: [],
        retriableRequestHeaders: [],
        backOffBaseMs: 25,
        backOffMaxMs: 250,
        avoidPreviousHosts: true,
        hostSelectionRetryMaxAttempts: 5,
      },
    );
  });

  test("reads weighted clusters, mirrors and hash policies", () => {
    const action = forward({
      cluster: undefined,
      weighted_clusters: {
        clusters: [
          { name: "a", weight: 1 },
          { name: "b", weight: 3, request_headers_to_remove: ["X-A"] },
        ],
      },
      request_mirror_policies: [{ cluster: "m", runtime_fraction: { default_value: { numerator: 50 } } }],
      hash_policy: [{ cookie: { name: "c", ttl: "60s", path: "/" } }, { connection_properties: { source_ip: true }, terminal: true }],
    });
    assert.ok(action.target.kind === "weighted");
    assert.equal(action.target.totalWeight, 4);
    assert.deepEqual(action.target.clusters[1]?.headers.requestRemove, ["x-a"]);
    assert.equal(action.mirrors[0]?.fraction, 0.5);
    assert.deepEqual(action.hashPolicy, [
      { kind: "cookie", name: "c", ttlMs: 60_000, path: "/", attributes: [], terminal: false },
      { kind: "sourceIp", terminal: true },
    ]);
  });

  test("reads the deprecated append as its modern action", () => {
    const options = first(
      routed({}, { request_headers_to_add: [{ header: { key: "A", value: "1" }, append: false }, { header: { key: "B", value: "2" } }] }),
    ).headers.requestAdd;
    assert.deepEqual(
      options.map(({ key, appendAction }) => [key, appendAction]),
      [
        ["a", "OVERWRITE_IF_EXISTS_OR_ADD"],
        ["b", "APPEND_IF_EXISTS_OR_ADD"],
      ],
    );
  });

  test("reads a redirect and a direct response", () => {
    assert.deepEqual(
      first(table({ match: { prefix: "/" }, redirect: { https_redirect: true, port_redirect: 8443, response_code: "FOUND" } })).action,
      {
        kind: "redirect",
        httpsRedirect: true,
        portRedirect: 8443,
        path: { kind: "none" },
        responseCode: 302,
        stripQuery: false,
      },
    );
    const direct = first(table({ match: { prefix: "/" }, direct_response: { status: 200, body: { inline_bytes: "aGk=" } } })).action;
    assert.deepEqual(direct, { kind: "direct_response", status: 200, body: "hi" });
  });

  test("reads per-route filter configuration, disabled and by type", () => {
    const fault = any("envoy.extensions.filters.http.fault.v3.HTTPFault", { abort: { http_status: 503, percentage: { numerator: 100 } } });
    const off = any("envoy.config.route.v3.FilterConfig", { disabled: true });
    const wrapped = any("envoy.config.route.v3.FilterConfig", { config: fault });
    const config = first(routed({}, { typed_per_filter_config: { mine: fault, off, wrapped } })).typedPerFilterConfig;
    assert.deepEqual(config["off"], { disabled: true });
    assert.deepEqual(config["mine"], config["wrapped"]);
    const { abort } = (config["mine"] ?? assert.fail()).config as { abort: unknown };
    assert.deepEqual(abort, { status: { kind: "http", code: 503 }, share: { numerator: 100, denominator: 100 } });
  });

  const route = "virtual_hosts[0].routes[0]";
  const bad: readonly (readonly [string, object, readonly string[]])[] = [
    ["a table without a name", { virtual_hosts: [] }, ["error name: required: listeners refer to it by name"]],
    [
      "a domain twice",
      { name: "r", virtual_hosts: [{ name: "v", domains: ["a.b", "A.b"] }] },
      ["error virtual_hosts[0].domains[1]: a.b already belongs to virtual host v"],
    ],
    [
      "a host name twice",
      {
        name: "r",
        virtual_hosts: [
          { name: "v", domains: ["a"] },
          { name: "v", domains: ["b"] },
        ],
      },
      ["error virtual_hosts[1].name: a virtual host named v is already there"],
    ],
    ["no domains", { name: "r", virtual_hosts: [{ name: "v", domains: [] }] }, ["error virtual_hosts[0].domains: must not be empty"]],
    [
      "a wildcard in the middle",
      { name: "r", virtual_hosts: [{ name: "v", domains: ["a.*.b"] }] },
      ["error virtual_hosts[0].domains[0]: a wildcard stands only at the beginning or the end of a domain"],
    ],
    [
      "a route that does nothing",
      table({ match: { prefix: "/" } }),
      [`error ${route}: one of route, redirect, direct_response, non_forwarding_action is required`],
    ],
    [
      "a route that matches nothing",
      table({ match: {}, non_forwarding_action: {} }),
      [`error ${route}.match: one of prefix, path, safe_regex, path_separated_prefix, path_match_policy, connect_matcher is required`],
    ],
    [
      "an expression that is none",
      table({ match: { safe_regex: { regex: "(" } }, non_forwarding_action: {} }),
      [`error ${route}.match.safe_regex.regex: not a valid RE2 expression: error parsing regexp: missing closing ): \`(\``],
    ],
    [
      "a condition that cannot be checked",
      table({ match: { prefix: "/", filter_state: [{}] }, non_forwarding_action: {} }),
      [`error ${route}.match.filter_state: is not supported, and leaving it out could change who may reach whom`],
    ],
    [
      "weights that sum up to nothing",
      routed({ cluster: null, weighted_clusters: { clusters: [{ name: "a" }] } }),
      [`error ${route}.route.weighted_clusters.clusters: the weights sum up to 0`],
    ],
    ["two targets", routed({ cluster_header: "x" }), [`error ${route}.route.cluster_header: give either this or cluster, not both`]],
    [
      "a rule for the host header",
      routed({}, { request_headers_to_remove: ["Host"] }),
      [`error ${route}.request_headers_to_remove[0]: :-prefixed or host headers may not be modified`],
    ],
    [
      "a header value that would split the message",
      routed({}, { response_headers_to_add: [{ header: { key: "a", value: "x\r\ny" } }] }),
      [`error ${route}.response_headers_to_add[0].header.value: a header value must not contain line ends or NUL`],
    ],
    [
      "a body above the limit",
      table({ match: { prefix: "/" }, direct_response: { status: 200, body: { inline_string: "x".repeat(5000) } } }),
      [`error ${route}.direct_response.body: the body has 5000 bytes, max_direct_response_body_size_bytes is 4096`],
    ],
    [
      "per-route configuration of a filter that decides over access",
      routed({}, { typed_per_filter_config: { x: any("envoy.extensions.filters.http.basic_auth.v3.BasicAuthPerRoute") } }),
      [
        `error ${route}.typed_per_filter_config.x: envoy.filters.http.basic_auth is not supported: leaving it out would change which requests pass`,
      ],
    ],
    [
      "what is not honoured, as warnings",
      routed({ hedge_policy: { additional_request_chance: {} } }, { tracing: {} }),
      [`warning ${route}.route.hedge_policy.additional_request_chance: is not honoured`, `warning ${route}.tracing: is not honoured`],
    ],
  ];
  for (const [title, json, expected] of bad)
    test(`reports ${title}`, () => assert.deepEqual(issuesOf(decodeRouteConfiguration, json), expected));

  test("gives every issue of a table in one pass", () => {
    const result = decode(decodeRouteConfiguration, table({ match: { prefix: 1 } }, { match: { path: 2 } }), {
      extensions: {
        byType: () => undefined,
        byName: () => undefined,
        byPerRouteType: () => undefined,
        types: () => [],
        honoured: () => [],
      },
    });
    assert.equal(result.ok, false);
    assert.equal(result.issues.filter((issue) => issue.message.startsWith("expected a string")).length, 2);
  });
});
