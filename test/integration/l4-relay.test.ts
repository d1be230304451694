// Both relays on real sockets: the same suite for the portable one and the splice thread.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { connect, createServer } from "node:net";
import type { AddressInfo, Socket } from "node:net";
import { after, before, suite, test } from "node:test";
import type { TestContext } from "node:test";
import { connect as tlsConnect, createServer as createTlsServer } from "node:tls";
import type { Worker } from "node:worker_threads";
import { systemClock } from "../../src/clock.ts";
import { startRelay } from "../../src/net/relay/relay.ts";
import type { Relay, RelayRequest, RelayResult } from "../../src/net/relay/relay.ts";
import { startSpliceRelay } from "../../src/net/relay/splice-relay.ts";
import type { SpliceRelay } from "../../src/net/relay/splice-relay.ts";
import type { Logger } from "../../src/telemetry/logger.ts";
import { makeCa } from "../support/certs.ts";
import { client, echo, serve } from "../support/tcp.ts";
import type { Client } from "../support/tcp.ts";

const silent: Logger = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {}, child: () => silent };

interface Proxy {
  readonly port: number;
  readonly results: readonly RelayResult[];
  readonly relays: readonly Relay[];
  readonly sockets: readonly { readonly downstream: Socket; readonly upstream: Socket }[];
  /** The next relay that ends. */
  ended(): Promise<RelayResult>;
}

