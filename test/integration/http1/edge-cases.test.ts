// What comparing with Envoy has shown about single requests, held where Envoy is not at hand.
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { bootstrap, cluster, httpListener, startTestProxy, type TestProxy } from "../../support/proxy.ts";
import { connectRaw, hasResponses, listenHttp, reply } from "../../support/raw-http.ts";

const host = "Host: lab\r\n";

/** A proxy before an origin that echoes its request, or answers what its path says. */
async function started(t: TestContext, manager: object, routes?: readonly object[], more: object = {}): Promise<TestProxy> {
  const origin = await listenHttp(({ line, fields, socket }) => {
    if (line.includes("/403")) reply(socket, "no", "403 Forbidden", "x-a: b\r\n");
    else reply(socket, [line, ...fields].join("\n"));
  });
  t.after(() => origin.close());
  const listener = httpListener("main", { manager, ...(routes === undefined ? {} : { routes }) });
  return startTestProxy(
    t,
    bootstrap([listener], [cluster("origin", origin.port, more), { ...cluster("empty", 1), load_assignment: { cluster_name: "empty" } }]),
  );
}

async function answer(proxy: TestProxy, request: string): Promise<string> {
  const client = await connectRaw(proxy.port("main"));
  client.socket.write(request);
  const text = await client.until(hasResponses(1));
  client.socket.destroy();
  return text;
}

test("X-Forwarded-For that is no address names nobody", async (t) => {
  const proxy = await started(t, { use_remote_address: true, xff_num_trusted_hops: 1 });
  assert.match(
    await answer(proxy, `GET / HTTP/1.1\r\n${host}X-Forwarded-For: nonsense\r\n\r\n`),
    /^x-envoy-external-address: 127\.0\.0\.1$/m,
  );
  assert.match(await answer(proxy, `GET / HTTP/1.1\r\n${host}X-Forwarded-For: 9.9.9.9\r\n\r\n`), /^x-envoy-external-address: 9\.9\.9\.9$/m);
});

test("an empty X-Request-Id is none", async (t) => {
  const proxy = await started(t, {});
  assert.match(await answer(proxy, `GET / HTTP/1.1\r\n${host}X-Request-Id:\r\n\r\n`), /^x-request-id: [0-9a-f-]{36}$/m);
});

test("a client that leaves inside its head has a record", async (t) => {
  const proxy = await started(t, {});
  const client = await connectRaw(proxy.port("main"));
  client.socket.end("GET / HTTP/1.1\r\nHo");
  const [record] = await proxy.accessLog(1);
  assert.deepEqual([record!["status"], record!["flags"], record!["details"]], [0, "DC", "downstream_remote_disconnect"]);
});

test("the number of attempts is in replies of the proxy's own too", async (t) => {
  const virtual_hosts = [
    {
      name: "all",
      domains: ["*"],
      include_attempt_count_in_response: true,
      routes: [{ match: { prefix: "/" }, route: { cluster: "empty" } }],
    },
  ];
  const proxy = await started(t, { route_config: { name: "r", virtual_hosts } });
  assert.match(await answer(proxy, `GET / HTTP/1.1\r\n${host}\r\n`), /^HTTP\/1\.1 503 [^]*x-envoy-attempt-count: 1\r$/m);
});

test("an upgrade that the origin refuses is answered by the origin", async (t) => {
  const proxy = await started(t, { upgrade_configs: [{ upgrade_type: "websocket" }] });
  const text = await answer(proxy, `GET /403 HTTP/1.1\r\n${host}Connection: upgrade\r\nUpgrade: websocket\r\n\r\n`);
  assert.match(text, /^HTTP\/1\.1 403 Forbidden\r\n[^]*x-a: b\r\n[^]*\r\n\r\nno$/);
});

for (const [policy, issued] of [
  ["ROUND_ROBIN", false],
  ["RING_HASH", true],
] as const) {
  test(`${policy} ${issued ? "issues" : "does not issue"} a cookie to hash`, async (t) => {
    const route = { cluster: "origin", hash_policy: [{ cookie: { name: "c", ttl: "1s" } }] };
    const proxy = await started(t, {}, [{ match: { prefix: "/" }, route }], { lb_policy: policy });
    assert.equal(/^set-cookie: c=/m.test(await answer(proxy, `GET / HTTP/1.1\r\n${host}\r\n`)), issued);
  });
}

test("an answer before the request is complete ends an HTTP/1 connection", async (t) => {
  const proxy = await started(t, {}, [{ match: { prefix: "/" }, direct_response: { status: 200 } }]);
  assert.match(await answer(proxy, `POST / HTTP/1.1\r\n${host}Content-Length: 5\r\n\r\nab`), /^connection: close\r$/m);
});

test("a path with escaped slashes is refused and the connection goes on", async (t) => {
  const proxy = await started(t, { path_with_escaped_slashes_action: "REJECT_REQUEST" });
  const client = await connectRaw(proxy.port("main"));
  client.socket.write(`GET /a%2Fb HTTP/1.1\r\n${host}\r\nGET /c HTTP/1.1\r\n${host}\r\n`);
  assert.match(await client.until(hasResponses(2)), /^HTTP\/1\.1 400 [^]*HTTP\/1\.1 200 /);
  client.socket.destroy();
});
