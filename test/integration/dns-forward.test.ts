// How other names are asked upstream: order, deadline, back-off, TCP for what is cut, and what keeps forged replies out.
import assert from "node:assert/strict";
import { createSocket, type Socket } from "node:dgram";
import { test, type TestContext } from "node:test";
import { decode, encode, type Answer } from "dns-packet";
import { compileNameTable } from "../../src/dns/name-table.ts";
import type { DnsResponderOptions } from "../../src/dns/responder.ts";
import { manualClock } from "../support/manual-clock.ts";
import { encodeQuestion, type ReadReply } from "../unit/dns/messages.ts";
import { askOne, startResponder, startUpstream, type Script, type StartedResponder, type Upstream } from "./dns-wire.ts";

const table = compileNameTable(
  { table: { "mesh.example": { ips: ["10.0.0.1"] } } },
  { proxyDomain: "", proxyNamespace: "", searchDomains: [] },
);

interface Started extends StartedResponder {
  ask(name: string, options?: { transport?: "udp" | "tcp"; edns?: number; id?: number }): Promise<ReadReply>;
}

async function start(t: TestContext, options: Partial<DnsResponderOptions>): Promise<Started> {
  // 0.99 keeps the order that is given.
  const { responder, stats } = await startResponder({ table, cache: "none", batching: false, random: () => 0.99, ...options });
  t.after(() => responder.close());
  return {
    responder,
    stats,
    ask: (name, { transport = "udp", ...rest } = {}) => askOne(responder.address, transport, encodeQuestion(name, "A", rest)),
  };
}

async function upstream(t: TestContext, script: Script): Promise<Upstream> {
  const server = await startUpstream(script);
  t.after(() => server.close());
  return server;
}

/** Replies with `address` under the question as it came. */
const answering =
  (address: string, flags = 0): Script =>
  (query) => {
    const { id = 0, questions = [] } = decode(query);
    const answers: Answer[] = flags & 0xf ? [] : [{ type: "A", name: questions[0]!.name, ttl: 60, data: address }];
    return [encode({ type: "response", id, flags, questions, answers })];
  };

const SERVFAIL = 2;
const REFUSED = 5;

test("in parallel the first good reply wins, whichever server it is of", async (t) => {
  const silent = await upstream(t, () => []);
  const failing = await upstream(t, answering("", SERVFAIL));
  const good = await upstream(t, answering("192.0.2.9"));
  const { ask } = await start(t, { nameServers: [silent, failing, good], forward: { order: "parallel" } });
  for (const transport of ["udp", "tcp"] as const) {
    assert.deepEqual((await ask("www.example", { transport })).answers, ["www.example. A 192.0.2.9"]);
  }
  // All were asked, each time.
  assert.deepEqual([failing.queries.length, good.queries.length], [2, 2]);
});

for (const [order, random, first] of [
  ["ordered", () => 0, 0],
  ["shuffled", () => 0.99, 0],
  ["shuffled", () => 0, 1],
] as const) {
  test(`${order} with ${random()}: server ${first} is asked, and only that one`, async (t) => {
    const servers = [await upstream(t, answering("192.0.2.0")), await upstream(t, answering("192.0.2.1"))];
    const { ask } = await start(t, { nameServers: servers, forward: { order }, random });
    assert.deepEqual((await ask("www.example")).answers, [`www.example. A 192.0.2.${first}`]);
    assert.equal(servers[0]!.queries.length + servers[1]!.queries.length, 1);
  });
}

test("a server that will not answer is passed over, and its word passed on when no other does", async (t) => {
  const refusing = await upstream(t, answering("", REFUSED));
  const good = await upstream(t, answering("192.0.2.1"));
  const both = await start(t, { nameServers: [refusing, good], forward: { order: "ordered" } });
  assert.deepEqual((await both.ask("www.example")).answers, ["www.example. A 192.0.2.1"]);
  const one = await start(t, { nameServers: [refusing], forward: { order: "ordered" } });
  assert.equal((await one.ask("www.example")).rcode, "REFUSED");
  assert.equal(refusing.queries.length, 2);
});

