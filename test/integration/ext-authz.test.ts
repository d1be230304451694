// External authorization through a whole proxy, with real authorization servers over HTTP and gRPC.
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { type AskedAbout, type AuthServer, listenAuth } from "../support/auth-server.ts";
import { accessLog, bootstrap, cluster, httpListener, startTestProxy, type TestProxy } from "../support/proxy.ts";
import { connectRaw, hasResponses, listenHttp, listenRaw, reply, type OriginRequest } from "../support/raw-http.ts";

const filterType = "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz";
const router = { name: "router", typed_config: { "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router" } };

interface Lab {
  readonly proxy: TestProxy;
  readonly port: number;
  /** What the application got. */
  readonly requests: readonly OriginRequest[];
}

async function lab(t: TestContext, authPort: number, filter: object, clusterMore: object = {}, routing: object = {}): Promise<Lab> {
  const requests: OriginRequest[] = [];
  const origin = await listenHttp((request) => {
    requests.push(request);
    reply(request.socket, "hello");
  });
  t.after(() => origin.close());
  const manager = {
    http_filters: [
      { name: "envoy.filters.http.ext_authz", typed_config: { "@type": filterType, transport_api_version: "V3", ...filter } },
      router,
    ],
    ...routing,
  };
  const proxy = await startTestProxy(
    t,
    bootstrap([httpListener("main", { manager })], [cluster("origin", origin.port), cluster("auth", authPort, clusterMore)]),
  );
  return { proxy, port: proxy.port("main"), requests };
}

async function ask(port: number, request: string): Promise<string> {
  const client = await connectRaw(port);
  client.socket.write(request);
  const text = await client.until(hasResponses(1));
  client.socket.destroy();
  return text;
}

const get = (path: string, extra = ""): string => `GET ${path} HTTP/1.1\r\nHost: lab\r\n${extra}\r\n`;
const post = (body: string, extra = ""): string =>
  `POST /up HTTP/1.1\r\nHost: lab\r\n${extra}content-length: ${body.length}\r\n\r\n${body}`;
const exact = (...names: readonly string[]): object => ({ patterns: names.map((name) => ({ exact: name, ignore_case: true })) });
const httpService = (more: object = {}): object => ({ server_uri: { uri: "http://auth", cluster: "auth", timeout: "2s" }, ...more });

async function httpAuth(t: TestContext, respond: (request: OriginRequest) => void): Promise<{ port: number; asked: OriginRequest[] }> {
  const asked: OriginRequest[] = [];
  const server = await listenHttp((request) => {
    asked.push(request);
    respond(request);
  });
  t.after(() => server.close());
  return { port: server.port, asked };
}

test("HTTP: an allowing server sees what it is to see, and sets and removes headers", async (t) => {
  const auth = await httpAuth(t, ({ socket }) =>
    reply(socket, "", "200 OK", "x-auth-user: alice\r\nx-other: no\r\nx-allowed: yes\r\nx-envoy-auth-headers-to-remove: x-gone\r\n"),
  );
  const { proxy, port, requests } = await lab(t, auth.port, {
    http_service: httpService({
      path_prefix: "/check",
      authorization_request: { headers_to_add: [{ key: "x-from", value: "mesh" }] },
      authorization_response: { allowed_upstream_headers: exact("x-auth-user"), allowed_client_headers_on_success: exact("x-allowed") },
    }),
    allowed_headers: exact("x-token"),
  });
  const fields = "x-token: t\r\nx-secret: s\r\nauthorization: Basic a\r\nx-auth-user: mallory\r\nx-gone: 1\r\n";
  const response = await ask(port, get("/a?b=c", fields));
  assert.match(response, /^HTTP\/1\.1 200 OK\r\n/);
  assert.match(response, /\r\nx-allowed: yes\r\n/);
  assert.doesNotMatch(response, /x-auth-user|x-other/);
  assert.equal(auth.asked[0]!.line, "GET /check/a?b=c HTTP/1.1");
  assert.deepEqual(auth.asked[0]!.fields, ["host: lab", "x-token: t", "authorization: Basic a", "x-from: mesh", "content-length: 0"]);
  const got = requests[0]!.fields.filter((field) => /^x-(auth|gone|other|secret)/.test(field));
  assert.deepEqual(got, ["x-secret: s", "x-auth-user: alice"]);
  assert.equal(proxy.stat("http.main.ext_authz.ok"), 1);
});

