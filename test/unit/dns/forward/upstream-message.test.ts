import assert from "node:assert/strict";
import { test } from "node:test";
import { decode, encode, type Packet } from "dns-packet";
import { Query, parseQuery } from "../../../../src/dns/codec.ts";
import {
  addedEdns,
  clientReply,
  extendedCode,
  mixCase,
  readCookie,
  readRecords,
  upstreamQuery,
} from "../../../../src/dns/forward/upstream-message.ts";
import { encodeQuestion, seeded } from "../messages.ts";

const cookie = Buffer.from("0102030405060708", "hex");

function questionEnd(message: Buffer): number {
  const query = new Query();
  const asQuery = Buffer.from(message);
  asQuery[2]! &= 0x7f;
  parseQuery(asQuery, 0, asQuery.length, query);
  return query.questionEnd;
}

function withOptions(message: Buffer, ...options: readonly string[]): Buffer {
  const data = Buffer.from(options.join(""), "hex");
  const out = Buffer.concat([message, data]);
  out.writeUInt16BE(data.length, message.length - 2);
  return out;
}

const option = (code: number, data: string): string =>
  code.toString(16).padStart(4, "0") + (data.length / 2).toString(16).padStart(4, "0") + data;
const subnet = option(8, "00012000");

/** The options of the OPT record, as `code:data`. */
function optionsOf(message: Buffer): readonly string[] | undefined {
  const records = readRecords(message, questionEnd(message));
  assert.ok(records !== "malformed");
  if (!records.opt) return undefined;
  const found: string[] = [];
  for (let at = records.opt.start + 11; at < records.opt.end; at += 4 + message.readUInt16BE(at + 2)) {
    found.push(`${message.readUInt16BE(at)}:${message.subarray(at + 4, at + 4 + message.readUInt16BE(at + 2)).toString("hex")}`);
  }
  return found;
}

const plain = encodeQuestion("www.example", "A");
const edns = encodeQuestion("www.example", "A", { edns: 4096 });

for (const [title, query, options, expected, size] of [
  ["a query without EDNS stays without", plain, {}, undefined, 0],
  ["a query without EDNS gets it to carry a cookie", plain, { cookie }, ["10:0102030405060708"], 1232],
  ["a query with EDNS stays as it is", edns, {}, [], 4096],
  ["the size a client takes is lowered to what is not fragmented", edns, { maxUdpBytes: 1232 }, [], 1232],
  ["and never raised", encodeQuestion("www.example", "A", { edns: 600 }), { maxUdpBytes: 1232 }, [], 600],
  [
    "a client's cookie, keepalive and padding end here, its subnet goes on",
    withOptions(edns, option(10, "ffffffffffffffff"), subnet, option(11, ""), option(12, "0000")),
    { cookie },
    ["8:00012000", "10:0102030405060708"],
    4096,
  ],
] as const) {
  test(title, () => {
    const sent = upstreamQuery(query, questionEnd(query), options);
    assert.deepEqual(optionsOf(sent), expected);
    assert.equal(addedEdns(query, sent), expected !== undefined && optionsOf(query) === undefined);
    const records = readRecords(sent, questionEnd(sent));
    assert.ok(records !== "malformed");
    assert.equal(records.opt ? sent.readUInt16BE(records.opt.start + 3) : 0, size);
    assert.deepEqual(sent.subarray(0, 10), query.subarray(0, 10));
    assert.deepEqual(sent.subarray(12, questionEnd(query)), query.subarray(12, questionEnd(query)));
  });
}

test("a query with records of its own, or with some behind OPT, is not touched", () => {
  const additional = { type: "A", name: "a", data: "192.0.2.1" } as const;
  const opt = decode(edns).additionals![0]!;
  for (const additionals of [[additional], [opt, additional]]) {
    const packet: Packet = { type: "query", id: 7, questions: [{ name: "www.example", type: "A" }], additionals };
    const query = encode(packet);
    assert.deepEqual(upstreamQuery(query, questionEnd(query), { cookie, maxUdpBytes: 512 }), query);
  }
});

