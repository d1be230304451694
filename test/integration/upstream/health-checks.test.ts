// Active health checks over real sockets: what hosts are asked, what their answers do, and who gets traffic.
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { bootstrap, cluster, httpListener, startTestProxy, type TestProxy } from "../../support/proxy.ts";
import { explicitHttp2, listenH2 } from "../../support/h2-origin.ts";
import { healthCheckJson } from "../../support/health-models.ts";
import { until } from "../../support/l4-proxy.ts";
import { connectRaw, hasResponses, listenHttp } from "../../support/raw-http.ts";
import { closedPort, serve } from "../../support/tcp.ts";

interface Origin {
  readonly port: number;
  /** Heads of the checks. */
  readonly checks: readonly string[];
  served: number;
  /** How checks are answered; "" = not at all. */
  answer: string;
  /** Header fields of all answers. */
  fields: string;
}

/** Answers checks of /hc as it is told, and all else with 200. */
async function origin(t: TestContext, answer = "200 OK", fields = ""): Promise<Origin> {
  const checks: string[] = [];
  const made = { port: 0, checks, served: 0, answer, fields };
  const server = await listenHttp(({ socket, line, fields, body }) => {
    const head = [line, ...fields, "", body].join("\r\n");
    const check = head.includes(" /hc ");
    if (check) checks.push(head);
    else made.served++;
    if (check && made.answer === "") return;
    socket.write(`HTTP/1.1 ${check ? made.answer : "200 OK"}\r\n${made.fields}content-length: 2\r\n\r\nok`);
  });
  t.after(() => server.close());
  made.port = server.port;
  return made;
}

const fast = { timeout: "5s", interval: "0.02s", no_traffic_interval: "0.02s" };

/** A proxy whose cluster `origin` has these ports and this check. */
function start(t: TestContext, ports: readonly number[], check: object, more: object = {}): Promise<TestProxy> {
  const settings = {
    health_checks: [{ ...healthCheckJson(check), ...fast, ...check }],
    common_lb_config: { healthy_panic_threshold: { value: 0 } },
    load_assignment: {
      cluster_name: "origin",
      endpoints: [
        {
          lb_endpoints: ports.map((port) => ({ endpoint: { address: { socket_address: { address: "127.0.0.1", port_value: port } } } })),
        },
      ],
    },
    ...more,
  };
  return startTestProxy(
    t,
    bootstrap(
      [httpListener("main", { routes: [{ match: { prefix: "/" }, route: { cluster: "origin" } }] })],
      [cluster("origin", 0, settings)],
    ),
  );
}

const byHttp = (over: object = {}): object => ({ http_health_check: { path: "/hc", ...over } });
const stat = (proxy: TestProxy, name: string): number => proxy.stat(`cluster.origin.${name}`);

async function statuses(proxy: TestProxy, count: number): Promise<readonly number[]> {
  const connection = await connectRaw(proxy.port("main"));
  for (let done = 0; done < count; done++) {
    connection.socket.write("GET / HTTP/1.1\r\nHost: lab\r\n\r\n");
    await connection.until(hasResponses(done + 1));
  }
  connection.socket.destroy();
  return [...connection.received.matchAll(/HTTP\/1\.1 (\d+)/g)].map((match) => Number(match[1]));
}

test("by HTTP only hosts that answer as expected get traffic, from the first request on", async (t) => {
  const [good, bad] = [await origin(t), await origin(t, "503 Service Unavailable")];
  const proxy = await start(t, [good.port, bad.port, await closedPort()], byHttp());
  assert.deepEqual([...new Set(await statuses(proxy, 12))], [200]);
  assert.deepEqual([good.served, bad.served], [12, 0]);
  assert.deepEqual([stat(proxy, "membership_healthy"), stat(proxy, "health_check.healthy")], [1, 1]);
  assert.ok(stat(proxy, "health_check.network_failure") >= 1);
  assert.match(good.checks[0] ?? "", /^GET \/hc HTTP\/1\.1\r\nhost: origin\r\nuser-agent: Envoy\/HC\r\n\r\n$/i);
  assert.equal(stat(proxy, "upstream_cx_connect_fail"), 0);
});

test("a host that fails goes at once, and is back after the healthy threshold", async (t) => {
  const only = await origin(t);
  const proxy = await start(t, [only.port], byHttp());
  assert.deepEqual(await statuses(proxy, 1), [200]);
  only.answer = "500 Internal Server Error";
  await until(() => stat(proxy, "health_check.healthy") === 0);
  assert.deepEqual(await statuses(proxy, 1), [503]);
  const before = stat(proxy, "health_check.success");
  only.answer = "200 OK";
  await until(() => stat(proxy, "health_check.healthy") === 1);
  assert.ok(stat(proxy, "health_check.success") >= before + 2);
  assert.deepEqual(await statuses(proxy, 1), [200]);
});

test("a check without an answer times out, and its connection is not used again", async (t) => {
  const only = await origin(t, "");
  const proxy = await start(t, [only.port], { ...byHttp(), timeout: "0.03s" });
  await until(() => stat(proxy, "health_check.network_failure") >= 2);
  assert.deepEqual(await statuses(proxy, 1), [503]);
  only.answer = "200 OK";
  await until(() => stat(proxy, "health_check.healthy") === 1);
});

