import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync, readdirSync, readlinkSync } from "node:fs";
import { connect } from "node:net";
import { after, before, describe, test } from "node:test";
import { decode, encode } from "dns-packet";
import { systemClock, type Clock } from "../../src/clock.ts";
import { istioAnswerSettings } from "../../src/dns/answer.ts";
import { Forwarder } from "../../src/dns/forward/forwarder.ts";
import { istioForwardSettings } from "../../src/dns/forward/settings.ts";
import { compileNameTable } from "../../src/dns/name-table.ts";
import { QueryHandler } from "../../src/dns/query-handler.ts";
import type { DnsResponder, DnsResponderOptions } from "../../src/dns/responder.ts";
import type { Logger } from "../../src/telemetry/logger.ts";
import { silentLogger } from "../support/silent-logger.ts";
import { encodeQuestion, readRecording, readReply, type ReadReply } from "../unit/dns/messages.ts";
import {
  askOne,
  askTcp,
  askUdp,
  frame,
  recordStats,
  startResponder,
  startUpstream,
  type Script,
  type StartedResponder,
  type Upstream,
} from "./dns-wire.ts";

const { nameTable, options: view, cases } = readRecording("agent");
// As Istio's proxy, with which the answers are compared, is set; what differs by default is in dns-resolver.test.ts.
const table = compileNameTable(nameTable, { ...view, searchDomains: view.searchDomains.slice(0, 1) });
const giant = Array.from({ length: 64 }, (_, i) => ({ type: "A" as const, name: "giant", ttl: 60, data: `240.0.0.${i}` }));

/** Knows `www.bing.com` and `giant`; NXDOMAIN for the rest. */
const script: Script = (query) => {
  const { id = 0, questions = [] } = decode(query);
  const name = questions[0]?.name;
  if (name === "giant") return [encode({ type: "response", id, questions, answers: giant })];
  if (name === "www.bing.com")
    return [encode({ type: "response", id, questions, answers: [{ type: "A", name, ttl: 60, data: "203.0.113.5" }] })];
  if (name === "large.example") {
    const text = Array.from({ length: 250 }, () => "x".repeat(255));
    return [encode({ type: "response", id, questions, answers: [{ type: "TXT", name, ttl: 60, data: text }] })];
  }
  return [encode({ type: "response", id, flags: 3, questions })];
};

const start = (options: Partial<DnsResponderOptions>): Promise<StartedResponder> =>
  startResponder({ answers: istioAnswerSettings, cache: "none", ...options, forward: { ...istioForwardSettings, ...options.forward } });

