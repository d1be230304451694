// What has broken DNS parsers (RFC 9267 and its kin): loops of pointers, names and counts that lie, roles that are swapped.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { AnswerEncoder, defaultAnswerSettings } from "../../../src/dns/answer.ts";
import { shareReply } from "../../../src/dns/cache/shared-reply.ts";
import { MAX_MESSAGE_LENGTH, Query, isReplyTo, parseQuery, skipName, truncateReply, type QueryVerdict } from "../../../src/dns/codec.ts";
import { readRecords } from "../../../src/dns/forward/upstream-message.ts";
import { compileNameTable } from "../../../src/dns/name-table.ts";
import { ServiceAnswerEncoder } from "../../../src/dns/service-answer.ts";
import { encodeQuestion, seeded } from "./messages.ts";

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(" ", ""), "hex");
const label = (length: number): string => length.toString(16).padStart(2, "0") + "61".repeat(length);

/** A header with these counts, flags RD, and what follows it. */
function message(counts: readonly number[], body: string, flags = 0x0100): Buffer {
  const header = Buffer.alloc(12);
  header.writeUInt16BE(0x1234, 0);
  header.writeUInt16BE(flags, 2);
  counts.forEach((count, i) => header.writeUInt16BE(count, 4 + 2 * i));
  return Buffer.concat([header, hex(body)]);
}

const aIn = "0001 0001";
const question = `0161 00 ${aIn}`;
const one = [1, 0, 0, 0];

const queries: readonly (readonly [what: string, bytes: Buffer, verdict: QueryVerdict])[] = [
  ["a question name that points to itself", message(one, `c00c ${aIn}`), "malformed"],
  ["two pointers that point to each other", message(one, `c00e c00c ${aIn}`), "malformed"],
  ["a pointer ahead of itself", message(one, `c020 ${aIn} 0161 00`), "malformed"],
  ["a pointer beyond the message", message(one, `ffff ${aIn}`), "malformed"],
  ["a pointer into the header", message(one, `c000 ${aIn}`), "malformed"],
  ["a pointer cut in half", message(one, "c0"), "malformed"],
  ["a label and then a loop", message(one, `0161 c00c ${aIn}`), "malformed"],
  ["a label type of old (01)", message(one, `41 61 00 ${aIn}`), "malformed"],
  ["a label type that never was (10)", message(one, `81 61 00 ${aIn}`), "malformed"],
  ["a label of 63 bytes", message(one, `${label(63)} 00 ${aIn}`), "query"],
  ["a label of 64 bytes", message(one, `40 ${"61".repeat(64)} 00 ${aIn}`), "malformed"],
  ["a name of 255 bytes", message(one, `${label(63).repeat(3)} ${label(61)} 00 ${aIn}`), "query"],
  ["a name of 256 bytes", message(one, `${label(63).repeat(3)} ${label(62)} 00 ${aIn}`), "malformed"],
  ["127 labels", message(one, `${"0161".repeat(127)} 00 ${aIn}`), "query"],
  ["128 labels", message(one, `${"0161".repeat(128)} 00 ${aIn}`), "malformed"],
  ["a name without an end", message(one, "0161 0162"), "malformed"],
  ["a label longer than the message", message(one, "3f 61"), "malformed"],
  ["a question without type and class", message(one, "0161 00"), "malformed"],
  ["a question with half a class", message(one, "0161 00 0001 00"), "malformed"],
  ["a zero byte within a label", message(one, `03 610062 00 ${aIn}`), "query"],
  ["no question", message([0, 0, 0, 0], ""), "malformed"],
  ["two questions", message([2, 0, 0, 0], `${question} ${question}`), "malformed"],
  ["65535 questions", message([65535, 0, 0, 0], question), "malformed"],
  ["a count of 65535 answers", message([1, 65535, 0, 0], question), "malformed"],
  ["a count of 65535 additional records", message([1, 0, 0, 65535], question), "malformed"],
  ["a record whose length runs past the end", message([1, 0, 0, 1], `${question} 00 0029 04d0 00000000 ffff 00`), "malformed"],
  ["a record that is cut in its fixed part", message([1, 0, 0, 1], `${question} 00 0029 04`), "malformed"],
  ["a record name that points to itself", message([1, 0, 0, 1], `${question} c013 0029 04d0 00000000 0000`), "query"],
  ["a count of records that are not there", message([1, 0, 0, 1], question), "query"],
  ["an OPT option that runs past its record", message([1, 0, 0, 1], `${question} 00 0029 04d0 00000000 0004 000affff`), "query"],
  ["garbage behind the question", message(one, `${question} ${"ff".repeat(50)}`), "query"],
  ["a response", message(one, question, 0x8180), "ignore"],
  ["a response that is a failure", message(one, question, 0x8182), "ignore"],
  ["a header and a byte less", Buffer.alloc(11), "ignore"],
  ["an inverse query", message(one, question, 0x0900), "unsupported"],
  ["a zone transfer's notify", message(one, question, 0x2100), "unsupported"],
  ["an update", message(one, question, 0x2900), "unsupported"],
];

for (const [what, bytes, verdict] of queries) {
  test(`as a query, ${what} is ${verdict === "query" ? "taken for what it is" : verdict}`, () => {
    const query = new Query();
    assert.equal(parseQuery(bytes, 0, bytes.length, query), verdict);
    if (verdict === "query") assert.ok(query.nameLength <= 255 && query.end <= bytes.length);
  });
}