test("with every server silent, mesh names are answered at once and others SERVFAIL by the deadline, in each order", async (t) => {
  // Two tries of each server at once are over before.
  for (const [order, endMs] of [
    ["shuffled", 4500],
    ["ordered", 4500],
    ["parallel", 4000],
  ] as const) {
    const clock = manualClock();
    let heard = Promise.withResolvers<void>();
    const silent = (): readonly Buffer[] => {
      heard.resolve();
      return [];
    };
    const servers = [await upstream(t, silent), await upstream(t, silent), await upstream(t, silent)];
    // The second question waits as long as the first.
    const { ask, stats } = await start(t, { clock, nameServers: servers, forward: { order, downDeadlineMs: endMs } });
    for (const transport of ["udp", "tcp"] as const) {
      heard = Promise.withResolvers();
      let done = false;
      const asked = ask("www.example", { transport }).finally(() => (done = true));
      for (let ms = 0; ms < endMs; ms += 500) {
        await heard.promise;
        assert.equal((await ask("mesh.example", { transport })).rcode, "NOERROR");
        assert.equal(done, false, `${order} ${ms}`);
        heard = Promise.withResolvers();
        clock.advance(500);
        // Between two tries nothing is sent.
        if (ms + 500 !== 2000 && ms + 500 !== 4000) heard.resolve();
      }
      assert.equal((await asked).rcode, "SERVFAIL");
    }
    assert.equal(stats.values.get("dns_upstream_failures_total"), 2);
    assert.ok(stats.values.get("dns_upstream_timeouts_total")! >= 4);
    assert.equal(stats.values.get("dns_upstream_rq_time"), 2);
  }
});

test("with every server dead SERVFAIL comes long before the deadline", async (t) => {
  const dead = await startUpstream(() => []);
  await dead.close();
  const { ask } = await start(t, { nameServers: [dead, dead] });
  const startedMs = performance.now();
  for (const transport of ["udp", "tcp"] as const) assert.equal((await ask("www.example", { transport })).rcode, "SERVFAIL");
  assert.ok(performance.now() - startedMs < 2000);
});

test("while all servers are silent the questions after the first do not wait for the deadline, and a reply ends that", async (t) => {
  const clock = manualClock();
  let silent = true;
  let heard = Promise.withResolvers<void>();
  const one = await upstream(t, (query, ...rest) => {
    heard.resolve();
    return silent ? [] : answering("192.0.2.1")(query, ...rest);
  });
  const settings = { timeoutMs: 4500, deadlineMs: 4500, retries: 0 };
  const { ask } = await start(t, { clock, nameServers: [one], forward: settings });
  const failsAfter = async (ms: number): Promise<void> => {
    heard = Promise.withResolvers();
    const asked = ask("www.example");
    await heard.promise;
    clock.advance(ms);
    assert.equal((await asked).rcode, "SERVFAIL");
  };
  await failsAfter(4500);
  await failsAfter(200);
  await failsAfter(200);
  silent = false;
  assert.equal((await ask("www.example")).rcode, "NOERROR");
  silent = true;
  await failsAfter(4500);
});

test("a lost packet is made up for by asking again", async (t) => {
  const clock = manualClock();
  let heard = Promise.withResolvers<void>();
  let lost = false;
  const flaky = await upstream(t, (query, transport, port) => {
    heard.resolve();
    if (lost) return answering("192.0.2.1")(query, transport, port);
    lost = true;
    return [];
  });
  const { ask, stats } = await start(t, { clock, nameServers: [flaky] });
  const asked = ask("www.example");
  await heard.promise;
  heard = Promise.withResolvers();
  clock.advance(2000);
  assert.deepEqual((await asked).answers, ["www.example. A 192.0.2.1"]);
  assert.equal(stats.values.get("dns_upstream_retries_total"), 1);
});

test("a server that keeps failing is asked last until its time is up, and first again when it is back", async (t) => {
  const clock = manualClock();
  const gone = await startUpstream(() => []);
  await gone.close();
  const good = await upstream(t, answering("192.0.2.1"));
  const { ask, responder } = await start(t, { clock, nameServers: [gone, good], forward: { order: "ordered" } });
  const failures = (): number => responder.upstreamView()[0]!.failures;
  for (const expected of [1, 2, 2, 2]) {
    assert.equal((await ask("www.example")).rcode, "NOERROR");
    assert.equal(failures(), expected);
  }
  assert.deepEqual(
    responder.upstreamView().map(({ healthy }) => healthy),
    [false, true],
  );
  clock.advance(1000);
  await ask("www.example");
  assert.equal(failures(), 3);
});

const giant = Array.from({ length: 64 }, (_, i): Answer => ({ type: "A", name: "giant", ttl: 60, data: `192.0.2.${i}` }));
const truncating: Script = (query, transport) => {
  const { id = 0, questions = [] } = decode(query);
  if (transport === "udp") return [encode({ type: "response", id, flags: 0x200, questions, answers: giant.slice(0, 29) })];
  return [encode({ type: "response", id, questions, answers: giant })];
};