for (const batching of [false, true]) {
  describe(batching ? "UDP batched on a thread" : "UDP on dgram", () => {
    let upstream: Upstream;
    let responder: DnsResponder;
    before(async () => {
      upstream = await startUpstream(script);
      ({ responder } = await start({ batching, table, nameServers: [upstream] }));
    });
    after(async () => {
      await responder.close();
      await upstream.close();
    });
    const ask = (transport: "udp" | "tcp", message: Buffer): Promise<ReadReply> => askOne(responder.address, transport, message);

    test("the thread is used where the platform has it, and only when asked for", (context) => {
      if (batching && !responder.batching) context.skip(`no batching on ${process.platform} ${process.arch}`);
      else assert.equal(responder.batching, batching);
    });

    for (const transport of ["udp", "tcp"] as const) {
      for (const recorded of cases) {
        test(`${transport}: ${recorded.name} ${recorded.type} is ${recorded.forwarded ? "asked upstream" : "answered"}`, async () => {
          const reply = await ask(transport, encodeQuestion(recorded.name, recorded.type));
          assert.equal(reply.id, 0x1234);
          if (recorded.forwarded) {
            const known = recorded.name === "www.bing.com";
            assert.equal(reply.rcode, known ? "NOERROR" : "NXDOMAIN");
            assert.deepEqual(reply.answers, known ? ["www.bing.com. A 203.0.113.5"] : []);
            assert.equal(reply.authoritative, false);
          } else {
            assert.equal(reply.rcode, "NOERROR");
            assert.deepEqual(reply.answers.toSorted(), recorded.answers);
            assert.equal(reply.authoritative, true);
          }
        });
      }

      test(`${transport}: a type other than A and AAAA of a known name is asked upstream, with the query as it came`, async () => {
        upstream.queries.length = 0;
        const query = encodeQuestion("productpage.ns1.svc.cluster.local", "SRV", { edns: 1232 });
        assert.equal((await ask(transport, query)).rcode, "NXDOMAIN");
        assert.equal(upstream.queries.length, 1);
        assert.deepEqual(upstream.queries[0]!.subarray(2), query.subarray(2));
      });
    }

    test("an upstream reply too large for a UDP client comes cut with TC set, and whole with EDNS and over TCP", async () => {
      const plain = await ask("udp", encodeQuestion("giant", "A"));
      assert.ok(plain.truncated && plain.answers.length > 0 && plain.answers.length < 64);
      for (const reply of [
        await ask("udp", encodeQuestion("giant", "A", { edns: 65535 })),
        await ask("tcp", encodeQuestion("giant", "A")),
      ]) {
        assert.equal(reply.truncated, false);
        assert.equal(reply.answers.length, 64);
      }
      assert.equal((await ask("tcp", encodeQuestion("large.example", "TXT"))).answers.length, 1);
    });

    test("malformed queries get FORMERR, other operations NOTIMP, responses nothing, and the next query its answer", async () => {
      const good = encodeQuestion("productpage", "A", { id: 7 });
      const none = Buffer.from("000101000000000000000000", "hex");
      const cut = good.subarray(0, 20);
      const notify = Buffer.from(good);
      notify.writeUInt16BE(0x2000, 2);
      const response = Buffer.from(good);
      response.writeUInt16BE(0x8180, 2);
      const codes = (replies: readonly Buffer[]): readonly string[] => replies.map((reply) => readReply(reply).rcode).toSorted();
      const messages = [Buffer.alloc(0), Buffer.alloc(5), response, none, cut, notify, good];
      assert.deepEqual(codes(await askUdp(responder.address, messages, 4)), ["FORMERR", "FORMERR", "NOERROR", "NOTIMP"]);
      assert.deepEqual(codes(await askTcp(responder.address, messages.map(frame), 4)), ["FORMERR", "FORMERR", "NOERROR", "NOTIMP"]);
    });

    test("a burst of queries is answered completely, each under its own id", async () => {
      const burst = Array.from({ length: 200 }, (_, id) => encodeQuestion(id % 10 === 0 ? "www.bing.com" : "example.ns2", "A", { id }));
      const ids = (await askUdp(responder.address, burst)).map((reply) => readReply(reply).id);
      assert.deepEqual(
        ids.toSorted((left, right) => left - right),
        burst.map((_, id) => id),
      );
    });

    test("what comes after a new table has been set is answered from it", async () => {
      for (const address of ["10.9.9.1", "10.9.9.2", "10.9.9.3"]) {
        responder.setTable(compileNameTable({ table: { "moving.example": { ips: [address] } } }, view));
        for (const transport of ["udp", "tcp"] as const) {
          assert.deepEqual((await ask(transport, encodeQuestion("moving.example", "A"))).answers, [`moving.example. A ${address}`]);
        }
      }
      assert.equal((await ask("udp", encodeQuestion("productpage", "A"))).rcode, "NXDOMAIN");
      responder.setTable(table);
      assert.equal((await ask("udp", encodeQuestion("productpage", "A"))).rcode, "NOERROR");
    });

    test("every query is counted once, and forwarded ones apart", async () => {
      const own = await start({ batching, table, nameServers: [upstream] });
      const questions = ["productpage", "example.ns2", "www.bing.com"].map((name) => encodeQuestion(name, "A"));
      await askUdp(own.responder.address, questions);
      await askTcp(own.responder.address, questions.map(frame), 3);
      await own.responder.close();
      assert.deepEqual(Object.fromEntries([...own.stats.values].filter(([name, value]) => value > 0 && !name.startsWith("dns_tcp"))), {
        dns_requests_total: 6,
        dns_mesh_answers_total: 4,
        dns_upstream_requests_total: 2,
        dns_upstream_request_duration_seconds: 2,
        dns_upstream_rq_time: 2,
      });
    });

    test("before the first table everything is SERVFAIL, or forwarded where that is wanted", async () => {
      for (const [beforeTable, rcode, count] of [
        ["servfail", "SERVFAIL", 0],
        ["forward", "NOERROR", 1],
      ] as const) {
        const own = await start({ batching, beforeTable, nameServers: [upstream] });
        const [reply] = await askUdp(own.responder.address, [encodeQuestion("www.bing.com", "A")]);
        assert.equal(readReply(reply!).rcode, rcode);
        assert.equal(own.stats.values.get("dns_upstream_requests_total") ?? 0, count);
        own.responder.setTable(table);
        assert.equal(readReply((await askUdp(own.responder.address, [encodeQuestion("productpage", "A")]))[0]!).rcode, "NOERROR");
        await own.responder.close();
      }
    });

    test("with dead name servers unknown names are SERVFAIL and mesh names still answered", async () => {
      const dead = await startUpstream(() => []);
      await dead.close();
      const own = await start({ batching, table, nameServers: [dead] });
      for (const name of ["unknown.example", "productpage"]) {
        const expected = name === "productpage" ? "NOERROR" : "SERVFAIL";
        assert.equal(readReply((await askUdp(own.responder.address, [encodeQuestion(name, "A")]))[0]!).rcode, expected);
        assert.equal(readReply((await askTcp(own.responder.address, [frame(encodeQuestion(name, "A"))], 1))[0]!).rcode, expected);
      }
      assert.equal(own.stats.values.get("dns_upstream_failures_total"), 2);
      await own.responder.close();
    });

    test("the port is free again after close, and closing twice is no fault", async () => {
      const own = await start({ batching, table });
      const { port } = own.responder.address;
      await assert.rejects(start({ batching, table, port }), { code: "EADDRINUSE" });
      await own.responder.close();
      await own.responder.close();
      await (await start({ batching, table, port })).responder.close();
    });

    test("it listens on IPv6", async (context) => {
      const own = await start({ batching, table, host: "::1" }).catch((error: NodeJS.ErrnoException) => error);
      if (own instanceof Error) {
        context.skip(`no ::1 here: ${own.code}`);
        return;
      }
      const [reply] = await askTcp(own.responder.address, [frame(encodeQuestion("productpage", "A"))], 1);
      assert.equal(readReply(reply!).rcode, "NOERROR");
      await own.responder.close();
    });
  });
}

