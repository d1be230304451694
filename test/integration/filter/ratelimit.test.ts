// The rate limit filter through a whole proxy, with a real rate limit service.
import assert from "node:assert/strict";
import { suite, test, type TestContext } from "node:test";
import { bootstrap, cluster, httpListener, startTestProxy, type TestProxy } from "../../support/proxy.ts";
import { type AskedLimit, listenRateLimit, type RateLimitServer } from "../../support/rate-limit-server.ts";
import { connectRaw, hasResponses, listenHttp, type OriginRequest, reply } from "../../support/raw-http.ts";

const type = "type.googleapis.com/envoy.extensions.filters.http.ratelimit.v3.RateLimit";
const router = { name: "router", typed_config: { "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router" } };
const name = "envoy.filters.http.ratelimit";

const statuses = [
  { code: 1, current_limit: { name: "ip", requests_per_unit: 10, unit: 1 }, limit_remaining: 9, duration_until_reset: { seconds: 1 } },
  { code: 1, current_limit: { requests_per_unit: 1000, unit: 3 }, limit_remaining: 5, duration_until_reset: { seconds: 77 } },
];

// The user's name says what the service answers.
function decide(asked: AskedLimit): object | "fail" | undefined {
  const text = JSON.stringify(asked.descriptors);
  if (text.includes("silent")) return undefined;
  if (text.includes("fail")) return "fail";
  const over = text.includes("over");
  return {
    overall_code: over ? 2 : 1,
    statuses,
    response_headers_to_add: [
      { key: "X-From-Service", value: "1" },
      ...(text.includes("html") ? [{ key: "content-type", value: "text/html" }] : []),
    ],
    request_headers_to_add: [{ key: "x-to-app", value: "v" }],
    raw_body: Buffer.from(text.includes("body") ? "slow down" : ""),
  };
}

const entry = (key: string, value: string): object => ({ key, value });
const byUser = { actions: [{ request_headers: { header_name: "x-user", descriptor_key: "user" } }] };
const generic = (value: string): object => ({ actions: [{ generic_key: { descriptor_value: value } }] });
const perRoute = (fields: object): object => ({
  typed_per_filter_config: { [name]: { "@type": `${type}PerRoute`, ...fields } },
});
const toOrigin = (path: string, route: object = {}, more: object = {}): object => ({
  match: { prefix: path },
  route: { cluster: "origin", ...route },
  ...more,
});

interface Lab {
  readonly proxy: TestProxy;
  readonly port: number;
  readonly requests: readonly OriginRequest[];
  readonly service: RateLimitServer;
  ask(request: string): Promise<string>;
}

async function lab(t: TestContext, filter: object = {}, routes: readonly object[] = [toOrigin("/")]): Promise<Lab> {
  const requests: OriginRequest[] = [];
  const origin = await listenHttp((request) => {
    requests.push(request);
    reply(request.socket, "hello");
  });
  const service = await listenRateLimit(decide);
  t.after(() => {
    service.close();
    return origin.close();
  });
  const manager = {
    http_filters: [
      {
        name,
        typed_config: {
          "@type": type,
          domain: "shop",
          timeout: "5s",
          rate_limit_service: { transport_api_version: "V3", grpc_service: { envoy_grpc: { cluster_name: "limits" } } },
          ...filter,
        },
      },
      router,
    ],
    route_config: { name: "r", virtual_hosts: [{ name: "v", domains: ["*"], rate_limits: [byUser], routes }] },
  };
  const clusters = [cluster("origin", origin.port), cluster("limits", service.port)];
  const proxy = await startTestProxy(t, bootstrap([httpListener("main", { manager })], clusters));
  const port = proxy.port("main");
  const ask = async (request: string): Promise<string> => {
    const client = await connectRaw(port);
    client.socket.write(request);
    const text = await client.until(hasResponses(1));
    client.socket.destroy();
    return text;
  };
  return { proxy, port, requests, service, ask };
}

const get = (path: string, ...fields: readonly string[]): string =>
  `GET ${path} HTTP/1.1\r\nhost: lab\r\n${fields.map((field) => `${field}\r\n`).join("")}\r\n`;
const fieldsOf = (response: string): readonly string[] =>
  response
    .slice(0, response.indexOf("\r\n\r\n"))
    .split("\r\n")
    .filter((field) => !/^(date|server|x-envoy-upstream-service-time):/.test(field));

test("what is within the limit goes on, with the service's headers on both sides", async (t) => {
  const { ask, service, requests, proxy } = await lab(t, { enable_x_ratelimit_headers: "DRAFT_VERSION_03" });
  const post = "POST / HTTP/1.1\r\nhost: lab\r\nx-user: alice\r\ncontent-length: 4\r\n\r\nbody";
  assert.deepEqual(fieldsOf(await ask(post)), [
    "HTTP/1.1 200 OK",
    "content-length: 5",
    "x-from-service: 1",
    'x-ratelimit-limit: 1000, 10;w=1;name="ip", 1000;w=3600',
    "x-ratelimit-remaining: 5",
    "x-ratelimit-reset: 77",
  ]);
  assert.deepEqual(service.asked, [{ domain: "shop", descriptors: [{ entries: [entry("user", "alice")] }] }]);
  assert.equal(requests[0]!.body, "body");
  assert.ok(requests[0]!.fields.includes("x-to-app: v"));
  await proxy.accessLog(1);
  assert.equal(proxy.stat("cluster.origin.ratelimit.ok"), 1);
});

