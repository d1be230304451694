// WebSocket over HTTP/2 (extended CONNECT, RFC 8441) on either side of the proxy, and over HTTP/1.1 on the other.
import assert from "node:assert/strict";
import { connect as connectTcp } from "node:net";
import type { ClientHttp2Session } from "node:http2";
import { test, type TestContext } from "node:test";
import { connectH2, listenH2, protocolOptions, requestH2 } from "../../support/h2-origin.ts";
import { bootstrap, cluster, httpListener, startTestProxy } from "../../support/proxy.ts";
import { listenRaw } from "../../support/raw-http.ts";

const manager = { upgrade_configs: [{ upgrade_type: "websocket" }], http2_protocol_options: { allow_connect: true } };
const overHttp2 = protocolOptions({ explicit_http_config: { http2_protocol_options: { allow_connect: true } } });
const connectHead = { ":method": "CONNECT", ":protocol": "websocket", ":scheme": "http", ":path": "/chat", ":authority": "lab" };

/** Agrees to the upgrade and echoes. */
async function http1Echo(t: TestContext, seen: string[] = []) {
  const origin = await listenRaw((socket) => {
    socket.once("data", (head: Buffer) => {
      seen.push(head.toString("latin1"));
      socket.write("HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-accept: x\r\n\r\n");
      socket.pipe(socket);
    });
  });
  t.after(() => origin.close());
  return origin;
}

async function http2Echo(t: TestContext, seen: Record<string, unknown>[]) {
  return listenH2(
    t,
    (stream, headers) => {
      seen.push({ ...headers });
      stream.respond({ ":status": 200 });
      stream.pipe(stream);
    },
    { enableConnectProtocol: true },
  );
}

function ready(client: ClientHttp2Session): Promise<boolean> {
  return new Promise((resolve) => client.once("remoteSettings", ({ enableConnectProtocol }) => resolve(enableConnectProtocol === true)));
}

/** Says something over a tunnel, waits for the echo, ends its side, and waits for the other's end. */
async function talk(client: ClientHttp2Session): Promise<{ status: number | undefined; echoed: string; headers: object }> {
  const stream = client.request(connectHead, { endStream: false });
  const head = new Promise<Record<string, unknown>>((resolve) => stream.once("response", resolve));
  // Before the answer: it must not reach the origin before the origin agreed.
  stream.write("early ");
  const headers = await head;
  stream.end("late");
  let echoed = "";
  for await (const piece of stream) echoed += String(piece);
  return { status: headers[":status"] as number, echoed, headers };
}

test("from HTTP/2 to an HTTP/1.1 origin", async (t) => {
  const seen: string[] = [];
  const origin = await http1Echo(t, seen);
  const proxy = await startTestProxy(t, bootstrap([httpListener("main", { manager })], [cluster("origin", origin.port)]));
  const client = connectH2(t, proxy.port("main"));
  assert.equal(await ready(client), true);
  const { status, echoed, headers } = await talk(client);
  assert.deepEqual([status, echoed], [200, "early late"]);
  assert.deepEqual(["connection" in headers, "upgrade" in headers, "sec-websocket-accept" in headers], [false, false, true]);
  assert.match(seen[0]!, /^GET \/chat HTTP\/1\.1\r\n/);
  assert.match(seen[0]!, /\r\nconnection: Upgrade\r\nupgrade: websocket\r\n/);
  // Nothing of the tunnel came with the head.
  assert.ok(seen[0]!.endsWith("\r\n\r\n"));
});

test("from HTTP/2 to an HTTP/2 origin", async (t) => {
  const seen: Record<string, unknown>[] = [];
  const origin = await http2Echo(t, seen);
  const proxy = await startTestProxy(t, bootstrap([httpListener("main", { manager })], [cluster("origin", origin.port, overHttp2)]));
  const client = connectH2(t, proxy.port("main"));
  await ready(client);
  const { status, echoed } = await talk(client);
  assert.deepEqual([status, echoed], [200, "early late"]);
  assert.deepEqual([seen[0]![":method"], seen[0]![":protocol"], seen[0]![":path"]], ["CONNECT", "websocket", "/chat"]);
});

test("from HTTP/1.1 to an HTTP/2 origin", async (t) => {
  const seen: Record<string, unknown>[] = [];
  const origin = await http2Echo(t, seen);
  const proxy = await startTestProxy(t, bootstrap([httpListener("main", { manager })], [cluster("origin", origin.port, overHttp2)]));
  const socket = connectTcp({ port: proxy.port("main"), host: "127.0.0.1", allowHalfOpen: true });
  t.after(() => void socket.destroy());
  let text = "";
  const until = (end: string): Promise<void> =>
    new Promise((resolve) => {
      const look = (): void => {
        if (text.endsWith(end)) resolve();
        else
          socket.once("data", (data: Buffer) => {
            text += data.toString("latin1");
            look();
          });
      };
      look();
    });
  socket.write("GET /chat HTTP/1.1\r\nhost: lab\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n");
  await until("\r\n\r\n");
  assert.match(text, /^HTTP\/1\.1 101 Switching Protocols\r\n/);
  assert.match(text, /\r\nupgrade: websocket\r\n/);
  socket.write("ping");
  await until("ping");
  assert.equal(seen[0]![":protocol"], "websocket");
});

test("an upgrade that no configuration allows is 403, and CONNECT without a route 404", async (t) => {
  const origin = await http1Echo(t);
  const only = { http2_protocol_options: { allow_connect: true } };
  const proxy = await startTestProxy(t, bootstrap([httpListener("main", { manager: only })], [cluster("origin", origin.port)]));
  const client = connectH2(t, proxy.port("main"));
  await ready(client);
  assert.equal((await requestH2(client, connectHead)).status, 403);
  assert.equal((await requestH2(client, { ":method": "CONNECT", ":authority": "lab:80" })).status, 404);
});

test("a server that does not offer extended CONNECT says so", async (t) => {
  const origin = await http1Echo(t);
  const proxy = await startTestProxy(t, bootstrap([httpListener("main")], [cluster("origin", origin.port)]));
  assert.equal(await ready(connectH2(t, proxy.port("main"))), false);
});
