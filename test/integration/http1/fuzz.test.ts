// Mutated requests and responses against a whole proxy: whatever comes, the next client is served, no exception escapes, and
// every request that was counted is over in the end.
import assert from "node:assert/strict";
import { test } from "node:test";
import { bootstrap, cluster, httpListener, startTestProxy } from "../../support/proxy.ts";
import { connectRaw, hasResponses, listenRaw } from "../../support/raw-http.ts";

function sequence(seed: number): (n: number) => number {
  let state = seed;
  return (n) => (state = (state * 1103515245 + 12345) & 0x7fffffff) % n;
}

const requests = [
  "GET /a HTTP/1.1\r\nHost: lab\r\nX: y\r\n z\r\n\r\n",
  "POST /b HTTP/1.1\r\nHost: lab\r\nContent-Length: 5\r\n\r\nhelloGET /c HTTP/1.1\r\nHost: lab\r\n\r\n",
  "POST /d HTTP/1.1\r\nHost: lab\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n3;x=y\r\nabc\r\n0\r\nT: v\r\n\r\n",
  "GET /e HTTP/1.1\r\nHost: lab\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nbytes",
  "HEAD http://lab/f?g HTTP/1.1\r\nHost: x\r\nConnection: close, X\r\nExpect: 100-continue\r\n\r\n",
];
const responses = [
  "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nT: v\r\n\r\n",
  "HTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 204 No\r\nX: y\r\n\r\n",
  "HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\ntunnel",
  "HTTP/1.0 200 OK\r\n\r\nuntil close",
];

function mutate(text: string, random: (n: number) => number): Buffer {
  const bytes = Buffer.from(text, "latin1");
  for (let n = random(5); n > 0; n--) bytes[random(bytes.length)] = random(4) === 0 ? [13, 10, 58, 32][random(4)]! : random(256);
  return random(3) === 0 ? bytes.subarray(0, random(bytes.length) + 1) : bytes;
}

test("1000 mutated exchanges harm nobody else", async (t) => {
  const random = sequence(42);
  let plain = false;
  const origin = await listenRaw((socket) => {
    socket.on("data", () => {
      socket.write(plain ? responses[0]! : mutate(responses[random(responses.length)]!, random));
      if (!plain && random(4) === 0) socket.end();
    });
  });
  t.after(() => origin.close());
  const manager = { upgrade_configs: [{ upgrade_type: "websocket" }], delayed_close_timeout: "0.01s", stream_idle_timeout: "1s" };
  const proxy = await startTestProxy(t, bootstrap([httpListener("main", { manager })], [cluster("origin", origin.port)]));
  const port = proxy.port("main");
  for (let round = 0; round < 40; round++) {
    await Promise.all(
      Array.from({ length: 25 }, async () => {
        const client = await connectRaw(port);
        client.socket.on("error", () => undefined);
        client.socket.write(mutate(requests[random(requests.length)]!, random));
        await Promise.race([
          client.ended,
          client.until((text) => text.length > 0).catch(() => ""),
          new Promise((resolve) => setTimeout(resolve, 20)),
        ]);
        client.socket.destroy();
      }),
    );
  }
  plain = true;
  for (let i = 0; i < 20; i++) {
    const client = await connectRaw(port);
    client.socket.write("GET /after HTTP/1.1\r\nHost: lab\r\n\r\n");
    assert.match(await client.until(hasResponses(1)), /^HTTP\/1\.1 (200|502|503) /);
    client.socket.destroy();
  }
  assert.equal(proxy.stat("server.uncaught_exceptions"), 0);
  for (let turns = 0; proxy.stat("http.main.downstream_rq_active") > 0 && turns < 300; turns++)
    await new Promise((resolve) => setTimeout(resolve, 10));
  assert.equal(proxy.stat("http.main.downstream_rq_active"), 0);
  const answered = [1, 2, 3, 4, 5].reduce((sum, kind) => sum + proxy.stat(`http.main.downstream_rq_${kind}xx`), 0);
  assert.equal(proxy.stat("http.main.downstream_rq_completed"), answered);
  // Each has its record, also where the client left without an answer.
  const total = proxy.stat("http.main.downstream_rq_total");
  assert.equal((await proxy.accessLog(total)).length, total);
  assert.equal(proxy.stat("cluster.origin.upstream_rq_active"), 0);
});
