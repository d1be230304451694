// Bytes are the same on both sides whatever their sizes, framings and paces: connections reuse their read buffers, and a piece
// that was kept too long or given back too early would show here.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import http from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { bootstrap, cluster, httpListener, startTestProxy } from "../../support/proxy.ts";

/** Deterministic numbers below `n`. */
function sequence(seed: number): (n: number) => number {
  let state = seed;
  return (n) => (state = (state * 1103515245 + 12345) & 0x7fffffff) % n;
}

const sizes = [0, 1, 300, 4095, 4096, 4097, 8192, 8193, 20_000, 65_536, 200_000, 700_001];

/** A body that names its request, so that bytes of another one cannot pass for it. */
function body(id: number, size: number): Buffer {
  const text = Buffer.alloc(size);
  for (let at = 0; at < size; at += 16) text.write(`${id}:${at}`.padEnd(16, "."), at, "latin1");
  return text;
}

const digest = (bytes: Buffer): string => createHash("sha1").update(bytes).digest("hex");

async function read(stream: http.IncomingMessage, slowly: boolean): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of stream) {
    pieces.push(piece as Buffer);
    if (slowly) await new Promise((resolve) => setImmediate(resolve));
  }
  return Buffer.concat(pieces);
}

for (const retries of [false, true]) {
  test(`bodies arrive unchanged in both directions, ${retries ? "kept for retries" : "streamed"}`, async (t) => {
    const origin = http.createServer((request, response) => {
      void (async () => {
        const received = await read(request, Number(request.headers["x-id"]) % 3 === 0);
        response.setHeader("x-received", digest(received));
        const reply = body(Number(request.headers["x-id"]) + 1_000_000, Number(request.headers["x-reply"]));
        // Half of the replies are chunked, in pieces of odd sizes.
        if (Number(request.headers["x-id"]) % 2 === 0) response.setHeader("content-length", reply.length);
        for (let at = 0; at < reply.length; at += 9973) response.write(reply.subarray(at, at + 9973));
        response.end();
      })();
    });
    await new Promise<void>((resolve) => origin.listen(0, "127.0.0.1", resolve));
    t.after(() => {
      origin.closeAllConnections();
      origin.close();
    });
    const route = { cluster: "origin", ...(retries ? { retry_policy: { retry_on: "connect-failure,reset", num_retries: 2 } } : {}) };
    const listener = httpListener("main", { routes: [{ match: { prefix: "/" }, route }] });
    const proxy = await startTestProxy(t, bootstrap([listener], [cluster("origin", (origin.address() as AddressInfo).port)]));
    const agent = new http.Agent({ keepAlive: true, maxSockets: 24 });
    t.after(() => agent.destroy());
    let failures = 0;
    const exchange = (id: number): Promise<void> =>
      new Promise((resolve, reject) => {
        const random = sequence(id + 7);
        const sent = body(id, sizes[random(sizes.length)]!);
        const replySize = sizes[random(sizes.length)]!;
        const chunked = random(2) === 0;
        const headers = { "x-id": id, "x-reply": replySize, ...(chunked ? {} : { "content-length": sent.length }) };
        const request = http.request({ port: proxy.port("main"), method: "POST", path: `/${id}`, agent, headers }, (response) => {
          void read(response, id % 5 === 0).then((received) => {
            if (response.headers["x-received"] !== digest(sent) || digest(received) !== digest(body(id + 1_000_000, replySize))) failures++;
            resolve();
          }, reject);
        });
        request.on("error", reject);
        for (let at = 0; at < sent.length; at += 30_011) request.write(sent.subarray(at, at + 30_011));
        request.end();
      });
    await Promise.all(Array.from({ length: 400 }, (_, id) => exchange(id)));
    assert.equal(failures, 0);
    assert.equal(proxy.stat("cluster.origin.upstream_rq_200"), 400);
  });
}