test("expected and retriable statuses, method, host, headers and body are as configured", async (t) => {
  const only = await origin(t, "202 Accepted");
  const check = byHttp({
    host: "me.example",
    method: "POST",
    send: { text: "6869" },
    expected_statuses: [{ start: 202, end: 203 }],
    retriable_statuses: [{ start: 500, end: 501 }],
    request_headers_to_add: [{ header: { key: "x-check", value: "1" } }],
    request_headers_to_remove: ["user-agent"],
  });
  const proxy = await start(t, [only.port], { ...check, unhealthy_threshold: 1000 });
  await until(() => stat(proxy, "health_check.healthy") === 1);
  assert.match(only.checks[0] ?? "", /^POST \/hc HTTP\/1\.1\r\nhost: me\.example\r\ncontent-length: 2\r\nx-check: 1\r\n/i);
  only.answer = "500 Internal Server Error";
  await until(() => stat(proxy, "health_check.failure") >= 3);
  assert.equal(stat(proxy, "health_check.healthy"), 1);
});

test("the body and the service's name can be asked for", async (t) => {
  const [right, wrong] = [
    await origin(t, "200 OK", "x-envoy-upstream-healthchecked-cluster: shop-1\r\n"),
    await origin(t, "200 OK", "x-envoy-upstream-healthchecked-cluster: till\r\n"),
  ];
  const proxy = await start(t, [right.port, wrong.port], byHttp({ service_name_matcher: { prefix: "shop" }, receive: [{ text: "6f6b" }] }));
  await statuses(proxy, 4);
  assert.deepEqual([right.served, wrong.served], [4, 0]);
  assert.ok(stat(proxy, "health_check.verify_cluster") >= 2);
});

test("a response that asks for it takes its host out, and no host is left for the next request", async (t) => {
  const only = await origin(t);
  const proxy = await start(t, [only.port], { ...byHttp(), interval: "60s", no_traffic_interval: "60s" });
  only.fields = "x-envoy-immediate-health-check-fail: 1\r\n";
  assert.deepEqual(await statuses(proxy, 2), [200, 503]);
  assert.deepEqual([stat(proxy, "health_check.passive_failure"), stat(proxy, "membership_excluded")], [1, 1]);
});

test("a host that calls itself degraded serves only when the others cannot", async (t) => {
  const [good, degraded] = [await origin(t), await origin(t, "200 OK", "x-envoy-degraded: 1\r\n")];
  const proxy = await start(t, [good.port, degraded.port], byHttp());
  assert.equal(stat(proxy, "membership_degraded"), 1);
  await statuses(proxy, 20);
  assert.ok(good.served > degraded.served, `${good.served} of the healthy, ${degraded.served} of the degraded`);
});

test("alt_port and an endpoint's own port are asked in place of the address", async (t) => {
  const [serving, asked] = [await origin(t), await origin(t)];
  const proxy = await start(t, [serving.port], { ...byHttp(), alt_port: asked.port });
  assert.deepEqual(await statuses(proxy, 1), [200]);
  assert.ok(asked.checks.length > 0);
  assert.equal(serving.checks.length, 0);
});

test("by HTTP/2 and without keeping the connection", async (t) => {
  const heads: object[] = [];
  const port = await listenH2(t, (stream, headers) => {
    heads.push(headers);
    stream.respond({ ":status": 200 });
    stream.end();
  });
  const check = { ...byHttp({ codec_client_type: "HTTP2", host: "me" }), reuse_connection: false };
  const proxy = await start(t, [port.port], check, { typed_extension_protocol_options: explicitHttp2 });
  await until(() => stat(proxy, "health_check.success") >= 3);
  assert.equal((heads[0] as Record<string, unknown>)[":authority"], "me");
});

const grpcAnswers: readonly (readonly [string, string, string, number])[] = [
  ["SERVING", "00000000020801", "0", 1],
  ["NOT_SERVING", "00000000020802", "0", 0],
  ["no status", "0000000000", "0", 0],
  ["a failure", "00000000020801", "12", 0],
  ["something else", "00000000030a05", "0", 0],
];
for (const [title, message, status, healthy] of grpcAnswers) {
  test(`by gRPC a host that answers ${title} is ${healthy === 1 ? "healthy" : "not"}`, async (t) => {
    const bodies: string[] = [];
    const server = await listenH2(t, (stream) => {
      stream.on("data", (data: Buffer) => bodies.push(data.toString("hex")));
      stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
      stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": status }));
      stream.end(Buffer.from(message, "hex"));
    });
    const proxy = await start(
      t,
      [server.port],
      { grpc_health_check: { service_name: "svc" } },
      {
        typed_extension_protocol_options: explicitHttp2,
      },
    );
    await until(() => stat(proxy, "health_check.success") + stat(proxy, "health_check.failure") >= 2);
    assert.equal(stat(proxy, "health_check.healthy"), healthy);
    assert.equal(bodies[0], "00000000050a03737663");
  });
}

const tcpAnswers: readonly (readonly [string, object, number])[] = [
  ["to be connected to", {}, 1],
  ["bytes in their order", { send: { text: "50494e47" }, receive: [{ text: "504f" }, { text: "4e47" }] }, 1],
  ["bytes that do not come", { send: { text: "50494e47" }, receive: [{ text: "4e47" }, { text: "504f" }] }, 0],
];
for (const [title, check, healthy] of tcpAnswers) {
  test(`by TCP a host may be asked for ${title}`, async (t) => {
    const { port } = await serve(t, (socket) => {
      socket.on("error", () => {});
      socket.on("data", () => socket.write("xxPOyyNGzz"));
    });
    const proxy = await start(t, [port], { tcp_health_check: check, timeout: healthy === 1 ? "5s" : "0.05s" });
    await until(() => stat(proxy, "health_check.success") + stat(proxy, "health_check.failure") >= 3);
    assert.equal(stat(proxy, "health_check.healthy"), healthy);
  });
}