describe("replies from upstream", () => {
  const asked = encodeQuestion("a", "A", { id: 0x1234 });
  const questionEnd = asked.length;
  const reply = (counts: readonly number[], records: string): Buffer => message(counts, `${question} ${records}`, 0x8180);
  const address = `00000e10 0004 c0000201`;

  for (const [what, bytes, readable] of [
    ["a record name that points to itself", reply([1, 1, 0, 0], `c013 ${aIn} ${address}`), true],
    ["pointers in a circle", reply([1, 2, 0, 0], `c023 ${aIn} ${address} c013 ${aIn} ${address}`), true],
    ["a pointer beyond the message", reply([1, 1, 0, 0], `ffff ${aIn} ${address}`), true],
    ["a label type that never was", reply([1, 1, 0, 0], `8161 00 ${aIn} ${address}`), false],
    ["a record that runs past the end", reply([1, 1, 0, 0], `c00c ${aIn} 00000e10 ffff c0000201`), false],
    ["a count of 65535 answers", reply([1, 65535, 0, 0], `c00c ${aIn} ${address}`), false],
    ["an OPT record under a name", reply([1, 0, 0, 1], "0161 00 0029 04d0 00000000 0000"), true],
    ["two OPT records", reply([1, 0, 0, 2], "00 0029 04d0 00000000 0000 00 0029 04d0 00000000 0000"), true],
  ] as const) {
    test(`${what}: read to its end, or refused, and never followed`, () => {
      assert.ok(isReplyTo(bytes, asked, 0x1234, questionEnd));
      assert.equal(readRecords(bytes, questionEnd) !== "malformed", readable);
      const shared = shareReply(bytes, questionEnd, 1);
      assert.ok(!shared || shared.bytes.length <= bytes.length);
      assert.ok(truncateReply(bytes, 40, questionEnd).length <= 40);
    });
  }

  for (const [what, bytes] of [
    ["no question", message([0, 0, 0, 0], question, 0x8180)],
    ["two questions", message([2, 0, 0, 0], `${question} ${question}`, 0x8180)],
    ["another name", message(one, `0162 00 ${aIn}`, 0x8180)],
    ["a longer name that begins the same", message(one, `0161 0162 00 ${aIn}`, 0x8180)],
    ["another type", message(one, "0161 00 001c 0001", 0x8180)],
    ["another class", message(one, "0161 00 0001 0003", 0x8180)],
    ["a query", message(one, question)],
    ["a header only", message(one, "", 0x8180)],
  ] as const) {
    test(`${what} is no reply to the question`, () => assert.equal(isReplyTo(bytes, asked, 0x1234, questionEnd), false));
  }
});

test("a name of pointers is skipped without following them", () => {
  assert.equal(skipName(hex("c000"), 0, 2), 2);
  assert.equal(skipName(hex("c0"), 0, 1), -1);
  assert.equal(skipName(hex("0161c000"), 0, 4), 4);
  assert.equal(skipName(hex("3f61"), 0, 2), -1);
});

test("whatever is asked, an answer stays within what the client takes and can be read", () => {
  const random = seeded(20261123);
  const host = "a.b.example";
  const table = compileNameTable(
    { table: { [host]: { ips: Array.from({ length: 60 }, (_, i) => `10.0.0.${i}`) }, "*.example": { ips: ["10.1.0.1"] } } },
    { proxyDomain: "", proxyNamespace: "", searchDomains: ["example"] },
    { [host]: Array.from({ length: 30 }, (_, i) => ({ name: `p${i}`, protocol: "tcp" as const, port: i + 1 })) },
  );
  const encoders = [new AnswerEncoder(random, defaultAnswerSettings), new ServiceAnswerEncoder(random, defaultAnswerSettings)] as const;
  const bases = [
    encodeQuestion(host, "A", { edns: 1232 }),
    encodeQuestion(`${host}.example`, "AAAA"),
    encodeQuestion(host, "SRV", { edns: 600 }),
    encodeQuestion("_p3._tcp.a.b.example", "SRV"),
  ];
  const query = new Query();
  let answered = 0;
  for (let round = 0; round < 20_000; round++) {
    const bytes = Buffer.from(bases[round % bases.length]!);
    for (let i = Math.floor(random() * 3); i > 0; i--) bytes[12 + Math.floor(random() * (bytes.length - 12))] = Math.floor(random() * 256);
    if (parseQuery(bytes, 0, bytes.length, query) !== "query") continue;
    const limit = Math.max(512, Math.min(query.ednsSize, 4096));
    const out = Buffer.alloc(MAX_MESSAGE_LENGTH, 0xee);
    const lengths = [encoders[0].encode(table, query, bytes, 0, out, 0, limit), encoders[1].encode(table, query, bytes, out, limit)];
    for (const length of lengths) {
      if (length <= 0) continue;
      answered++;
      assert.ok(length <= limit, `${length} of ${limit}`);
    }
    const last = lengths.findLast((length) => length > 0);
    if (last !== undefined) assert.notEqual(readRecords(out.subarray(0, last), query.questionEnd), "malformed");
  }
  assert.ok(answered > 5000, String(answered));
});