test("a client gets its id, its spelling, EDNS only for EDNS, and nothing of the hop upstream", () => {
  const answers = [{ type: "A", name: "www.example", ttl: 60, data: "192.0.2.1" }] as const;
  const reply = (withEdns: boolean): Buffer => {
    const packet = encode({ type: "response", id: 99, questions: [{ name: "wWw.eXaMpLe", type: "A" }], answers: [...answers] });
    if (!withEdns) return packet;
    packet.writeUInt16BE(1, 10);
    return withOptions(Buffer.concat([packet, edns.subarray(-11)]), option(10, "0102030405060708aabbccddeeff0011"), subnet);
  };
  for (const [request, from, expected] of [
    [plain, reply(false), undefined],
    [plain, reply(true), undefined],
    [edns, reply(false), undefined],
    [edns, reply(true), ["8:00012000"]],
  ] as const) {
    const records = readRecords(from, questionEnd(from));
    assert.ok(records !== "malformed");
    const given = clientReply(from, request, questionEnd(request), records);
    const { id, questions, answers: kept } = decode(given);
    assert.deepEqual([id, questions?.[0]?.name, kept?.length], [0x1234, "www.example", 1]);
    assert.deepEqual(optionsOf(given), expected);
  }
});

test("cookies and the upper bits of the code are read from the OPT record", () => {
  const message = withOptions(edns, option(10, "0102030405060708"));
  const records = readRecords(message, questionEnd(message));
  assert.ok(records !== "malformed" && records.opt);
  assert.deepEqual(readCookie(message, records.opt), cookie);
  message[records.opt.start + 5] = 1;
  message[3]! |= 7;
  assert.equal(extendedCode(message, records.opt), 23);
  assert.equal(extendedCode(message, undefined), 7);
  assert.equal(readCookie(message, undefined), undefined);
});

test("letters of the question change case by the bits, nothing else changes", () => {
  const message = encodeQuestion("ab-9.z_Z.example", "A");
  const end = questionEnd(message);
  const mixed = Buffer.from(message);
  mixCase(mixed, end, Buffer.alloc(end));
  assert.equal(decode(mixed).questions?.[0]?.name, "AB-9.Z_Z.EXAMPLE");
  mixCase(mixed, end, Buffer.alloc(end, 1));
  assert.equal(decode(mixed).questions?.[0]?.name, "ab-9.z_z.example");
  // A label as long as the letter A is a number.
  const long = encodeQuestion(`${"1".repeat(63)}.a`, "A");
  const before = Buffer.from(long);
  mixCase(long, questionEnd(long), Buffer.alloc(100, 1));
  assert.deepEqual(long, before);
});

test("whatever the bytes are, reading and rewriting them ends within the message and never throws", () => {
  const random = seeded(20261122);
  const answers = Array.from({ length: 3 }, (_, i) => ({ type: "A" as const, name: "www.example", ttl: 60, data: `192.0.2.${i}` }));
  const base = withOptions(
    Buffer.concat([encode({ type: "response", id: 1, questions: [{ name: "www.example", type: "A" }], answers }), edns.subarray(-11)]),
    subnet,
    option(10, "0102030405060708"),
  );
  base.writeUInt16BE(1, 10);
  const end = questionEnd(plain);
  let read = 0;
  for (let round = 0; round < 30_000; round++) {
    const bytes = Buffer.from(base);
    for (let i = 1 + Math.floor(random() * 4); i > 0; i--)
      bytes[12 + Math.floor(random() * (bytes.length - 12))] = Math.floor(random() * 256);
    const message = random() < 0.3 ? bytes.subarray(0, end + Math.floor(random() * (bytes.length - end))) : bytes;
    const records = readRecords(message, end);
    if (records === "malformed") continue;
    read++;
    assert.ok(!records.opt || (records.opt.start >= end && records.opt.end <= message.length));
    readCookie(message, records.opt);
    for (const request of [plain, edns]) assert.ok(clientReply(message, request, end, records).length <= message.length);
    assert.ok(upstreamQuery(message, end, { cookie, maxUdpBytes: 512 }).length <= message.length + 12 + 11);
  }
  assert.ok(read > 1000, String(read));
});
