// What the responder does beyond Istio's proxy, as it is set by default: replies kept, shared and given stale; SOA, EDNS and
// HTTPS of mesh names; every search domain; the query log. On both UDP paths and over TCP.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { decode, encode, type Answer } from "dns-packet";
import { defaultCacheSettings } from "../../src/dns/cache/caching-upstream.ts";
import { compileNameTable } from "../../src/dns/name-table.ts";
import type { DnsResponderOptions } from "../../src/dns/responder.ts";
import type { LogFields, Logger } from "../../src/telemetry/logger.ts";
import { manualClock } from "../support/manual-clock.ts";
import { silentLogger } from "../support/silent-logger.ts";
import { encodeQuestion, readReply, type ReadReply } from "../unit/dns/messages.ts";
import {
  askOne,
  askTcp,
  askUdp,
  frame,
  sendOne,
  startResponder,
  startUpstream,
  type Script,
  type StartedResponder,
  type Upstream,
} from "./dns-wire.ts";

const table = compileNameTable(
  { table: { "four.example.com": { ips: ["10.0.0.1"] } } },
  { proxyDomain: "", proxyNamespace: "", searchDomains: ["one.example", "two.example"] },
);

/** 203.0.113.5 for 60 s; no `no-*` exists, for 30 s; `ttl-0-*` must not be kept; `giant` has 64 addresses. */
const script: Script = (query, transport) => {
  const { id = 0, questions = [] } = decode(query);
  const name = questions[0]?.name ?? "";
  if (name.startsWith("no-")) {
    const data = { mname: "ns", rname: "root", serial: 1, refresh: 1, retry: 1, expire: 1, minimum: 30 };
    return [encode({ type: "response", id, flags: 3, questions, authorities: [{ type: "SOA", name: "example", ttl: 90, data }] })];
  }
  const ttl = name.startsWith("ttl-0-") ? 0 : 60;
  const count = name === "giant" ? 64 : 1;
  if (count > 1 && transport === "udp") return [encode({ type: "response", id, flags: 0x200, questions })];
  const answers = Array.from({ length: count }, (_, i): Answer => ({ type: "A", name, ttl, data: `203.0.113.${i + 5}` }));
  return [encode({ type: "response", id, questions, answers })];
};

type Transport = "udp" | "tcp";

interface Started extends StartedResponder {
  ask(transport: Transport, name: string, options?: { type?: "A" | "AAAA"; edns?: number; id?: number }): Promise<ReadReply>;
}

async function start(options: Partial<DnsResponderOptions>): Promise<Started> {
  const { responder, stats } = await startResponder({ table, ...options });
  return {
    responder,
    stats,
    ask: (transport, name, { type = "A", ...rest } = {}) => askOne(responder.address, transport, encodeQuestion(name, type, rest)),
  };
}