test("HTTP: a refusal is passed on with its status, body and the headers that are listed", async (t) => {
  const auth = await httpAuth(t, ({ socket }) =>
    reply(
      socket,
      "go away",
      "401 Unauthorized",
      "www-authenticate: Basic\r\nx-reason: none\r\nx-reason: two\r\nx-inner: 1\r\ncontent-type: text/html\r\n",
    ),
  );
  const { proxy, port, requests } = await lab(t, auth.port, {
    http_service: httpService({ authorization_response: { allowed_client_headers: exact("x-reason") } }),
  });
  const response = await ask(port, get("/"));
  assert.match(response, /^HTTP\/1\.1 401 Unauthorized\r\n/);
  assert.match(response, /\r\n\r\ngo away$/);
  assert.match(response, /\r\nwww-authenticate: Basic\r\n/);
  assert.match(response, /\r\nx-reason: none\r\nx-reason: two\r\n/);
  assert.match(response, /\r\ncontent-type: text\/plain\r\n/);
  assert.doesNotMatch(response, /x-inner/);
  assert.equal(requests.length, 0);
  assert.equal(proxy.stat("http.main.ext_authz.denied"), 1);
  const [record] = await proxy.accessLog(1);
  assert.equal(record!["flags"], "UAEX");
  assert.equal(record!["details"], "ext_authz_denied");
});

test("no answer is a refusal with status_on_error, or lets pass under failure_mode_allow", async (t) => {
  const gone = await listenRaw(() => undefined);
  await gone.close();
  const silent = await listenRaw(() => undefined);
  t.after(() => silent.close());
  const broken = await httpAuth(t, ({ socket }) => reply(socket, "", "503 Service Unavailable"));
  const short = { server_uri: { uri: "http://auth", cluster: "auth", timeout: "0.05s" } };
  const cases: readonly (readonly [title: string, port: number, filter: object, status: number])[] = [
    ["refused connection", gone.port, { http_service: httpService() }, 403],
    ["status", gone.port, { http_service: httpService(), status_on_error: { code: "ServiceUnavailable" } }, 503],
    ["fail open", gone.port, { http_service: httpService(), failure_mode_allow: true, failure_mode_allow_header_add: true }, 200],
    ["timeout", silent.port, { http_service: short }, 403],
    ["a server error", broken.port, { http_service: httpService(), status_on_error: { code: 500 } }, 500],
    ["gRPC, refused connection", gone.port, { grpc_service: { envoy_grpc: { cluster_name: "auth" }, timeout: "1s" } }, 403],
    ["gRPC, no HTTP/2", silent.port, { grpc_service: { envoy_grpc: { cluster_name: "auth" }, timeout: "0.05s" } }, 403],
    ["no such cluster", gone.port, { grpc_service: { envoy_grpc: { cluster_name: "nobody" } } }, 403],
  ];
  for (const [title, authPort, filter, status] of cases) {
    const { proxy, port, requests } = await lab(t, authPort, filter);
    const response = await ask(port, get("/"));
    assert.equal(Number(response.slice(9, 12)), status, title);
    assert.equal(proxy.stat("http.main.ext_authz.error"), 1, title);
    const [record] = await proxy.accessLog(1);
    assert.equal(record!["details"], status === 200 ? "via_upstream" : "ext_authz_error", title);
    if (status === 200) assert.ok(requests[0]!.fields.includes("x-envoy-auth-failure-mode-allowed: true"), title);
  }
});

test("HTTP: the body is shown within its bound and reaches the application whole", async (t) => {
  const auth = await httpAuth(t, ({ socket }) => reply(socket, ""));
  const body = (more: object): object => ({ http_service: httpService(), with_request_body: { max_request_bytes: 8, ...more } });
  const small = await lab(t, auth.port, body({}));
  assert.match(await ask(small.port, post("12345678")), /^HTTP\/1\.1 200/);
  assert.equal(auth.asked.at(-1)!.body, "12345678");
  assert.ok(auth.asked.at(-1)!.fields.includes("x-envoy-auth-partial-body: false"));
  assert.equal(small.requests[0]!.body, "12345678");
  assert.match(await ask(small.port, post("123456789")), /^HTTP\/1\.1 413/);
  assert.match(await ask(small.port, get("/")), /^HTTP\/1\.1 200/);
  const partial = await lab(t, auth.port, body({ allow_partial_message: true }));
  assert.match(await ask(partial.port, post("x".repeat(200_000))), /^HTTP\/1\.1 200/);
  assert.equal(auth.asked.at(-1)!.body, "xxxxxxxx");
  assert.ok(auth.asked.at(-1)!.fields.includes("x-envoy-auth-partial-body: true"));
  assert.equal(partial.requests[0]!.body.length, 200_000);
});

