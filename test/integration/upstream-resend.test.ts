// What makes resending a request safe: the peer's kernel refused its bytes, so nobody has seen it.
import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import net from "node:net";
import { test, type TestContext } from "node:test";
import { systemClock } from "../../src/clock.ts";
import type { ProxyError } from "../../src/error.ts";
import { LazyDeadline } from "../../src/net/deadline.ts";
import { loadLibc } from "../../src/net/native.ts";
import type { Host, UpstreamCluster } from "../../src/upstream/cluster.ts";
import type { ResponseHandler } from "../../src/upstream/pool/exchange.ts";
import { Http1Client } from "../../src/upstream/pool/http1-client.ts";
import { HeaderMap } from "../../src/wire/header-map.ts";
import { cluster as clusterModel } from "../support/cluster-models.ts";
import { listenRaw } from "../support/raw-http.ts";

const counter = { inc: () => undefined, add: () => undefined };
const stats = new Proxy({}, { get: () => counter });
const cluster = { stats, model: clusterModel("c") } as unknown as UpstreamCluster;
const limits = { maxBytes: 8192, maxHeaders: 10, underscores: "ALLOW" } as const;
const request = {
  method: "GET",
  path: "/",
  authority: "a",
  scheme: "http",
  headers: new HeaderMap(),
  upgrade: "",
  expectContinue: false,
  info: { protocol: "HTTP/1.1" },
};

interface Outcome {
  readonly status: number | undefined;
  readonly error: ProxyError | undefined;
}

/** Sends a request and tells how it went. */
function exchange(client: Http1Client, complete = true): Promise<Outcome> {
  return new Promise((resolve) => {
    let status: number | undefined;
    const handler: ResponseHandler = {
      onInformational: () => undefined,
      onResponseHead: (head, endStream) => {
        status = head.status;
        if (endStream) resolve({ status, error: undefined });
      },
      onResponseData: (_data, endStream) => void (endStream && resolve({ status, error: undefined })),
      onResponseTrailers: () => resolve({ status, error: undefined }),
      onResponseReset: (error) => resolve({ status, error }),
      onReadDone: () => undefined,
      onWritable: () => undefined,
    };
    client.send(handler, { ...request, method: complete ? "GET" : "POST" }, complete);
  });
}

/** A connection that has served one request, and the server's end of it. */
async function usedConnection(t: TestContext): Promise<{ client: Http1Client; peer: net.Socket; ports: readonly [number, number] }> {
  let peer: net.Socket | undefined;
  const server = await listenRaw((socket) => {
    peer = socket;
    socket.once("data", () => socket.write("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"));
  });
  t.after(() => server.close());
  const socket = net.connect({ host: "127.0.0.1", port: server.port });
  await once(socket, "connect");
  const owner = { onIdle: () => undefined, onClosed: () => undefined };
  const client = new Http1Client(socket, {} as Host, cluster, undefined, owner, limits, (fire) => new LazyDeadline(systemClock, fire));
  assert.equal((await exchange(client)).status, 200);
  return { client, peer: peer!, ports: [socket.localPort!, server.port] };
}

/**
 * Waits, without a turn of the event loop, until the peer's RST is in: on a busy machine the kernel puts loopback's packets off, and the
 * FIN that came before would be read first. A socket that was reset is no longer listed.
 */
function kernelHasReset(ports: readonly [local: number, remote: number]): void {
  const hex = (port: number): string => `0100007F:${port.toString(16).toUpperCase().padStart(4, "0")} `;
  const listed = `: ${hex(ports[0])}${hex(ports[1])}`;
  for (const deadline = Date.now() + 10_000; readFileSync("/proc/net/tcp", "utf8").includes(listed);)
    assert.ok(Date.now() < deadline, "the connection was not reset");
}

test(
  "a request that met a connection its peer had closed may be sent again",
  { skip: loadLibc() ? false : "needs koffi on Linux to ask the kernel" },
  async (t) => {
    const { client, peer, ports } = await usedConnection(t);
    // Both in one turn: the FIN is on its way, and this side cannot have seen it when it writes.
    peer.destroy();
    assert.equal(client.usable, true);
    const outcome = exchange(client);
    kernelHasReset(ports);
    const { error } = await outcome;
    assert.equal(error?.code, "upstream_closed");
    assert.equal(error.retryable, true);
  },
);

test("a request with a body must not be sent again: its peer may have read a part", async (t) => {
  const { client, peer } = await usedConnection(t);
  peer.destroy();
  const outcome = exchange(client, false);
  client.write(Buffer.from("body"), true);
  assert.equal((await outcome).error?.retryable, false);
});

test("a request that its peer read before closing must not be sent again", async (t) => {
  const { client, peer } = await usedConnection(t);
  peer.once("data", () => peer.end());
  const { error } = await exchange(client);
  assert.equal(error?.code, "upstream_closed");
  assert.equal(error.retryable, false);
});

test("nor one whose peer read it and reset", async (t) => {
  const { client, peer } = await usedConnection(t);
  peer.once("data", () => peer.resetAndDestroy());
  const { error } = await exchange(client);
  assert.equal(error?.retryable, false);
});
