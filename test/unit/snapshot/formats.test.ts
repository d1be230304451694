import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeResources } from "../../../src/envoy/bootstrap-decoder.ts";
import { buildSnapshot, type Snapshot } from "../../../src/snapshot/snapshot.ts";
import { formatPath } from "../../../src/source/yaml-document.ts";
import { address, connectionManager, context, filter, router } from "../envoy/decoding.ts";

const supported = {
  supportedListenerFilters: new Set<string>(),
  supportedNetworkFilters: new Set(["envoy.filters.network.http_connection_manager"]),
  supportedHttpFilters: new Set(["envoy.filters.http.router", "envoy.filters.http.local_ratelimit"]),
};

function build(json: object, previous?: Snapshot): { snapshot: Snapshot; lines: readonly string[] } {
  const decoded = decodeResources(json, context);
  const options = { ...supported, rejected: decoded.rejected, ...(previous && { previous }) };
  const { snapshot, issues } = buildSnapshot(decoded.resources, options);
  return { snapshot, lines: issues.map((issue) => `${issue.severity} ${formatPath(issue.path)}: ${issue.message}`) };
}

const add = (value: string): readonly object[] => [{ header: { key: "x-a", value } }];
const direct = { direct_response: { status: 200 } };
const limit = (value: string): object => ({
  "@type": "type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit",
  stat_prefix: "s",
  token_bucket: { max_tokens: 1, fill_interval: "1s" },
  response_headers_to_add: add(value),
});
const matched = (value: string): object => ({
  rate_limits: [{ actions: [{ remote_address_match: { address_matcher: {}, descriptor_value: value } }] }],
});
const table = (level: object, host: object = {}, route: object = direct): object => ({
  name: "r",
  virtual_hosts: [{ name: "v", domains: ["*"], routes: [{ match: { prefix: "/" }, ...route }], ...host }],
  ...level,
});
const weighted = (fields: object): object => ({ route: { weighted_clusters: { clusters: [{ name: "c", weight: 1, ...fields }] } } });
const unknown = "unknown command operator %NOPE%";

const cases: readonly (readonly [string, object, string])[] = [
  ["the configuration", table({ request_headers_to_add: add("%NOPE%") }), "request_headers_to_add[0].header.value"],
  ["a virtual host", table({}, { response_headers_to_add: add("%NOPE%") }), "virtual_hosts[0].response_headers_to_add[0].header.value"],
  [
    "a route",
    table({}, {}, { ...direct, request_headers_to_add: add("a%NOPE%b") }),
    "virtual_hosts[0].routes[0].request_headers_to_add[0].header.value",
  ],
  [
    "a weighted cluster",
    table({}, {}, weighted({ response_headers_to_add: add("%NOPE%") })),
    "virtual_hosts[0].routes[0].route.weighted_clusters.clusters[0].response_headers_to_add[0].header.value",
  ],
  [
    "a filter's override",
    table({}, { typed_per_filter_config: { limit: limit("%NOPE%") } }),
    "virtual_hosts[0].typed_per_filter_config: x-a",
  ],
  ["a virtual host's rate limits", table({}, matched("%NOPE%")), "virtual_hosts[0].rate_limits: remote_address_match"],
  [
    "a route's rate limits",
    table({}, {}, { route: { cluster: "c", ...matched("%NOPE%") } }),
    "virtual_hosts[0].routes[0].route.rate_limits: remote_address_match",
  ],
  [
    "a direct response's JSON",
    table({}, {}, { direct_response: { status: 200, body_format: { json_format: { a: { b: "%NOPE%" } } } } }),
    "virtual_hosts[0].routes[0].direct_response.body_format",
  ],
];

for (const [where, routes, path] of cases) {
  test(`a format of ${where} that does not compile refuses the table, and the last good one goes on`, () => {
    const good = build({ routes: [table({})] });
    assert.deepEqual(good.lines, []);
    const next = build({ routes: [routes] }, good.snapshot);
    const errors = next.lines.filter((line) => line.startsWith("error"));
    assert.deepEqual(errors, [`error ${path}: ${unknown}`]);
    assert.equal(next.snapshot.routes.get("r"), good.snapshot.routes.get("r"));
    // And again with nothing to compare it to.
    assert.equal(build({ routes: [routes] }).snapshot.routes.has("r"), false);
  });
}

test("formats of a listener's own routes and filters refuse the listener", () => {
  const listener = (routes: object, value: string): object => ({
    name: "l",
    address: address("127.0.0.1", 80),
    filter_chains: [
      {
        filters: [
          connectionManager({
            route_config: routes,
            http_filters: [
              filter("limit", "envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit", {
                stat_prefix: "s",
                response_headers_to_add: add(value),
              }),
              router,
            ],
          }),
        ],
      },
    ],
  });
  const good = build({ listeners: [listener(table({}), "%PROTOCOL%")] });
  assert.deepEqual(good.lines, []);
  const bad = build({ listeners: [listener(table({ request_headers_to_add: add("100%") }), "%NOPE%")] }, good.snapshot);
  const at = "error filter_chains[0].filters[0].typed_config";
  assert.deepEqual(bad.lines, [
    `${at}.route_config.request_headers_to_add[0].header.value: expected a command operator such as %PROTOCOL% at character 3 (write %% for a percent sign)`,
    `${at}.http_filters[0]: x-a: ${unknown}`,
  ]);
  assert.equal(bad.snapshot.listeners.get("l"), good.snapshot.listeners.get("l"));
});

test("formats of local replies refuse the listener, each in its place", () => {
  const replies = {
    body_format: { text_format: "%NOPE%" },
    mappers: [
      {
        filter: { not_health_check_filter: {} },
        body_format_override: { json_format: { a: "%LOCAL_REPLY_BODY% %NOPE%" } },
        headers_to_add: add("%NOPE%"),
      },
    ],
  };
  const manager = connectionManager({ route_config: table({}), local_reply_config: replies, http_filters: [router] });
  const { lines } = build({ listeners: [{ name: "l", address: address("127.0.0.1", 80), filter_chains: [{ filters: [manager] }] }] });
  const at = "error filter_chains[0].filters[0].typed_config.local_reply_config";
  assert.deepEqual(lines, [
    `${at}.body_format: ${unknown}`,
    `${at}.mappers[0].body_format_override: ${unknown}`,
    `${at}.mappers[0].headers_to_add[0].header.value: ${unknown}`,
  ]);
});

test("an operator that never has a value is a warning", () => {
  const { lines, snapshot } = build({ routes: [table({ request_headers_to_add: add("%TRACE_ID%") })] });
  assert.deepEqual(lines, ["warning request_headers_to_add[0].header.value: operator %TRACE_ID% is accepted but always without a value"]);
  assert.equal(snapshot.routes.has("r"), true);
});