suite("what is over the limit is refused as Envoy does", () => {
  const refusal = {
    enable_x_ratelimit_headers: "DRAFT_VERSION_03",
    response_headers_to_add: [{ header: { key: "x-added", value: "yes" } }],
  };
  const limits = ['x-ratelimit-limit: 1000, 10;w=1;name="ip", 1000;w=3600', "x-ratelimit-remaining: 5", "x-ratelimit-reset: 77"];
  for (const [title, filter, user, fields, body] of [
    ["plainly", {}, "over", ["HTTP/1.1 429 Too Many Requests", "x-from-service: 1", "x-envoy-ratelimited: true", "content-length: 0"], ""],
    [
      "with headers and a body",
      refusal,
      "over body",
      [
        "HTTP/1.1 429 Too Many Requests",
        "x-from-service: 1",
        "x-envoy-ratelimited: true",
        ...limits,
        "x-added: yes",
        "content-length: 9",
        "content-type: text/plain",
      ],
      "slow down",
    ],
    [
      "with the body's own type",
      { disable_x_envoy_ratelimited_header: true },
      "over body html",
      ["HTTP/1.1 429 Too Many Requests", "x-from-service: 1", "content-type: text/html", "content-length: 9"],
      "slow down",
    ],
    [
      "with another status",
      { rate_limited_status: { code: "ServiceUnavailable" }, disable_x_envoy_ratelimited_header: true },
      "over",
      ["HTTP/1.1 503 Service Unavailable", "x-from-service: 1", "content-length: 0"],
      "",
    ],
  ] as const) {
    test(title, async (t) => {
      const { ask, proxy, requests } = await lab(t, filter);
      const response = await ask(get("/", `x-user: ${user}`));
      assert.deepEqual(fieldsOf(response), fields);
      assert.equal(response.slice(response.indexOf("\r\n\r\n") + 4), body);
      const [record] = await proxy.accessLog(1);
      assert.deepEqual([record!["flags"], record!["details"]], ["RL", "request_rate_limited"]);
      assert.equal(requests.length, 0);
      assert.equal(proxy.stat("cluster.origin.ratelimit.over_limit"), 1);
      assert.equal(proxy.stat("cluster.origin.upstream_rq_429"), 1);
    });
  }

  for (const [title, filter, code] of [
    ["UNAVAILABLE", {}, 14],
    ["RESOURCE_EXHAUSTED", { rate_limited_as_resource_exhausted: true }, 8],
  ] as const) {
    test(`gRPC ends with ${title}`, async (t) => {
      const { ask } = await lab(t, filter);
      const response = await ask(get("/", "x-user: over body", "content-type: application/grpc"));
      assert.match(response, /^HTTP\/1\.1 200 OK\r\n/);
      assert.match(response, new RegExp(`\r\ngrpc-status: ${code}\r\ngrpc-message: slow down\r\n`));
    });
  }
});

suite("a service that gives no answer", () => {
  for (const [title, filter, user, status, stat] of [
    ["lets requests pass", {}, "fail", 200, "failure_mode_allowed"],
    ["in time, too", { timeout: "0.05s" }, "silent", 200, "failure_mode_allowed"],
    ["refuses them under failure_mode_deny", { failure_mode_deny: true }, "fail", 500, "error"],
    ["with a status of one's own", { failure_mode_deny: true, status_on_error: { code: 502 }, timeout: "0.05s" }, "silent", 502, "error"],
    ["and a name in the statistics", { failure_mode_deny: true, stat_prefix: "edge" }, "fail", 500, "edge.error"],
  ] as const) {
    test(title, async (t) => {
      const { ask, proxy } = await lab(t, filter);
      assert.match(await ask(get("/", `x-user: ${user}`)), new RegExp(`^HTTP/1\\.1 ${status} `));
      const [record] = await proxy.accessLog(1);
      assert.deepEqual([record!["flags"], record!["details"]], status === 200 ? ["-", "via_upstream"] : ["RLSE", "rate_limiter_error"]);
      assert.equal(proxy.stat(`cluster.origin.ratelimit.${stat}`), 1);
    });
  }
});