const grpcCluster = {
  typed_extension_protocol_options: {
    "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
      "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
      explicit_http_config: { http2_protocol_options: {} },
    },
  },
};
const grpcService = { grpc_service: { envoy_grpc: { cluster_name: "auth", authority: "auth.test" }, timeout: "2s" } };

async function grpcAuth(t: TestContext, decide: (asked: AskedAbout) => object | undefined): Promise<AuthServer> {
  const server = await listenAuth(decide);
  t.after(() => server.close());
  return server;
}

test("gRPC: the server sees the request, and its answer changes both directions", async (t) => {
  const auth = await grpcAuth(t, () => ({
    status: { code: 0 },
    ok_response: {
      headers: [
        { header: { key: "x-user", value: "alice" } },
        { header: { key: "x-list", value: "b" }, append: { value: true } },
        { header: { key: "x-absent", value: "b" }, append: { value: true } },
        { header: { key: ":path", value: "/evil" } },
        { header: { key: "x-split", value: "a\r\nx-evil: 1" } },
      ],
      headers_to_remove: ["x-gone", "host"],
      response_headers_to_add: [{ header: { key: "x-seen", value: "1" } }],
    },
  }));
  const { port, requests } = await lab(
    t,
    auth.port,
    { ...grpcService, with_request_body: { max_request_bytes: 100, pack_as_bytes: true } },
    grpcCluster,
  );
  const response = await ask(port, post("body", "x-user: mallory\r\nx-list: a\r\nx-gone: 1\r\nx-two: 1\r\nx-two: 2\r\n"));
  assert.match(response, /^HTTP\/1\.1 200 OK\r\n/);
  assert.match(response, /\r\nx-seen: 1\r\n/);
  const { http } = auth.asked[0]!.attributes.request;
  assert.ok(http);
  assert.deepEqual([http.method, http.path, http.host, http.protocol, http.size], ["POST", "/up", "lab", "HTTP/1.1", "4"]);
  assert.equal(Buffer.from(http.raw_body ?? "", "base64").toString(), "body");
  assert.equal(http.headers[":path"], "/up");
  assert.equal(http.headers["x-two"], "1,2");
  assert.equal(http.headers["x-envoy-auth-partial-body"], "false");
  assert.equal(auth.asked[0]!.attributes.source.address.socket_address.address, "127.0.0.1");
  assert.equal(requests[0]!.line, "POST /up HTTP/1.1");
  const got = requests[0]!.fields.filter((field) => /^(host|x-(user|list|absent|gone|evil|split))/.test(field));
  assert.deepEqual(got, ["host: lab", "x-user: alice", "x-list: a,b"]);
});

/** Routes of their own, in a virtual host with settings of its own. */
const routing = (host: object, ...routes: readonly object[]): object => ({
  route_config: {
    virtual_hosts: [{ name: "all", domains: ["*"], typed_per_filter_config: perFilter(host), routes }],
  },
});
const perFilter = (settings: object): object => ({
  "envoy.filters.http.ext_authz": {
    "@type": "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute",
    ...settings,
  },
});
const forward = (prefix: string, settings?: object): object => ({
  match: { prefix },
  route: { cluster: "origin" },
  ...(settings === undefined ? {} : { typed_per_filter_config: perFilter(settings) }),
});

test("gRPC: a route says more to the server, and how much of the body it sees", async (t) => {
  const auth = await grpcAuth(t, () => ({ status: { code: 0 } }));
  const { port } = await lab(
    t,
    auth.port,
    { ...grpcService, with_request_body: { max_request_bytes: 100 } },
    grpcCluster,
    routing(
      { check_settings: { context_extensions: { host: "all", level: "host" } } },
      forward("/none", { check_settings: { disable_request_body_buffering: true, context_extensions: { level: "route" } } }),
      forward("/little", {
        check_settings: { with_request_body: { max_request_bytes: 2, allow_partial_message: true, pack_as_bytes: true } },
      }),
      forward("/off", { disabled: true }),
      forward("/"),
    ),
  );
  for (const path of ["/none", "/little", "/off", "/whole"]) {
    const request = `POST ${path} HTTP/1.1\r\nHost: lab\r\ncontent-length: 4\r\n\r\nbody`;
    assert.match(await ask(port, request), /^HTTP\/1\.1 200 OK\r\n/, path);
  }
  const shown = auth.asked.map(({ attributes: { request, context_extensions: extensions } }) => [
    request.http?.path,
    request.http?.body ?? "",
    Buffer.from(request.http?.raw_body ?? "", "base64").toString(),
    extensions,
  ]);
  assert.deepEqual(shown, [
    ["/none", "", "", { host: "all", level: "route" }],
    ["/little", "", "bo", { host: "all", level: "host" }],
    ["/whole", "body", "", { host: "all", level: "host" }],
  ]);
});