test("upstream replies that do not fit the question are passed over, the true one is taken", async () => {
  const upstream = await startUpstream((query) => {
    const [good] = script(query, "udp", 0);
    const otherId = Buffer.from(good!);
    otherId.writeUInt16BE((query.readUInt16BE(0) + 1) & 0xffff, 0);
    const other = decode(query);
    const otherName = encode({ type: "response", id: other.id ?? 0, questions: [{ name: "evil.example", type: "A" }] });
    return [otherId, otherName, query, good!];
  });
  const { responder } = await start({ table, nameServers: [upstream] });
  const [reply] = await askUdp(responder.address, [encodeQuestion("www.bing.com", "A")]);
  assert.deepEqual(readReply(reply!).answers, ["www.bing.com. A 203.0.113.5"]);
  await responder.close();
  await upstream.close();
});

test("each forwarded query has an id and a source port of its own", async () => {
  const upstream = await startUpstream(script);
  const { responder } = await start({ table, nameServers: [upstream] });
  await askUdp(
    responder.address,
    Array.from({ length: 20 }, () => encodeQuestion("www.bing.com", "A", { id: 1 })),
  );
  const ids = new Set(upstream.queries.map((query) => query.readUInt16BE(0)));
  assert.ok(ids.size > 15, String(ids.size));
  await responder.close();
  await upstream.close();
});

/** Closes the descriptor of this process' UDP socket on `port`, as no code of ours ever would. */
async function breakUdpSocket(port: number): Promise<void> {
  const { load } = (await import("koffi")).default;
  const hex = port.toString(16).toUpperCase().padStart(4, "0");
  const row = readFileSync("/proc/net/udp", "utf8")
    .split("\n")
    .find((line) => line.includes(`0100007F:${hex} 00000000:0000`));
  const inode = row?.trim().split(/\s+/)[9];
  const fd = readdirSync("/proc/self/fd").find((candidate) => readLink(`/proc/self/fd/${candidate}`) === `socket:[${inode}]`);
  assert.ok(fd, "the socket is one of our descriptors");
  assert.equal(load(null).func("int close(int)")(Number(fd)), 0);
}

/** The descriptor that lists the directory is gone when its link is read. */
function readLink(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return "";
  }
}

test("when the thread dies UDP goes on over the portable path", async (context) => {
  const replaced = Promise.withResolvers<void>();
  const logger: Logger = { ...silentLogger, warn: (message) => void (message.includes("going on") && replaced.resolve()) };
  const { responder } = await start({ table, logger });
  if (responder.batching) {
    await breakUdpSocket(responder.address.port);
    await replaced.promise;
    assert.equal(responder.batching, false);
    const [reply] = await askUdp(responder.address, [encodeQuestion("productpage", "A")]);
    assert.equal(readReply(reply!).rcode, "NOERROR");
  } else {
    context.skip("no batching here");
  }
  await responder.close();
});

