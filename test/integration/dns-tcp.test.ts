// DNS over TCP against clients that hold on to what they get: pipelining, order of answers, idle and slow connections, too many of them.
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { test, type TestContext } from "node:test";
import { decode, encode } from "dns-packet";
import { compileNameTable } from "../../src/dns/name-table.ts";
import type { DnsResponder, DnsResponderOptions } from "../../src/dns/responder.ts";
import { MAX_TCP_CONNECTIONS, TCP_IDLE_TIMEOUT_MS } from "../../src/dns/tcp-listener.ts";
import { manualClock } from "../support/manual-clock.ts";
import { encodeQuestion, readReply } from "../unit/dns/messages.ts";
import { askTcp, askUdp, frame, startResponder, startUpstream, unframe, type StartedResponder } from "./dns-wire.ts";

const table = compileNameTable(
  { table: { "mesh.example": { ips: ["10.0.0.1"] } } },
  { proxyDomain: "", proxyNamespace: "", searchDomains: [] },
);
const known = encodeQuestion("mesh.example", "A", { id: 1 });

async function start(t: TestContext, options: Partial<DnsResponderOptions> = {}): Promise<StartedResponder> {
  const started = await startResponder({ table, batching: false, ...options });
  t.after(() => started.responder.close());
  return started;
}

function open(t: TestContext, responder: DnsResponder): Socket {
  const socket = connect(responder.address);
  socket.on("error", () => undefined);
  t.after(() => socket.destroy());
  return socket;
}

test("answers come as they are ready: a query for a mesh name does not wait for one that goes upstream", async (t) => {
  const release = Promise.withResolvers<void>();
  const slow = await startUpstream(() => []);
  t.after(() => slow.close());
  const { responder } = await start(t, { nameServers: [slow], forward: { order: "ordered", timeoutMs: 200, deadlineMs: 200 } });
  const order: number[] = [];
  const socket = open(t, responder);
  socket.on(
    "data",
    unframe((reply) => {
      order.push(reply.readUInt16BE(0));
      if (order.length === 3) release.resolve();
    }),
  );
  socket.write(
    Buffer.concat([
      frame(encodeQuestion("slow.example", "A", { id: 7 })),
      frame(known),
      frame(encodeQuestion("mesh.example", "AAAA", { id: 2 })),
    ]),
  );
  await release.promise;
  assert.deepEqual(order, [1, 2, 7]);
});

test("a client that sends its query byte by byte is cut off when the idle time is over, others are not", async (t) => {
  const clock = manualClock();
  const { responder, stats } = await start(t, { clock });
  const message = frame(known);
  const slow = open(t, responder);
  const busy = open(t, responder);
  const closed = once(slow, "close");
  for (let i = 0; i < 8; i++) {
    slow.write(message.subarray(i, i + 1));
    busy.write(message);
    // The answer on the other connection says that the responder has turned to both.
    await once(busy, "data");
    clock.advance(TCP_IDLE_TIMEOUT_MS / 8);
  }
  await closed;
  busy.write(message);
  await once(busy, "data");
  assert.equal(stats.values.get("dns_tcp_connections_timeouts_total"), 1);
});

test("a client that reads nothing is cut off, and what it asked takes bounded memory", async (t) => {
  const clock = manualClock();
  const big = compileNameTable(
    { table: { "big.example": { ips: Array.from({ length: 2000 }, (_, i) => `10.${i >> 8}.${i & 255}.1`) } } },
    { proxyDomain: "", proxyNamespace: "", searchDomains: [] },
  );
  const { responder, stats } = await start(t, { clock, table: big });
  const greedy = open(t, responder);
  greedy.pause();
  const closed = Promise.withResolvers<void>();
  const query = frame(encodeQuestion("big.example", "A"));
  greedy.write(Buffer.concat(Array.from({ length: 2000 }, () => query)));
  let answered = -1;
  // The responder stops when the kernel takes no more; what it has taken by then is far from all.
  while (answered !== (stats.values.get("dns_mesh_answers_total") ?? 0)) {
    answered = stats.values.get("dns_mesh_answers_total") ?? 0;
    for (let i = 0; i < 20; i++) await askUdp(responder.address, [encodeQuestion("other.example", "A")]);
  }
  assert.ok(answered > 0 && answered < 1000, String(answered));
  clock.advance(2 * TCP_IDLE_TIMEOUT_MS);
  greedy.on("close", () => closed.resolve());
  greedy.resume();
  await closed.promise;
  assert.equal(stats.values.get("dns_tcp_connections_active"), 0);
});

test("connections beyond the limit are closed and counted, those that are there go on, and a place that is free is given away", async (t) => {
  const { responder, stats } = await start(t);
  const held = Array.from({ length: MAX_TCP_CONNECTIONS }, () => open(t, responder));
  for (const socket of held) {
    socket.write(frame(known));
    await once(socket, "data");
  }
  const refused = open(t, responder);
  await once(refused, "close");
  assert.equal(stats.values.get("dns_tcp_connections_refused_total"), 1);
  assert.equal(stats.values.get("dns_tcp_connections_active"), MAX_TCP_CONNECTIONS);
  held[0]!.write(frame(known));
  await once(held[0]!, "data");
  const closed = once(held[0]!, "close");
  held[0]!.end();
  await closed;
  const [reply] = await askTcp(responder.address, [frame(known)], 1);
  assert.equal(readReply(reply!).rcode, "NOERROR");
});

test("garbage on a connection ends nothing but itself", async (t) => {
  const { responder } = await start(t);
  const cases: readonly Buffer[] = [
    Buffer.alloc(2),
    frame(Buffer.alloc(3)),
    Buffer.concat([frame(Buffer.alloc(200, 0xff)), frame(known)]),
    Buffer.from("GET / HTTP/1.1\r\nhost: a\r\n\r\n"),
  ];
  for (const bytes of cases) {
    const socket = open(t, responder);
    socket.resume();
    const closed = once(socket, "close");
    socket.end(bytes);
    await closed;
  }
  assert.equal(readReply((await askTcp(responder.address, [frame(known)], 1))[0]!).rcode, "NOERROR");
});

test("pipelined queries for other names are all answered, each under its own id", async (t) => {
  const upstream = await startUpstream((query) => {
    const { id = 0, questions = [] } = decode(query);
    return [encode({ type: "response", id, questions, answers: [{ type: "A", name: questions[0]!.name, ttl: 1, data: "192.0.2.1" }] })];
  });
  t.after(() => upstream.close());
  const { responder } = await start(t, { nameServers: [upstream] });
  const messages = Array.from({ length: 300 }, (_, id) => frame(encodeQuestion(`n${id}.example`, "A", { id })));
  const replies = await askTcp(responder.address, [Buffer.concat(messages)], 300);
  const read = replies.map((reply) => readReply(reply)).map(({ id, question }) => `${id} ${question}`);
  assert.deepEqual(read.toSorted(), messages.map((_, id) => `${id} n${id}.example A`).toSorted());
});