for (const clear of [true, false]) {
  test(`the route is ${clear ? "chosen again by what the server said" : "kept"} with clear_route_cache ${clear}`, async (t) => {
    const auth = await httpAuth(t, ({ socket, line }) => reply(socket, "", "200 OK", line.includes("/plain") ? "" : "x-tier: gold\r\n"));
    const tier = { name: "x-tier", string_match: { exact: "gold" } };
    const { port } = await lab(
      t,
      auth.port,
      {
        http_service: httpService({ authorization_response: { allowed_upstream_headers: exact("x-tier") } }),
        clear_route_cache: clear,
      },
      {},
      {
        route_config: {
          virtual_hosts: [
            {
              name: "all",
              domains: ["*"],
              routes: [
                { match: { prefix: "/", headers: [tier] }, direct_response: { status: 299 } },
                { match: { prefix: "/" }, direct_response: { status: 298 } },
              ],
            },
          ],
        },
      },
    );
    assert.equal((await ask(port, get("/changed"))).slice(9, 12), clear ? "299" : "298");
    assert.equal((await ask(port, get("/plain"))).slice(9, 12), "298");
  });
}

test("gRPC: a refusal has the server's status, headers and body", async (t) => {
  const auth = await grpcAuth(t, ({ attributes }) =>
    attributes.request.http?.path === "/plain"
      ? { status: { code: 7 } }
      : {
          status: { code: 16 },
          denied_response: { status: { code: 401 }, headers: [{ header: { key: "x-why", value: "because" } }], body: "who are you" },
        },
  );
  const { proxy, port } = await lab(t, auth.port, grpcService, grpcCluster);
  const response = await ask(port, get("/"));
  assert.match(response, /^HTTP\/1\.1 401 Unauthorized\r\n/);
  assert.match(response, /\r\nx-why: because\r\n/);
  assert.match(response, /\r\n\r\nwho are you$/);
  assert.match(await ask(port, get("/plain")), /^HTTP\/1\.1 403 Forbidden\r\n/);
  assert.equal(proxy.stat("http.main.ext_authz.denied"), 2);
});

test("gRPC: a server that never answers is given up in time", async (t) => {
  const auth = await grpcAuth(t, () => undefined);
  const grpc = { grpc_service: { envoy_grpc: { cluster_name: "auth" }, timeout: "0.05s" } };
  const { proxy, port } = await lab(t, auth.port, grpc, grpcCluster);
  assert.match(await ask(port, get("/")), /^HTTP\/1\.1 403 Forbidden\r\n/);
  assert.equal(proxy.stat("http.main.ext_authz.timeout"), 1);
});

test("connections are asked about as well, and closed when refused", async (t) => {
  let allowed = true;
  const auth = await grpcAuth(t, () => ({ status: { code: allowed ? 0 : 7 } }));
  const echo = await listenRaw((socket) => socket.pipe(socket));
  t.after(() => echo.close());
  const listener = {
    name: "tcp",
    address: { socket_address: { address: "127.0.0.1", port_value: 0 } },
    filter_chains: [
      {
        filters: [
          {
            name: "authz",
            typed_config: {
              "@type": "type.googleapis.com/envoy.extensions.filters.network.ext_authz.v3.ExtAuthz",
              stat_prefix: "tcp.",
              ...grpcService,
              transport_api_version: "V3",
            },
          },
          {
            name: "tcp",
            typed_config: {
              "@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
              stat_prefix: "tcp",
              cluster: "echo",
              access_log: accessLog,
            },
          },
        ],
      },
    ],
  };
  const proxy = await startTestProxy(t, bootstrap([listener], [cluster("echo", echo.port), cluster("auth", auth.port, grpcCluster)]));
  const first = await connectRaw(proxy.port("tcp"));
  first.socket.write("ping");
  await first.until((text) => text === "ping");
  first.socket.destroy();
  assert.equal(auth.asked[0]!.attributes.request.http, undefined);
  allowed = false;
  const second = await connectRaw(proxy.port("tcp"));
  await new Promise((resolve) => second.socket.once("close", resolve));
  assert.equal(proxy.stat("ext_authz.tcp.denied"), 1);
  const records = await proxy.accessLog(2);
  assert.ok(records.some((record) => record["flags"] === "UAEX"));
});