// The smallest possible proxy: each connection is relayed to `upstreamPort`.
async function proxy(
  t: TestContext,
  upstreamPort: number,
  splice: SpliceRelay | undefined,
  over: Partial<RelayRequest> = {},
  prepare: (downstream: Socket) => Promise<unknown> = () => Promise.resolve(),
): Promise<Proxy> {
  const results: RelayResult[] = [];
  const relays: Relay[] = [];
  const sockets: { downstream: Socket; upstream: Socket }[] = [];
  const waiting: ((result: RelayResult) => void)[] = [];
  const server = createServer({ pauseOnConnect: true, allowHalfOpen: true, noDelay: true }, (downstream) => {
    downstream.on("error", () => {});
    const upstream = connect({ port: upstreamPort, host: "127.0.0.1", allowHalfOpen: true, noDelay: true });
    upstream.on("error", () => {});
    upstream.once("connect", () => {
      void prepare(downstream).then(() => {
        sockets.push({ downstream, upstream });
        const onEnd = (result: RelayResult): void => {
          results.push(result);
          waiting.shift()?.(result);
        };
        const ends = { downstream: { socket: downstream, raw: true }, upstream: { socket: upstream, raw: true } };
        relays.push(startRelay({ ...ends, initialBytes: undefined, idleTimeoutMs: 0, onEnd, ...over }, { clock: systemClock, splice }));
      });
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    for (const relay of relays) relay.cancel(true);
    server.close();
  });
  const ended = (): Promise<RelayResult> => new Promise((resolve) => waiting.push(resolve));
  return { port: (server.address() as AddressInfo).port, results, relays, sockets, ended };
}

for (const kind of ["portable", "splice"] as const) {
  suite(`${kind} relay`, () => {
    let splice: SpliceRelay | undefined;
    before(async () => {
      if (kind === "splice") splice = startSpliceRelay({ logger: silent });
      await splice?.started;
    });
    after(() => splice?.close());

    // Every test also proves that the connection did not quietly take the other implementation.
    const relayTest = (title: string, run: (t: TestContext) => Promise<void>): void => {
      test(title, async (t) => {
        if (kind === "splice" && !splice?.available) return t.skip("no splice here: this needs Linux and koffi");
        await run(t);
      });
    };

    relayTest("carries bytes both ways, and each FIN by itself", async (t) => {
      const upstream = await serve(t, echo);
      const { port, ended } = await proxy(t, upstream.port, splice);
      const done = ended();
      const c = client(t, port, "ping");
      await c.saw(/ping/);
      if (kind === "splice") assert.equal(splice?.active, 1);
      c.socket.end("pong");
      assert.deepEqual(await c.ended, { received: "pingpongbye", ended: "FIN" });
      assert.deepEqual(await done, { reason: "closed", bytesReceived: 8, bytesSent: 11 });
    });

    relayTest("carries a server's FIN while the client goes on", async (t) => {
      let received = "";
      const upstream = await serve(t, (socket) => {
        socket.end("greeting");
        socket.on("data", (chunk) => (received += chunk.toString()));
      });
      const { port, ended } = await proxy(t, upstream.port, splice);
      const done = ended();
      const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
      t.after(() => socket.destroy());
      socket.resume();
      await once(socket, "end");
      socket.end("still here");
      assert.deepEqual(await done, { reason: "closed", bytesReceived: 10, bytesSent: 8 });
      assert.equal(received, "still here");
    });

    relayTest("writes the initial bytes first, then what Node had read, then the rest", async (t) => {
      const upstream = await serve(t, echo);
      const prepare = async (downstream: Socket): Promise<void> => {
        downstream.read(0);
        while (downstream.readableLength < 6) await once(downstream, "readable");
      };
      const { port, ended } = await proxy(t, upstream.port, splice, { initialBytes: Buffer.from("first ") }, prepare);
      const done = ended();
      const c = client(t, port, "second");
      await c.saw(/second/);
      c.socket.end(" third");
      assert.deepEqual(await c.ended, { received: "first second thirdbye", ended: "FIN" });
      assert.equal((await done).bytesReceived, 18);
    });

    relayTest("carries 200 MB each way unchanged in bounded memory", async (t) => {
      const total = 200 * 1024 * 1024;
      const chunk = Buffer.from(Array.from({ length: 61_357 }, (_, i) => (i * 31 + (i >> 8)) & 255));
      const upstream = await serve(t, (socket) => {
        const up = createHash("sha1");
        socket.on("data", (data) => up.update(data));
        socket.once("end", () => {
          socket.write(up.digest("hex"));
          pour(socket, chunk, total);
        });
      });
      const { port, ended } = await proxy(t, upstream.port, splice);
      const done = ended();
      const expected = createHash("sha1");
      for (let sent = 0; sent < total; sent += chunk.length) expected.update(chunk.subarray(0, Math.min(chunk.length, total - sent)));
      const digest = expected.digest("hex");
      const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
      t.after(() => socket.destroy());
      const rssBefore = process.memoryUsage.rss();
      let peak = rssBefore;
      const down = createHash("sha1");
      let head = "";
      let bytes = 0;
      socket.on("data", (data) => {
        peak = Math.max(peak, process.memoryUsage.rss());
        bytes += data.length;
        const missing = 40 - head.length;
        head += data.subarray(0, missing).toString();
        down.update(data.subarray(Math.max(0, missing)));
      });
      const finished = once(socket, "end");
      pour(socket, chunk, total);
      await finished;
      assert.deepEqual(await done, { reason: "closed", bytesReceived: total, bytesSent: total + 40 });
      assert.equal(bytes, total + 40);
      assert.equal(head, digest, "upstream got other bytes");
      assert.equal(down.digest("hex"), digest, "downstream got other bytes");
      // Client and upstream live in this process too; 400 MB that were kept would show all the same.
      assert.ok(peak - rssBefore < 150 * 1024 * 1024, `RSS grew by ${((peak - rssBefore) / 1048576).toFixed(0)} MB`);
    });

    relayTest("stops reading when nobody takes the bytes, and goes on when somebody does", async (t) => {
      let offered = 0;
      const upstream = await serve(t, (socket) => {
        const chunk = Buffer.alloc(256 * 1024);
        const more = (): void => {
          while (offered < 64 * 1024 * 1024) {
            offered += chunk.length;
            if (!socket.write(chunk)) return void socket.once("drain", more);
          }
          socket.end();
        };
        more();
      });
      const { port, relays } = await proxy(t, upstream.port, splice);
      const socket = connect({ port, host: "127.0.0.1" });
      t.after(() => socket.destroy());
      socket.pause();
      await once(socket, "connect");
      // The kernel's buffers fill first; then the count must stand still.
      await until(() => relays.length > 0 && relays[0]!.bytesSent > 0);
      let seen = -1;
      await until(() => {
        const now = relays[0]!.bytesSent;
        const still = now === seen;
        seen = now;
        return still;
      }, 200);
      assert.ok(seen < 40 * 1024 * 1024, `took ${seen} bytes for a client that reads nothing`);
      let got = 0;
      socket.on("data", (data) => (got += data.length));
      socket.resume();
      await once(socket, "end");
      assert.equal(got, offered);
    });

    relayTest("ends an idle connection with FIN to both sides", async (t) => {
      let upstreamEnded: Promise<unknown> | undefined;
      const upstream = await serve(t, (socket) => {
        upstreamEnded = once(socket, "end");
        socket.on("data", (data) => socket.write(data));
      });
      const { port, ended } = await proxy(t, upstream.port, splice, { idleTimeoutMs: 60 });
      const done = ended();
      const started = performance.now();
      const c = client(t, port, "ping");
      assert.deepEqual(await c.ended, { received: "ping", ended: "FIN" });
      assert.ok(performance.now() - started >= 55, "ended too early");
      assert.deepEqual(await done, { reason: "idle_timeout", bytesReceived: 4, bytesSent: 4 });
      await upstreamEnded;
    });

    relayTest("bytes in either direction keep a connection from being idle", async (t) => {
      const upstream = await serve(t, (socket) => {
        let left = 10;
        const tick = setInterval(() => {
          if (left-- > 0) return void socket.write(".");
          clearInterval(tick);
          socket.end();
        }, 20);
        socket.resume();
        socket.once("close", () => clearInterval(tick));
      });
      const { port } = await proxy(t, upstream.port, splice, { idleTimeoutMs: 120 });
      const c = client(t, port, "x");
      assert.deepEqual(await c.ended, { received: "..........", ended: "FIN" });
    });

    relayTest("passes a client's RST on to upstream", async (t) => {
      let seen: Promise<string> | undefined;
      const upstream = await serve(t, (socket) => {
        seen = new Promise((resolve) => {
          socket.once("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? ""));
          socket.once("end", () => resolve("FIN"));
        });
        socket.on("data", (data) => socket.write(data));
      });
      const { port, ended } = await proxy(t, upstream.port, splice);
      const done = ended();
      const c = client(t, port, "ping");
      await c.saw(/ping/);
      c.socket.resetAndDestroy();
      assert.equal((await done).reason, "downstream_reset");
      assert.equal(await seen, "ECONNRESET");
    });

    relayTest("passes upstream's RST on to the client", async (t) => {
      const upstream = await serve(t, (socket) => {
        socket.on("data", () => socket.resetAndDestroy());
      });
      const { port, ended } = await proxy(t, upstream.port, splice);
      const done = ended();
      const c = client(t, port, "ping");
      assert.equal((await c.ended).ended, "ECONNRESET");
      assert.equal((await done).reason, "upstream_reset");
    });

    relayTest("takes what came before a reset", async (t) => {
      const upstream = await serve(t, (socket) => {
        socket.once("data", () => socket.write("last words", () => socket.resetAndDestroy()));
      });
      const { port, ended } = await proxy(t, upstream.port, splice);
      const done = ended();
      client(t, port, "ping");
      assert.deepEqual(await done, { reason: "upstream_reset", bytesReceived: 4, bytesSent: 10 });
    });

    relayTest("notices a reset while it waits for the other side to take bytes", async (t) => {
      if (kind === "portable") return t.skip("Node does not watch a socket that it neither reads nor writes; the idle timeout ends these");
      const upstream = await serve(t, (socket) => socket.pause());
      const { port, ended, relays } = await proxy(t, upstream.port, splice);
      const done = ended();
      const socket = connect({ port, host: "127.0.0.1" });
      socket.on("error", () => {});
      const chunk = Buffer.alloc(1024 * 1024);
      const more = (): void => {
        while (socket.write(chunk));
        socket.once("drain", more);
      };
      more();
      await until(() => relays.length > 0 && relays[0]!.bytesReceived > 256 * 1024);
      socket.resetAndDestroy();
      assert.equal((await done).reason, "downstream_reset");
    });

    relayTest("cancel ends it: with FIN, or with RST", async (t) => {
      for (const [reset, how] of [
        [false, "FIN"],
        [true, "ECONNRESET"],
      ] as const) {
        const upstream = await serve(t, echo);
        const { port, ended, relays } = await proxy(t, upstream.port, splice);
        const done = ended();
        const c = client(t, port, "ping");
        await c.saw(/ping/);
        relays[0]?.cancel(reset);
        assert.equal((await c.ended).ended, how);
        assert.deepEqual(await done, { reason: "cancelled", bytesReceived: 4, bytesSent: 4 });
        relays[0]?.cancel(true);
      }
    });

    relayTest("ends when somebody destroys one of the sockets", async (t) => {
      const upstream = await serve(t, echo);
      const { port, ended, sockets } = await proxy(t, upstream.port, splice);
      const done = ended();
      const c = client(t, port, "ping");
      await c.saw(/ping/);
      sockets[0]?.downstream.destroy();
      await c.ended;
      await done;
      assert.ok(sockets[0]?.upstream.destroyed);
    });

    relayTest("both sockets are closed when it ends, and stay open until then", async (t) => {
      const upstream = await serve(t, echo);
      const { port, ended, sockets } = await proxy(t, upstream.port, splice);
      const done = ended();
      const c = client(t, port, "ping");
      await c.saw(/ping/);
      assert.deepEqual([sockets[0]?.downstream.destroyed, sockets[0]?.upstream.destroyed], [false, false]);
      c.socket.end();
      await done;
      assert.deepEqual([sockets[0]?.downstream.destroyed, sockets[0]?.upstream.destroyed], [true, true]);
    });

    relayTest("carries many connections at once, each its own bytes", async (t) => {
      const upstream = await serve(t, echo);
      const { port, results } = await proxy(t, upstream.port, splice);
      const clients: Client[] = Array.from({ length: 150 }, (_, i) => client(t, port, `connection ${i};`.repeat(1 + (i % 40) * 50)));
      await Promise.all(clients.map((c, i) => c.saw(new RegExp(`(connection ${i};){${1 + (i % 40) * 50}}`))));
      for (const c of clients) c.socket.end();
      const lives = await Promise.all(clients.map((c) => c.ended));
      for (const [i, life] of lives.entries()) assert.equal(life.received, `${`connection ${i};`.repeat(1 + (i % 40) * 50)}bye`);
      await until(() => results.length === 150);
      assert.ok(results.every((result) => result.reason === "closed"));
      if (kind === "splice") assert.equal(splice?.active, 0);
    });
  });
}

suite("splice thread", () => {
  test("declines what it cannot carry", async (t) => {
    const splice = startSpliceRelay({ logger: silent });
    if (!splice || !(await splice.started)) return t.skip("no splice here: this needs Linux and koffi");
    t.after(() => splice.close());
    const upstream = await serve(t, echo);
    const { port, ended } = await proxy(t, upstream.port, {
      ...splice,
      available: true,
      active: 0,
      started: splice.started,
      close: () => {},
      start: (request) => {
        assert.equal(splice.start({ ...request, upstream: { ...request.upstream, raw: false } }), undefined);
        request.upstream.socket.write("unflushed".repeat(2_000_000));
        assert.equal(splice.start(request), undefined);
        return undefined;
      },
    });
    const done = ended();
    const c = client(t, port, "ping");
    c.socket.end();
    assert.equal((await c.ended).ended, "FIN");
    assert.equal((await done).reason, "closed");
    assert.equal(splice.active, 0);
  });

  test("closing it ends its connections, and later ones go portable", async (t) => {
    const splice = startSpliceRelay({ logger: silent });
    if (!splice || !(await splice.started)) return t.skip("no splice here: this needs Linux and koffi");
    const upstream = await serve(t, echo);
    const { port, ended } = await proxy(t, upstream.port, splice);
    const first = ended();
    const c = client(t, port, "ping");
    await c.saw(/ping/);
    splice.close();
    assert.equal((await first).reason, "cancelled");
    await c.ended;
    assert.equal(splice.available, false);
    const second = ended();
    client(t, port, "again").socket.end();
    assert.equal((await second).reason, "closed");
  });

  test("closed while its thread still starts, it ends by itself", async (t) => {
    const splice = startSpliceRelay({ logger: silent });
    if (!splice) return t.skip("no splice here: this needs Linux and koffi");
    splice.close();
    await splice.ended;
    assert.deepEqual([await splice.started, splice.available], [false, false]);
  });

  test("a thread that dies takes its connections down, tells their owners, and is done without", async (t) => {
    let worker: Worker | undefined;
    const onWorker = (made: Worker): void => void (worker = made);
    process.once("worker", onWorker);
    const splice = startSpliceRelay({ logger: silent });
    if (!splice || !(await splice.started)) return t.skip("no splice here: this needs Linux and koffi");
    const upstream = await serve(t, echo);
    const { port, ended } = await proxy(t, upstream.port, splice);
    const first = ended();
    const c = client(t, port, "ping");
    await c.saw(/ping/);
    await worker?.terminate();
    // Counts are written after the bytes have moved, and the thread may die in between.
    assert.equal((await first).reason, "internal");
    assert.equal((await c.ended).ended, "ECONNRESET");
    const second = ended();
    const d = client(t, port, "again");
    d.socket.end();
    assert.deepEqual(await d.ended, { received: "againbye", ended: "FIN" });
    assert.equal((await second).reason, "closed");
  });
});

test("the portable relay carries TLS on either side unchanged", async (t) => {
  const issued = makeCa().issue({ dns: ["a.test"] });
  const total = 20 * 1024 * 1024;
  const chunk = Buffer.from(Array.from({ length: 40_961 }, (_, i) => (i * 7) & 255));
  const expected = createHash("sha1");
  for (let sent = 0; sent < total; sent += chunk.length) expected.update(chunk.subarray(0, Math.min(chunk.length, total - sent)));
  const digest = expected.digest("hex");
  const upstream = createTlsServer({ cert: issued.cert, key: issued.key, allowHalfOpen: true } as never, (socket) => {
    const up = createHash("sha1");
    socket.on("error", () => socket.destroy());
    socket.on("data", (data) => up.update(data));
    socket.once("end", () => {
      socket.write(up.digest("hex"));
      pour(socket, chunk, total);
    });
  });
  upstream.listen(0, "127.0.0.1");
  await once(upstream, "listening");
  const results: RelayResult[] = [];
  const front = createServer({ pauseOnConnect: true, allowHalfOpen: true }, (downstream) => {
    downstream.on("error", () => {});
    const secure = tlsConnect({
      port: (upstream.address() as AddressInfo).port,
      host: "127.0.0.1",
      rejectUnauthorized: false,
      allowHalfOpen: true,
    } as never);
    secure.on("error", () => {});
    secure.once("secureConnect", () => {
      const ends = { downstream: { socket: downstream, raw: true }, upstream: { socket: secure, raw: false } };
      startRelay(
        { ...ends, initialBytes: undefined, idleTimeoutMs: 5_000, onEnd: (result) => results.push(result) },
        { clock: systemClock },
      );
    });
  });
  front.listen(0, "127.0.0.1");
  await once(front, "listening");
  t.after(() => {
    front.close();
    upstream.close();
  });
  const socket = connect({ port: (front.address() as AddressInfo).port, host: "127.0.0.1", allowHalfOpen: true });
  const down = createHash("sha1");
  let head = "";
  socket.on("data", (data) => {
    const missing = 40 - head.length;
    head += data.subarray(0, missing).toString();
    down.update(data.subarray(Math.max(0, missing)));
  });
  pour(socket, chunk, total);
  await once(socket, "end");
  assert.equal(head, digest);
  assert.equal(down.digest("hex"), digest);
  await until(() => results.length === 1);
  assert.deepEqual(results[0], { reason: "closed", bytesReceived: total, bytesSent: total + 40 });
});

/** Writes `total` bytes of repeated `chunk` as fast as they are taken, then FIN. */
function pour(socket: Socket, chunk: Buffer, total: number): void {
  let sent = 0;
  const more = (): void => {
    while (sent < total) {
      const part = chunk.subarray(0, Math.min(chunk.length, total - sent));
      sent += part.length;
      if (!socket.write(part)) return void socket.once("drain", more);
    }
    socket.end();
  };
  more();
}

/** Looks again every `everyMs` until the condition holds; the test runner's time limit ends a wait in vain. */
async function until(condition: () => boolean, everyMs = 5): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, everyMs));
}
