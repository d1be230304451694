// CONNECT on real sockets: terminated to TCP, forwarded to a proxy behind this one, and refused where nothing allows it.
import assert from "node:assert/strict";
import { once } from "node:events";
import type { Socket } from "node:net";
import { test, type TestContext } from "node:test";
import { connectH2, listenH2, protocolOptions } from "../../support/h2-origin.ts";
import { bootstrap, cluster, httpListener, startTestProxy, type TestProxy } from "../../support/proxy.ts";
import { connectRaw, hasResponses, listenRaw } from "../../support/raw-http.ts";

const manager = { upgrade_configs: [{ upgrade_type: "CONNECT" }] };
const terminate = { upgrade_configs: [{ upgrade_type: "CONNECT", connect_config: {} }] };
const connectRoute = (action: object): object => ({ match: { connect_matcher: {} }, route: { cluster: "origin", ...action } });
const request = "CONNECT db.test:5432 HTTP/1.1\r\nHost: db.test:5432\r\n\r\n";

async function lab(
  t: TestContext,
  routes: readonly object[],
  serve: (socket: Socket) => void = (socket) => void socket.pipe(socket),
): Promise<TestProxy> {
  const origin = await listenRaw(serve, { allowHalfOpen: true });
  t.after(() => origin.close());
  return startTestProxy(t, bootstrap([httpListener("main", { manager, routes })], [cluster("origin", origin.port)]));
}

test("CONNECT is terminated: what follows the 200 are the upstream's own bytes", async (t) => {
  const proxy = await lab(t, [connectRoute(terminate)]);
  const client = await connectRaw(proxy.port("main"));
  client.socket.write(request);
  assert.match(await client.until((text) => text.endsWith("\r\n\r\n")), /^HTTP\/1\.1 200 OK\r\ndate: [^\r]+\r\nserver: envoy\r\n\r\n$/);
  client.socket.write("ping");
  await client.until((text) => text.endsWith("ping"));
  client.socket.destroy();
  const [record] = await proxy.accessLog(1);
  assert.deepEqual(
    { status: record!["status"], flags: record!["flags"], received: record!["received"], sent: record!["sent"] },
    { status: 200, flags: "DC", received: 4, sent: 4 },
  );
  assert.equal(proxy.stat("cluster.origin.upstream_rq_total"), 1);
});

test("bytes sent before the 200 reach the upstream, and its end ends the tunnel", async (t) => {
  const proxy = await lab(t, [connectRoute(terminate)], (socket) => {
    socket.on("data", (data: Buffer) => socket.end(`got ${data.toString()}`));
  });
  const client = await connectRaw(proxy.port("main"));
  client.socket.write(`${request}early`);
  await client.until((text) => text.endsWith("got early"));
  assert.equal(await client.ended, "fin");
});

test("an upstream that speaks first is heard", async (t) => {
  const proxy = await lab(t, [connectRoute(terminate)], (socket) => void socket.write("220 welcome"));
  const client = await connectRaw(proxy.port("main"));
  client.socket.write(request);
  assert.match(await client.until((text) => text.endsWith("220 welcome")), /^HTTP\/1\.1 200 OK\r\n/);
});

test("much data passes a tunnel whole", async (t) => {
  const proxy = await lab(t, [connectRoute(terminate)]);
  const client = await connectRaw(proxy.port("main"));
  client.socket.write(request);
  const { length } = await client.until((text) => text.endsWith("\r\n\r\n"));
  const body = "0123456789abcdef".repeat(1 << 18);
  client.socket.write(body);
  const text = await client.until((received) => received.length >= length + body.length);
  assert.ok(text.slice(length) === body);
});

test("a POST is terminated where allow_post says so", async (t) => {
  const route = {
    match: { prefix: "/" },
    route: { cluster: "origin", upgrade_configs: [{ upgrade_type: "CONNECT", connect_config: { allow_post: true } }] },
  };
  const proxy = await lab(t, [route]);
  const client = await connectRaw(proxy.port("main"));
  client.socket.write("POST / HTTP/1.1\r\nHost: lab\r\nContent-Length: 5\r\n\r\nhello");
  assert.match(await client.until((text) => text.endsWith("\r\n0\r\n\r\n")), /\r\n\r\n5\r\nhello\r\n0\r\n\r\n$/);
});