/** A client in a process of its own, during which this thread stands still. Sends `query` again and again until there is a reply. */
function askWhileBlocked(port: number, query: Buffer, times: number, waitMs = 5000): Buffer {
  const client = `
    const socket = require("node:dgram").createSocket("udp4");
    const query = Buffer.from("${query.toString("hex")}", "hex");
    let left = ${times};
    socket.on("message", (reply) => { process.stdout.write(reply.toString("hex")); process.exit(0); });
    const send = () => { for (let i = 0; i < 32 && left > 0; i++, left--) socket.send(query, ${port}, "127.0.0.1"); if (left > 0) setImmediate(send); };
    send();
    setTimeout(() => process.exit(1), ${waitMs});`;
  const { stdout } = spawnSync(process.execPath, ["-e", client], { encoding: "utf8" });
  return Buffer.from(stdout, "hex");
}

test("the thread answers known names, and refuses a flood of others, while the main thread is busy", async (context) => {
  const { responder } = await start({ table });
  const { port } = responder.address;
  if (responder.batching) {
    assert.deepEqual(readReply(askWhileBlocked(port, encodeQuestion("productpage", "A"), 1)).answers, ["productpage. A 9.9.9.9"]);
    assert.equal(askWhileBlocked(port, encodeQuestion("unknown.example", "A"), 100, 200).length, 0);
    assert.equal(readReply(askWhileBlocked(port, encodeQuestion("unknown.example", "A"), 5000)).rcode, "SERVFAIL");
    assert.equal(readReply((await askUdp(responder.address, [encodeQuestion("unknown.example", "A")]))[0]!).rcode, "SERVFAIL");
  } else {
    context.skip("no batching here");
  }
  await responder.close();
});