test("a reply cut by UDP is asked for again over TCP, and cut again only for a client that takes no more", async (t) => {
  const server = await upstream(t, truncating);
  const { ask, stats } = await start(t, { nameServers: [server] });
  const large = await ask("giant", { edns: 4096 });
  assert.deepEqual([large.truncated, large.answers.length], [false, 64]);
  const small = await ask("giant");
  assert.ok(small.truncated && small.answers.length > 0 && small.answers.length < 64);
  assert.equal(stats.values.get("dns_upstream_tcp_fallbacks_total"), 2);
});

test("where TCP does not answer either, or is not wanted, what UDP brought is given, marked as cut", async (t) => {
  const server = await upstream(t, (query, transport, port) =>
    transport === "udp" ? truncating(query, transport, port) : [Buffer.alloc(12)],
  );
  for (const tcpOnTruncation of [true, false]) {
    const { ask } = await start(t, { nameServers: [server], forward: { tcpOnTruncation } });
    const reply = await ask("giant", { edns: 4096 });
    assert.deepEqual([reply.truncated, reply.answers.length], [true, 29]);
  }
});

test("mixed case: letters change on the way, the client gets its own spelling", async (t) => {
  const server = await upstream(t, answering("192.0.2.1"));
  const { ask } = await start(t, { nameServers: [server], forward: { mixedCase: true } });
  const name = "a-rather-long-name-with-many-letters.example";
  assert.equal((await ask(name)).question, `${name} A`);
  const sent = decode(server.queries[0]!).questions![0]!.name;
  assert.notEqual(sent, name);
  assert.equal(sent.toLowerCase(), name);
});

test("mixed case: a reply in another case is asked for over TCP, and that server is asked plainly from then on", async (t) => {
  const name = "a-rather-long-name-with-many-letters.example";
  const seen: string[] = [];
  const folding = await upstream(t, (query, transport) => {
    const { id = 0, questions = [] } = decode(query);
    seen.push(`${transport} ${questions[0]!.name === name ? "plain" : "mixed"}`);
    return [encode({ type: "response", id, questions: [{ name, type: "A" }], answers: [{ type: "A", name, ttl: 1, data: "192.0.2.1" }] })];
  });
  const { ask } = await start(t, { nameServers: [folding], forward: { mixedCase: true } });
  for (let i = 0; i < 2; i++) assert.equal((await ask(name)).rcode, "NOERROR");
  assert.deepEqual(seen, ["udp mixed", "tcp plain", "udp plain"]);
});

/** The COOKIE option of a query whose last record is an OPT record with that option alone. */
function cookieOf(query: Buffer): Buffer | undefined {
  const { additionals = [] } = decode(query);
  const opt = additionals.find((record) => record.type === "OPT");
  const found = opt?.type === "OPT" ? opt.options.find(({ code }) => Number(code) === 10) : undefined;
  return found && "data" in found && Buffer.isBuffer(found.data) ? found.data : undefined;
}

function replyWithCookie(query: Buffer, cookie: Buffer | undefined, extendedRcode = 0, rcode = 0): Buffer {
  const { id = 0, questions = [] } = decode(query);
  const answers: Answer[] = rcode + extendedRcode > 0 ? [] : [{ type: "A", name: questions[0]!.name, ttl: 1, data: "192.0.2.1" }];
  const packet = encode({ type: "response", id, flags: rcode, questions, answers });
  if (!cookie) return packet;
  const opt = Buffer.from(`0000290400${extendedRcode.toString(16).padStart(2, "0")}0000000000`, "hex");
  opt.writeUInt16BE(4 + cookie.length, 9);
  const option = Buffer.from([0, 10, 0, cookie.length]);
  packet.writeUInt16BE(1, 10);
  return Buffer.concat([packet, opt, option, cookie]);
}

const serverCookie = Buffer.from("5e5e5e5e5e5e5e5e", "hex");

test("cookies: ours goes with each query, the server's with those after its first, and none of it to the client", async (t) => {
  const seen: string[] = [];
  const server = await upstream(t, (query) => {
    const cookie = cookieOf(query)!;
    seen.push(cookie.subarray(8).toString("hex"));
    return [replyWithCookie(query, Buffer.concat([cookie.subarray(0, 8), serverCookie]))];
  });
  const { ask } = await start(t, { nameServers: [server] });
  for (const edns of [undefined, 1232] as const) {
    const reply = await ask("www.example", edns === undefined ? {} : { edns });
    assert.deepEqual([reply.answers.length, reply.additionals], [1, edns === undefined ? 0 : 1]);
  }
  assert.deepEqual(seen, ["", serverCookie.toString("hex")]);
  const [first, second] = server.queries.map((query) => cookieOf(query)!.subarray(0, 8).toString("hex"));
  assert.equal(first, second);
});