test("HTTP/2 clients have CONNECT terminated, too, and may end their side first", async (t) => {
  const proxy = await lab(t, [connectRoute(terminate)], (socket) => {
    let text = "";
    socket.on("data", (data: Buffer) => (text += data.toString()));
    socket.on("end", () => socket.end(`all of ${text}`));
  });
  const client = connectH2(t, proxy.port("main"));
  const stream = client.request({ ":method": "CONNECT", ":authority": "db.test:5432" });
  stream.write("early ");
  const [headers] = (await once(stream, "response")) as [Record<string, unknown>];
  assert.equal(headers[":status"], 200);
  stream.end("late");
  let answer = "";
  for await (const piece of stream) answer += String(piece);
  assert.equal(answer, "all of early late");
});

test("without connect_config the request goes on as CONNECT, and only a 2xx opens the tunnel", async (t) => {
  const heads: string[] = [];
  const proxy = await lab(t, [connectRoute({})], (socket) => {
    socket.once("data", (data: Buffer) => {
      heads.push(data.toString("latin1"));
      if (heads.length > 1) return void socket.write("HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 2\r\n\r\nno");
      socket.write("HTTP/1.1 200 Connection Established\r\ncontent-length: 7\r\n\r\n");
      socket.on("data", (bytes: Buffer) => socket.write(`<${bytes.toString()}>`));
    });
  });
  const client = await connectRaw(proxy.port("main"));
  // Bytes before the answer are held back (CVE-2025-64763).
  client.socket.write(`${request}early`);
  const answer = await client.until((text) => text.endsWith("<early>"));
  assert.ok(!answer.includes("content-length"), answer);
  assert.match(heads[0]!, /^CONNECT db\.test:5432 HTTP\/1\.1\r\nhost: db\.test:5432\r\n(?:[^\r]+\r\n)+\r\n$/);
  const refused = await connectRaw(proxy.port("main"));
  refused.socket.write(`${request}early`);
  assert.match(await refused.until(hasResponses(1)), /^HTTP\/1\.1 407 [^]*\r\n\r\nno$/);
  assert.equal(await refused.ended, "fin");
  assert.ok(!heads[1]!.includes("early"));
});

test("CONNECT goes on over HTTP/2", async (t) => {
  const seen: Record<string, unknown>[] = [];
  const origin = await listenH2(t, (stream, headers) => {
    seen.push({ ...headers });
    stream.respond({ ":status": 200 });
    stream.pipe(stream);
  });
  const overHttp2 = protocolOptions({ explicit_http_config: { http2_protocol_options: {} } });
  const listener = httpListener("main", { manager, routes: [connectRoute({})] });
  const proxy = await startTestProxy(t, bootstrap([listener], [cluster("origin", origin.port, overHttp2)]));
  const client = await connectRaw(proxy.port("main"));
  client.socket.write(request);
  await client.until((text) => text.endsWith("\r\n\r\n"));
  client.socket.write("ping");
  await client.until((text) => text.endsWith("ping"));
  assert.deepEqual([seen[0]![":method"], seen[0]![":authority"], seen[0]![":path"]], ["CONNECT", "db.test:5432", undefined]);
});

const refusals: readonly (readonly [string, object[], string, string, string])[] = [
  ["no route is for CONNECT", [{ match: { prefix: "/" }, route: { cluster: "origin" } }], "404", "route_not_found", "NR"],
  [
    "the route switches it off",
    [connectRoute({ upgrade_configs: [{ upgrade_type: "CONNECT", enabled: false }] })],
    "403",
    "upgrade_failed",
    "-",
  ],
];
for (const [name, routes, status, details, flags] of refusals) {
  test(`CONNECT is refused when ${name}`, async (t) => {
    const proxy = await lab(t, routes);
    const client = await connectRaw(proxy.port("main"));
    client.socket.write(request);
    assert.match(await client.until(hasResponses(1)), new RegExp(`^HTTP/1\\.1 ${status} [^]*connection: close\r\n`));
    const [record] = await proxy.accessLog(1);
    assert.equal(record!["details"], details);
    assert.equal(record!["flags"] ?? "-", flags);
  });
}

test("an upstream that cannot be reached is a 503", async (t) => {
  const gone = await listenRaw(() => undefined);
  await gone.close();
  const listener = httpListener("main", { manager, routes: [connectRoute(terminate)] });
  const proxy = await startTestProxy(t, bootstrap([listener], [cluster("origin", gone.port)]));
  const client = await connectRaw(proxy.port("main"));
  client.socket.write(request);
  assert.match(await client.until(hasResponses(1)), /^HTTP\/1\.1 503 [^]*remote connection failure$/);
});