/** A clock whose timers fire when told to. */
class ManualClock implements Clock {
  #now = 0;
  readonly #timers = new Set<{ readonly at: number; readonly fire: () => void }>();
  nowMs(): number {
    return this.#now;
  }
  wallMs(): number {
    return this.#now;
  }
  after(delayMs: number, fire: () => void): { cancel(): void } {
    const timer = { at: this.#now + delayMs, fire };
    this.#timers.add(timer);
    return { cancel: () => void this.#timers.delete(timer) };
  }
  advance(ms: number): void {
    this.#now += ms;
    for (const timer of [...this.#timers].filter(({ at }) => at <= this.#now)) {
      this.#timers.delete(timer);
      timer.fire();
    }
  }
}

test("a name server that is silent costs its timeout, then the next one is asked; when all are silent it is SERVFAIL", async () => {
  const clock = new ManualClock();
  const silent = await startUpstream((query) => {
    asked.resolve(query);
    return [];
  });
  const good = await startUpstream(script);
  let asked = Promise.withResolvers<Buffer>();
  // The order of servers is drawn with `random`: 0.99 keeps the given one.
  const first = await start({
    batching: false,
    table,
    clock,
    random: () => 0.99,
    nameServers: [silent, good],
    forward: { timeoutMs: 5000, deadlineMs: 20_000, retries: 0 },
  });
  const replies = askUdp(first.responder.address, [encodeQuestion("www.bing.com", "A")]);
  await asked.promise;
  clock.advance(4999);
  assert.equal(good.queries.length, 0);
  clock.advance(1);
  assert.equal(readReply((await replies)[0]!).rcode, "NOERROR");
  await first.responder.close();

  asked = Promise.withResolvers();
  const second = await start({ batching: false, table, clock, nameServers: [silent], forward: { timeoutMs: 100, retries: 0 } });
  const failed = askUdp(second.responder.address, [encodeQuestion("www.bing.com", "A")]);
  await asked.promise;
  clock.advance(100);
  assert.equal(readReply((await failed)[0]!).rcode, "SERVFAIL");
  assert.equal(second.stats.values.get("dns_upstream_failures_total"), 1);
  await second.responder.close();
  await silent.close();
  await good.close();
});

test("queries beyond the limit of forwarded ones fail at once", async () => {
  const asked = Promise.withResolvers<void>();
  const silent = await startUpstream(() => {
    asked.resolve();
    return [];
  });
  const { responder } = await start({ table, nameServers: [silent], forward: { maxInFlight: 1 } });
  const messages = [1, 2, 3].map((id) => encodeQuestion("unknown.example", "A", { id }));
  const replies = await askUdp(responder.address, messages, 2);
  assert.deepEqual(
    replies.map((reply) => readReply(reply).rcode),
    ["SERVFAIL", "SERVFAIL"],
  );
  await responder.close();
  await silent.close();
});

test("a name server that is the responder itself is never asked", async () => {
  const upstream = await startUpstream(() => []);
  const { port } = upstream;
  await upstream.close();
  const { responder, stats } = await start({ table, port, nameServers: [{ host: "127.0.0.1", port }] });
  for (const [reply] of [
    await askUdp(responder.address, [encodeQuestion("unknown.example", "A")]),
    await askTcp(responder.address, [frame(encodeQuestion("unknown.example", "A"))], 1),
  ]) {
    assert.equal(readReply(reply!).rcode, "SERVFAIL");
  }
  assert.equal(stats.values.get("dns_requests_total"), 2);
  await responder.close();
});

test("a forwarded query that a redirect leads back to the responder is refused, not forwarded again", async () => {
  const arrived = Promise.withResolvers<{ readonly query: Buffer; readonly port: number }>();
  const upstream = await startUpstream((query, _transport, port) => {
    arrived.resolve({ query, port });
    return [];
  });
  const stats = recordStats();
  const forwarder = new Forwarder({ nameServers: [upstream], clock: systemClock, logger: silentLogger, stats, random: Math.random });
  const handler = new QueryHandler({
    forwarder,
    answers: istioAnswerSettings,
    counters: { requests: stats.counter("requests"), mesh: stats.counter("mesh"), overflow: stats.counter("overflow") },
    random: Math.random,
    beforeTable: "servfail",
  });
  handler.setTable(table);
  const replies: string[] = [];
  const sink = { send: (reply: Buffer, peer: string) => void replies.push(`${peer} ${readReply(reply).rcode}`) };
  handler.handle(encodeQuestion("unknown.example", "A"), "udp", 1000, "client", sink);
  const { query, port } = await arrived.promise;
  // What iptables does: the forwarder's own query arrives here, from the forwarder's own port.
  handler.handle(query, "udp", port, "ourselves", sink);
  assert.deepEqual(replies, ["ourselves SERVFAIL"]);
  assert.equal(stats.values.get("dns_upstream_requests_total"), 1);
  forwarder.close();
  await upstream.close();
});

test("TCP: queries in pieces, in one piece and pipelined beyond the limit are all answered", async () => {
  const { responder } = await start({ table });
  const message = frame(encodeQuestion("productpage", "A"));
  const pieces = [...message].map((byte) => Buffer.of(byte));
  assert.equal((await askTcp(responder.address, pieces, 1)).length, 1);
  assert.equal((await askTcp(responder.address, [Buffer.concat(Array.from({ length: 1000 }, () => message))], 1000)).length, 1000);
  await responder.close();
});

test("TCP: a client that sends FIN behind its query still gets the answer, then the connection ends", async () => {
  const upstream = await startUpstream(script);
  const { responder } = await start({ table, nameServers: [upstream] });
  for (const name of ["productpage", "www.bing.com"]) {
    const socket = connect(responder.address);
    const chunks: Buffer[] = [];
    socket.on("data", (chunk: Buffer) => chunks.push(chunk));
    socket.end(frame(encodeQuestion(name, "A")));
    await once(socket, "close");
    assert.equal(readReply(Buffer.concat(chunks).subarray(2)).rcode, "NOERROR", name);
  }
  await responder.close();
  await upstream.close();
});

test("TCP: a silent connection is closed after the idle time, and not while it waits for an answer", async () => {
  const clock = new ManualClock();
  const asked = Promise.withResolvers<void>();
  const silent = await startUpstream(() => {
    asked.resolve();
    return [];
  });
  const { responder } = await start({
    batching: false,
    table,
    clock,
    nameServers: [silent],
    forward: { timeoutMs: 20_000, deadlineMs: 20_000 },
  });
  const waiting = connect(responder.address);
  waiting.write(frame(encodeQuestion("unknown.example", "A")));
  const closed = once(waiting, "close").then(() => assert.fail("closed while it waited"));
  const reply = Promise.race([once(waiting, "data"), closed]);
  await asked.promise;
  const idle = connect(responder.address);
  idle.write(frame(encodeQuestion("productpage", "A")));
  await once(idle, "data");
  clock.advance(8000);
  await once(idle, "close");
  clock.advance(12_000);
  const [chunk] = (await reply) as [Buffer];
  assert.equal(readReply(chunk.subarray(2)).rcode, "SERVFAIL");
  waiting.destroy();
  await responder.close();
  await silent.close();
});

test("localhost without name servers is 127.0.0.1", async () => {
  const { responder } = await start({ table, host: "localhost" });
  assert.deepEqual(responder.hosts, ["127.0.0.1"]);
  await responder.close();
});