suite("descriptors", () => {
  const client = entry("remote_address", "127.0.0.1");
  const routes = [
    toOrigin("/include", { include_vh_rate_limits: true, rate_limits: [generic("own")] }),
    toOrigin("/own", { rate_limits: [generic("own")] }),
    toOrigin("/ignore", {}, perRoute({ vh_rate_limits: "IGNORE" })),
    toOrigin("/both", { rate_limits: [generic("own")] }, perRoute({ override_option: "INCLUDE_POLICY" })),
    toOrigin("/per-route", {}, perRoute({ domain: "other", rate_limits: [generic("per route")] })),
    toOrigin("/stage", { rate_limits: [{ stage: 1, ...generic("later") }, generic("now")] }),
    toOrigin(
      "/off",
      {},
      { typed_per_filter_config: { [name]: { "@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig", disabled: true } } },
    ),
    toOrigin(
      "/kinds",
      {
        rate_limits: [
          {
            actions: [{ generic_key: { descriptor_key: "k", descriptor_value: "v" } }, { remote_address: {} }, { destination_cluster: {} }],
          },
          { actions: [{ masked_remote_address: { v4_prefix_mask_len: 16 } }] },
          {
            actions: [
              { header_value_match: { descriptor_value: "no", expect_match: false, headers: [{ name: "x-no", present_match: true }] } },
            ],
          },
          { actions: [{ header_value_match: { descriptor_value: "yes", headers: [{ name: "x-no", present_match: true }] } }] },
          {
            actions: [
              { query_parameter_value_match: { descriptor_value: "q", query_parameters: [{ name: "a", string_match: { exact: "1" } }] } },
            ],
          },
          {
            actions: [
              { generic_key: { descriptor_value: "g" } },
              { request_headers: { header_name: "x-opt", descriptor_key: "o", skip_if_absent: true } },
            ],
          },
          { actions: [{ request_headers: { header_name: ":path", descriptor_key: "path" } }] },
          {
            actions: [
              {
                metadata: {
                  descriptor_key: "m",
                  source: "ROUTE_ENTRY",
                  metadata_key: { key: "mine", path: [{ key: "tier" }] },
                },
              },
            ],
          },
          {
            actions: [{ metadata: { descriptor_key: "m", default_value: "none", metadata_key: { key: "mine", path: [{ key: "tier" }] } } }],
          },
        ],
      },
      { metadata: { filter_metadata: { mine: { tier: "gold" } } } },
    ),
    { match: { prefix: "/direct" }, direct_response: { status: 200 } },
    toOrigin("/"),
  ];
  const user = entry("user", "u");
  const own = entry("generic_key", "own");
  for (const [path, domain, expected] of [
    ["/", "shop", [[user]]],
    ["/own", "shop", [[own]]],
    ["/include", "shop", [[own], [user]]],
    ["/both", "shop", [[own], [user]]],
    ["/per-route", "other", [[entry("generic_key", "per route")]]],
    ["/stage", "shop", [[entry("generic_key", "now")]]],
    [
      "/kinds?a=1",
      "shop",
      [
        [entry("k", "v"), client, entry("destination_cluster", "origin")],
        [entry("masked_remote_address", "127.0.0.0/16")],
        [entry("header_match", "no")],
        [entry("query_match", "q")],
        [entry("generic_key", "g")],
        [entry("path", "/kinds?a=1")],
        [entry("m", "gold")],
        [entry("m", "none")],
      ],
    ],
    ["/ignore", "", undefined],
    ["/off", "", undefined],
    ["/direct", "", undefined],
  ] as const) {
    test(expected === undefined ? `${path} counts as nothing` : `${path} counts as ${expected.length} in ${domain}`, async (t) => {
      const { ask, service } = await lab(t, {}, routes);
      assert.match(await ask(get(path, "x-user: u")), /^HTTP\/1\.1 200 /);
      const asked = service.asked.map((each) => ({ domain: each.domain, entries: each.descriptors.map(({ entries }) => entries) }));
      assert.deepEqual(asked, expected === undefined ? [] : [{ domain, entries: expected }]);
    });
  }

  test("the address is that of x-forwarded-for where the connection's own does not count", async (t) => {
    const { ask, service } = await lab(t, {}, [toOrigin("/", { rate_limits: [{ actions: [{ remote_address: {} }] }] })]);
    await ask(get("/", "x-forwarded-for: 9.8.7.6, 10.11.12.13"));
    await ask(get("/", "x-forwarded-for: nonsense"));
    const values = service.asked.map(({ descriptors }) => descriptors[0]!.entries[0]!.value);
    assert.deepEqual(values, ["10.11.12.13", "127.0.0.1"]);
  });
});

test("a client that leaves while the service thinks ends the question", async (t) => {
  const { port, proxy, service, requests } = await lab(t);
  const client = await connectRaw(port);
  client.socket.write(get("/", "x-user: silent"));
  for (const deadline = Date.now() + 5000; service.asked.length === 0 && Date.now() < deadline;)
    await new Promise((resolve) => setTimeout(resolve, 5));
  client.socket.destroy();
  const [record] = await proxy.accessLog(1);
  assert.equal(record!["flags"], "DC");
  assert.equal(requests.length, 0);
  assert.equal(proxy.stat("cluster.limits.upstream_rq_active"), 0);
});