test("cookies: a reply with another client's cookie is waited past", async (t) => {
  const server = await upstream(t, (query) => [
    replyWithCookie(query, Buffer.concat([Buffer.alloc(8, 1), serverCookie]), 0, REFUSED),
    replyWithCookie(query, Buffer.concat([cookieOf(query)!.subarray(0, 8), serverCookie])),
  ]);
  const { ask, stats } = await start(t, { nameServers: [server] });
  assert.equal((await ask("www.example")).rcode, "NOERROR");
  assert.equal(stats.values.get("dns_upstream_discarded_total"), 1);
});

test("cookies: from a server that has given them, a reply without is asked for over TCP", async (t) => {
  const seen: string[] = [];
  const server = await upstream(t, (query, transport) => {
    seen.push(transport);
    const cookie = cookieOf(query)!;
    return [replyWithCookie(query, seen.length === 1 ? Buffer.concat([cookie.subarray(0, 8), serverCookie]) : undefined)];
  });
  const { ask } = await start(t, { nameServers: [server] });
  for (let i = 0; i < 2; i++) assert.equal((await ask("www.example")).rcode, "NOERROR");
  assert.deepEqual(seen, ["udp", "udp", "tcp"]);
});

test("cookies: BADCOOKIE is answered with the new cookie, and over TCP when that is not enough", async (t) => {
  const seen: string[] = [];
  const server = await upstream(t, (query, transport) => {
    const cookie = cookieOf(query)!;
    seen.push(`${transport} ${cookie.length}`);
    const fresh = Buffer.concat([cookie.subarray(0, 8), serverCookie]);
    return [replyWithCookie(query, fresh, transport === "tcp" ? 0 : 1, transport === "tcp" ? 0 : 7)];
  });
  const { ask } = await start(t, { nameServers: [server] });
  assert.equal((await ask("www.example")).rcode, "NOERROR");
  assert.deepEqual(seen, ["udp 8", "udp 16", "tcp 16"]);
});

test("a server that knows no EDNS is asked without, at once and from then on", async (t) => {
  const seen: boolean[] = [];
  const server = await upstream(t, (query, transport, port) => {
    const edns = query.readUInt16BE(10) === 1;
    seen.push(edns);
    return edns ? answering("", 1)(query, transport, port) : answering("192.0.2.1")(query, transport, port);
  });
  const { ask } = await start(t, { nameServers: [server] });
  for (let i = 0; i < 2; i++) assert.equal((await ask("www.example")).rcode, "NOERROR");
  assert.deepEqual(seen, [true, false, false]);
});

test("a reply whose records run past its end is no reply: the next server is asked", async (t) => {
  const broken = await upstream(t, (query, transport, port) =>
    answering("192.0.2.1")(query, transport, port).map((reply) => reply.subarray(0, -2)),
  );
  const good = await upstream(t, answering("192.0.2.2"));
  const { ask } = await start(t, { nameServers: [broken, good], forward: { order: "ordered" } });
  for (const transport of ["udp", "tcp"] as const) {
    assert.deepEqual((await ask("www.example", { transport })).answers, ["www.example. A 192.0.2.2"]);
  }
});

test("a reply from another address or port than was asked is never seen", async (t) => {
  const stranger = await new Promise<Socket>((resolve) => {
    const socket = createSocket("udp4").bind(0, "127.0.0.1", () => resolve(socket));
  });
  t.after(() => stranger.close());
  const forged = Promise.withResolvers<void>();
  const real = createSocket("udp4");
  t.after(() => real.close());
  await new Promise<void>((resolve) => real.bind(0, "127.0.0.1", resolve));
  real.on("message", (query, peer) => {
    const [forgery] = answering("203.0.113.66")(query, "udp", 0);
    const [truth] = answering("192.0.2.1")(query, "udp", 0);
    stranger.send(forgery!, peer.port, peer.address, () => {
      forged.resolve();
      real.send(truth!, peer.port, peer.address);
    });
  });
  const { ask } = await start(t, { nameServers: [{ host: "127.0.0.1", port: real.address().port }] });
  assert.deepEqual((await ask("www.example")).answers, ["www.example. A 192.0.2.1"]);
  await forged.promise;
});

test("beyond the queries that may be under way further ones fail at once, and are counted", async (t) => {
  const heard = Promise.withResolvers<void>();
  const silent = await upstream(t, () => {
    heard.resolve();
    return [];
  });
  const { ask, stats, responder } = await start(t, { nameServers: [silent], forward: { maxInFlight: 1 } });
  const client = createSocket("udp4");
  t.after(() => client.close());
  client.send(encodeQuestion("first.example", "A"), responder.address.port, responder.address.host);
  await heard.promise;
  assert.equal((await ask("second.example")).rcode, "SERVFAIL");
  assert.equal(stats.values.get("dns_upstream_overflow_total"), 1);
});