for (const batching of [false, true]) {
  describe(batching ? "UDP batched on a thread" : "UDP on dgram", () => {
    let upstream: Upstream;
    before(async () => void (upstream = await startUpstream(script)));
    after(() => upstream.close());

    test("a reply is kept for its TTL, whichever transport it is asked by, and no longer", async () => {
      const clock = manualClock();
      const { responder, stats, ask } = await start({ batching, clock, nameServers: [upstream] });
      upstream.queries.length = 0;
      assert.deepEqual((await ask("udp", "www.example", { id: 1 })).ttls, [60]);
      clock.advance(20_000);
      for (const transport of ["udp", "tcp"] as const) {
        const reply = await ask(transport, "WWW.example", { id: 2 });
        assert.deepEqual([reply.id, reply.question, reply.ttls], [2, "WWW.example A", [40]]);
        assert.equal((await ask(transport, "www.example", { edns: 1232 })).additionals, 1);
      }
      assert.equal(upstream.queries.length, 1);
      // Another type is another question.
      await ask("udp", "www.example", { type: "AAAA" });
      assert.equal(upstream.queries.length, 2);
      clock.advance(40_000);
      assert.deepEqual((await ask("tcp", "www.example")).ttls, [60]);
      assert.equal(upstream.queries.length, 3);
      assert.deepEqual([stats.values.get("dns_cache_hits_total"), stats.values.get("dns_cache_misses_total")], [4, 3]);
      assert.deepEqual([responder.cacheView()?.entries, stats.values.get("dns_cache_entries")], [1, 1]);
      await responder.close();
    });

    test("a name that does not exist is kept as long as its SOA says, a TTL of 0 not at all", async () => {
      const clock = manualClock();
      const { responder, ask } = await start({ batching, clock, nameServers: [upstream] });
      upstream.queries.length = 0;
      for (const transport of ["udp", "tcp"] as const) assert.equal((await ask(transport, "no-such.example")).rcode, "NXDOMAIN");
      assert.equal(upstream.queries.length, 1);
      clock.advance(30_000);
      assert.equal((await ask("udp", "no-such.example")).rcode, "NXDOMAIN");
      assert.equal(upstream.queries.length, 2);
      for (let i = 0; i < 2; i++) await ask("udp", "ttl-0-.example");
      assert.equal(upstream.queries.length, 4);
      await responder.close();
    });

    test("a reply cut over UDP is not kept, the whole one over TCP is, and is cut for each client that needs it", async () => {
      const { responder, ask } = await start({ batching, nameServers: [upstream], forward: { tcpOnTruncation: false } });
      upstream.queries.length = 0;
      for (let i = 0; i < 2; i++) assert.equal((await ask("udp", "giant")).truncated, true);
      assert.equal(upstream.queries.length, 2);
      assert.equal((await ask("tcp", "giant")).answers.length, 64);
      const cut = await ask("udp", "giant");
      assert.ok(cut.truncated && cut.answers.length > 0);
      assert.equal((await ask("udp", "giant", { edns: 4096 })).answers.length, 64);
      assert.equal(upstream.queries.length, 3);
      await responder.close();
    });

    test("TTLs are kept within their settings, and no more is kept than may be", async () => {
      const clock = manualClock();
      const cache = { ...defaultCacheSettings, minTtlS: 10, maxTtlS: 30, maxNegativeTtlS: 20, maxStaleS: 0, maxEntries: 2 };
      const { responder, ask } = await start({ batching, clock, cache, nameServers: [upstream] });
      upstream.queries.length = 0;
      const asked = async (name: string): Promise<boolean> => {
        const already = upstream.queries.length;
        await ask("udp", name);
        return upstream.queries.length > already;
      };
      for (const [name, keptS] of [
        ["ttl-0-.example", 10],
        ["www.example", 30],
        ["no-such.example", 20],
      ] as const) {
        assert.equal(await asked(name), true, name);
        clock.advance(keptS * 1000 - 1);
        assert.equal(await asked(name), false, name);
        clock.advance(1);
        assert.equal(await asked(name), true, name);
      }
      for (const name of ["a.example", "b.example", "c.example"]) await asked(name);
      assert.equal(responder.cacheView()?.entries, 2);
      assert.equal(await asked("c.example"), false);
      assert.equal(await asked("a.example"), true);
      await responder.close();
    });

    test("a query whose flags or options change the answer is another question, or nobody else's", async () => {
      const { responder } = await start({ batching, nameServers: [upstream] });
      const plain = encodeQuestion("www.example", "A", { edns: 1232 });
      const signed = Buffer.from(plain);
      signed.writeUInt16BE(0x8000, signed.length - 4);
      const unrecursive = Buffer.from(plain);
      unrecursive.writeUInt16BE(0, 2);
      const option = (code: number): Buffer => {
        const message = Buffer.concat([plain, Buffer.from([0, code, 0, 8, 0, 1, 32, 0, 10, 0, 0, 1])]);
        message.writeUInt16BE(12, plain.length - 2);
        return message;
      };
      upstream.queries.length = 0;
      for (const [message, trips] of [
        [plain, 1],
        [signed, 2],
        [signed, 2],
        [unrecursive, 3],
        // A cookie is between neighbours, the client's subnet is not.
        [option(10), 3],
        [option(8), 4],
        [option(8), 5],
      ] as const) {
        await askUdp(responder.address, [message]);
        assert.equal(upstream.queries.length, trips);
      }
      await responder.close();
    });

    test("clients that ask the same at once share one trip upstream, each under its own id and spelling", async () => {
      let trips = 0;
      const slow = await startUpstream(() => {
        trips++;
        return [];
      });
      const silent = await start({ batching, nameServers: [slow], forward: { timeoutMs: 300, retries: 0 } });
      const messages = Array.from({ length: 30 }, (_, i) => encodeQuestion(i % 2 ? "www.example" : "WWW.example", "A", { id: i }));
      const failed = askUdp(silent.responder.address, messages);
      const other = askTcp(silent.responder.address, messages.map(frame), 30);
      for (const replies of [await failed, await other]) {
        assert.deepEqual(
          replies.map((reply) => `${readReply(reply).id} ${readReply(reply).rcode}`).toSorted(),
          messages.map((_, i) => `${i} SERVFAIL`).toSorted(),
        );
      }
      assert.equal(trips, 2);
      assert.equal(silent.stats.values.get("dns_cache_shared_total"), 58);
      await silent.responder.close();
      await slow.close();

      const { responder, stats } = await start({ batching, nameServers: [upstream] });
      for (const replies of [
        await askUdp(responder.address, messages),
        await askTcp(responder.address, [Buffer.concat(messages.map(frame))], messages.length),
      ]) {
        const read = replies.map((reply) => readReply(reply));
        assert.deepEqual(
          read.map(({ id, question, answers }) => `${id} ${question} ${answers.length}`).toSorted(),
          messages.map((_, i) => `${i} ${i % 2 ? "www" : "WWW"}.example A 1`).toSorted(),
        );
      }
      assert.ok(stats.values.get("dns_upstream_requests_total")! <= 2);
      await responder.close();
    });

    test("while upstream fails what has run out is given for 30 s at a time, until it is too old", async () => {
      const clock = manualClock();
      let failing = false;
      const flaky = await startUpstream((query, transport, port) => {
        if (!failing) return script(query, transport, port);
        const { id = 0, questions = [] } = decode(query);
        return [encode({ type: "response", id, flags: 2, questions })];
      });
      const cache = { ...defaultCacheSettings, maxStaleS: 100 };
      const { responder, stats, ask } = await start({ batching, clock, cache, nameServers: [flaky] });
      await ask("udp", "www.example");
      failing = true;
      clock.advance(60_000);
      for (const transport of ["udp", "tcp", "udp"] as const) {
        const reply = await ask(transport, "www.example");
        assert.deepEqual([reply.rcode, reply.ttls], ["NOERROR", [30]]);
      }
      // The first of the three found out that upstream fails, the others did not have to.
      assert.equal(flaky.queries.length, 2);
      clock.advance(5000);
      assert.equal((await ask("tcp", "www.example")).rcode, "NOERROR");
      assert.equal(flaky.queries.length, 3);
      assert.equal(stats.values.get("dns_cache_stale_total"), 4);
      assert.equal((await ask("udp", "never-asked.example")).rcode, "SERVFAIL");
      failing = false;
      clock.advance(5000);
      assert.deepEqual((await ask("udp", "www.example")).ttls, [60]);
      failing = true;
      clock.advance(160_000);
      assert.equal((await ask("udp", "www.example")).rcode, "SERVFAIL");
      await responder.close();
      await flaky.close();
    });

    test("a client with a stale reply at hand does not wait longer than 1.8 s for a silent upstream", async () => {
      const clock = manualClock();
      let silent = false;
      let arrived = Promise.withResolvers<void>();
      const flaky = await startUpstream((query, transport, port) => {
        arrived.resolve();
        return silent ? [] : script(query, transport, port);
      });
      const { responder, stats, ask } = await start({ batching, clock, nameServers: [flaky] });
      await ask("udp", "www.example");
      silent = true;
      clock.advance(60_000);
      for (const transport of ["udp", "tcp"] as const) {
        arrived = Promise.withResolvers();
        const waiting = ask(transport, "www.example");
        await arrived.promise;
        clock.advance(1800);
        assert.deepEqual((await waiting).ttls, [30]);
        // Nobody waits now, and the server's deadline changes nothing.
        clock.advance(3000);
        assert.equal((await ask(transport, "www.example")).rcode, "NOERROR");
        clock.advance(5000);
      }
      assert.equal(stats.values.get("dns_cache_stale_total"), 4);
      await responder.close();
      await flaky.close();
    });

    test("with dead name servers mesh names are answered and others SERVFAIL, with what the client can do in the reply", async () => {
      const dead = await startUpstream(() => []);
      await dead.close();
      const { responder, ask } = await start({ batching, nameServers: [dead], forward: { timeoutMs: 1000, retries: 0 } });
      for (const transport of ["udp", "tcp"] as const) {
        const startedMs = performance.now();
        const failed = await ask(transport, "unknown.example", { edns: 1232 });
        assert.ok(performance.now() - startedMs < 2000);
        assert.deepEqual([failed.rcode, failed.additionals], ["SERVFAIL", 1]);
        assert.deepEqual((await ask(transport, "four.example.com")).answers, ["four.example.com. A 10.0.0.1"]);
      }
      await responder.close();
    });

    test("mesh names: SOA where there is no address, EDNS for EDNS, no HTTPS, every search domain", async () => {
      const { responder, ask } = await start({ batching, nameServers: [upstream] });
      upstream.queries.length = 0;
      for (const transport of ["udp", "tcp"] as const) {
        const https = encodeQuestion("four.example.com", "A");
        https.writeUInt16BE(65, https.length - 4);
        for (const message of [encodeQuestion("four.example.com", "AAAA"), https]) {
          const { answers, authorities } = decode(await sendOne(responder.address, transport, message));
          assert.deepEqual([answers, authorities?.map(({ type, name }) => `${type} ${name}`)], [[], ["SOA four.example.com"]]);
        }
        assert.equal((await ask(transport, "four.example.com", { edns: 1232 })).additionals, 1);
        assert.equal((await ask(transport, "four.example.com")).additionals, 0);
        for (const domain of ["one.example", "two.example"]) {
          const { answers } = await ask(transport, `four.example.com.${domain}`);
          assert.deepEqual(answers, [`four.example.com.${domain}. CNAME four.example.com.`, "four.example.com. A 10.0.0.1"]);
        }
      }
      assert.equal(upstream.queries.length, 0);
      await responder.close();
    });

    test("with the log on every query is one record, whoever answers it; with it off there is none", async () => {
      const records: LogFields[] = [];
      const logger: Logger = {
        ...silentLogger,
        debug: (message, fields) => void (message === "dns query" && fields && records.push(fields)),
      };
      let on = true;
      const { responder, ask } = await start({ batching, logger, logQueries: () => on, nameServers: [upstream] });
      await ask("udp", "four.example.com");
      await ask("tcp", "FOUR.example.com", { type: "AAAA" });
      await ask("udp", "www.example");
      await ask("udp", "www.example");
      await ask("tcp", "no-a b.example");
      assert.deepEqual(
        records.map(({ name, type, transport, source, code, answers }) => [name, type, transport, source, code, answers].join(" ")),
        [
          "four.example.com. A udp mesh NOERROR 1",
          "four.example.com. AAAA tcp mesh NOERROR 0",
          "www.example. A udp upstream NOERROR 1",
          "www.example. A udp cache NOERROR 1",
          "no-a\\032b.example. A tcp upstream NXDOMAIN 0",
        ],
      );
      assert.ok(records.every(({ ms, port, bytes }) => typeof ms === "number" && ms >= 0 && Number(port) > 0 && Number(bytes) > 12));
      on = false;
      await ask("tcp", "four.example.com");
      assert.equal(records.length, 5);
      await responder.close();
    });
  });
}
