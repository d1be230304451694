import assert from "node:assert/strict";
import { test } from "node:test";
import { encode } from "dns-packet";
import {
  Query,
  encodeFailure,
  encodeName,
  isReplyTo,
  parseQuery,
  responseCode,
  truncateReply,
  udpLimit,
  type QueryVerdict,
} from "../../../src/dns/codec.ts";
import { encodeQuestion, readReply, seeded } from "./messages.ts";

const header = (options: { flags?: number; counts?: readonly number[] } = {}): Buffer => {
  const bytes = Buffer.alloc(12);
  bytes.writeUInt16BE(0x1234, 0);
  bytes.writeUInt16BE(options.flags ?? 0x0100, 2);
  (options.counts ?? [1, 0, 0, 0]).forEach((count, i) => bytes.writeUInt16BE(count, 4 + 2 * i));
  return bytes;
};
const hex = (text: string): Buffer => Buffer.from(text.replaceAll(" ", ""), "hex");
const question = Buffer.concat([encodeName("httpbin.default.svc.cluster.local")!, hex("0001 0001")]);
const opt = hex("00 0029 04d0 00000000 0000");
const label = (length: number): Buffer => Buffer.concat([Buffer.of(length), Buffer.alloc(length, "a")]);

const cases: readonly (readonly [string, Buffer, QueryVerdict])[] = [
  ["a plain query", Buffer.concat([header(), question]), "query"],
  ["nothing", Buffer.alloc(0), "ignore"],
  ["less than a header", header().subarray(0, 11), "ignore"],
  ["a response", Buffer.concat([header({ flags: 0x8100 }), question]), "ignore"],
  ["a response without a question", header({ flags: 0x8180, counts: [0, 0, 0, 0] }), "ignore"],
  ["NOTIFY", Buffer.concat([header({ flags: 0x2000 }), question]), "unsupported"],
  ["STATUS", Buffer.concat([header({ flags: 0x1000 }), question]), "unsupported"],
  ["UPDATE", Buffer.concat([header({ flags: 0x2800 }), question]), "unsupported"],
  ["no question", header({ counts: [0, 0, 0, 0] }), "malformed"],
  ["two questions", Buffer.concat([header({ counts: [2, 0, 0, 0] }), question, question]), "malformed"],
  ["two answers", Buffer.concat([header({ counts: [1, 2, 0, 0] }), question]), "malformed"],
  ["two authorities", Buffer.concat([header({ counts: [1, 0, 2, 0] }), question]), "malformed"],
  ["three additionals", Buffer.concat([header({ counts: [1, 0, 0, 3] }), question]), "malformed"],
  ["a question that is not there", header(), "malformed"],
  ["a question cut in its name", Buffer.concat([header(), question.subarray(0, 10)]), "malformed"],
  ["a question cut in its type", Buffer.concat([header(), question.subarray(0, -3)]), "malformed"],
  ["a name that points to itself", Buffer.concat([header(), hex("c00c 0001 0001")]), "malformed"],
  ["a name that points into the header", Buffer.concat([header(), hex("c000 0001 0001")]), "malformed"],
  ["a name that points ahead", Buffer.concat([header(), hex("c012 0001 0001 0161 00")]), "malformed"],
  ["a label with the reserved bits", Buffer.concat([header(), hex("40"), Buffer.alloc(64, "a"), hex("00 0001 0001")]), "malformed"],
  ["a label of 63 bytes", Buffer.concat([header(), label(63), hex("00 0001 0001")]), "query"],
  ["a name of 255 bytes", Buffer.concat([header(), label(63), label(63), label(63), label(61), hex("00 0001 0001")]), "query"],
  ["a name of 256 bytes", Buffer.concat([header(), label(63), label(63), label(63), label(62), hex("00 0001 0001")]), "malformed"],
  ["the root", Buffer.concat([header(), hex("00 0002 0001")]), "query"],
  ["bytes behind the question", Buffer.concat([header(), question, Buffer.from("abc")]), "query"],
  ["an OPT record", Buffer.concat([header({ counts: [1, 0, 0, 1] }), question, opt]), "query"],
  ["two OPT records", Buffer.concat([header({ counts: [1, 0, 0, 2] }), question, opt, opt]), "query"],
  ["an OPT record that is not there", Buffer.concat([header({ counts: [1, 0, 0, 1] }), question]), "query"],
  ["an OPT record cut short", Buffer.concat([header({ counts: [1, 0, 0, 1] }), question, opt.subarray(0, -1)]), "malformed"],
  [
    "an OPT record with data past the end",
    Buffer.concat([header({ counts: [1, 0, 0, 1] }), question, hex("00 0029 04d0 00000000 0009")]),
    "malformed",
  ],
  [
    "a record whose owner is a pointer",
    Buffer.concat([header({ counts: [1, 1, 0, 0] }), question, hex("c00c 0001 0001 00000000 0000")]),
    "query",
  ],
];

for (const [what, bytes, verdict] of cases) {
  test(`${what} is ${verdict === "query" ? "taken as a query" : verdict}`, () => {
    assert.equal(parseQuery(bytes, 0, bytes.length, new Query()), verdict);
    // At an offset, with bytes on both sides that would be read if bounds were those of the buffer.
    const within = Buffer.concat([Buffer.alloc(7, 0x3f), bytes, Buffer.alloc(300, 0x01)]);
    assert.equal(parseQuery(within, 7, bytes.length, new Query()), verdict);
  });
}

test("a query's fields are read, its name in lower case with the place of every label", () => {
  const bytes = encodeQuestion("HttpBin.Default", "AAAA", { edns: 1232, id: 77 });
  const query = new Query();
  parseQuery(bytes, 0, bytes.length, query);
  assert.deepEqual(
    [query.id, query.type, query.class, query.ednsSize, query.end, query.labelCount, query.questionEnd],
    [77, 28, 1, 1232, bytes.length, 2, 33],
  );
  assert.equal(Buffer.from(query.name.subarray(0, query.nameLength)).toString("latin1"), "\x07httpbin\x07default\0");
  assert.deepEqual([...query.labels.subarray(0, 2)], [0, 8]);
});

test("a UDP client takes 512 bytes, or what EDNS says when that is more, up to what is set", () => {
  for (const [edns, limit] of [
    [undefined, 512],
    [1, 512],
    [100, 512],
    [512, 512],
    [513, 513],
    [4096, 4096],
    [4097, 4096],
    [65535, 4096],
  ] as const) {
    const bytes = encodeQuestion("a", "A", edns === undefined ? {} : { edns });
    const query = new Query();
    parseQuery(bytes, 0, bytes.length, query);
    assert.equal(udpLimit(query, 4096), limit);
  }
});

test("random and mutated messages never throw, and what is taken as a query stays within its bounds", () => {
  const random = seeded(20261121);
  const query = new Query();
  const valid = [
    encodeQuestion("httpbin.default.svc.cluster.local", "A"),
    encodeQuestion("a.b.c.d.e.f", "AAAA", { edns: 1232 }),
    Buffer.concat([header({ counts: [1, 1, 1, 2] }), question, ...[1, 2, 3].map(() => hex("c00c 0001 0001 00000000 0002 ffff")), opt]),
  ];
  let taken = 0;
  for (let round = 0; round < 30_000; round++) {
    const base = valid[round % 4];
    const bytes = base ? Buffer.from(base) : Buffer.alloc(Math.floor(random() * 80));
    const changes = base ? 1 + Math.floor(random() * 4) : bytes.length;
    for (let i = 0; i < changes; i++) bytes[Math.floor(random() * bytes.length)] = Math.floor(random() * 256);
    const length = Math.floor(random() * 4) === 0 ? Math.floor(random() * (bytes.length + 1)) : bytes.length;
    const verdict = parseQuery(bytes, 0, length, query);
    if (verdict === "ignore") continue;
    const reply = encodeFailure(bytes, 0, query, responseCode.formatError);
    assert.ok(reply.length >= 12 && reply.length <= length);
    if (verdict !== "query") continue;
    taken++;
    assert.ok(query.nameLength <= 255 && query.labelCount <= 127 && query.questionEnd <= query.end && query.end <= length);
    assert.equal(query.name[query.nameLength - 1], 0);
  }
  assert.ok(taken > 1000, String(taken));
});

test("a failure echoes the question in its own case, or is a bare header when there is none to echo", () => {
  const request = encodeQuestion("HttpBin", "A", { edns: 1232 });
  const query = new Query();
  parseQuery(request, 0, request.length, query);
  const read = readReply(encodeFailure(request, 0, query, responseCode.serverFailure));
  assert.deepEqual([read.id, read.rcode, read.question, read.additionals, read.authoritative], [0x1234, "SERVFAIL", "HttpBin A", 0, false]);
  const broken = header({ counts: [0, 0, 0, 0] });
  parseQuery(broken, 0, broken.length, query);
  assert.equal(encodeFailure(broken, 0, query, responseCode.formatError).toString("hex"), "123481010000000000000000");
});

test("a reply belongs to a question when id, name without case, type and class agree", () => {
  const request = encodeQuestion("Ab.example", "A", { id: 5 });
  const reply = (name: string, type: "A" | "AAAA", id: number): Buffer => encode({ type: "response", id, questions: [{ name, type }] });
  const bare = Buffer.from(request);
  const end = request.length;
  assert.equal(isReplyTo(reply("Ab.example", "A", 5), request, 5, end), true);
  assert.equal(isReplyTo(reply("aB.EXAMPLE", "A", 5), request, 5, end), true);
  assert.equal(isReplyTo(reply("Ab.example", "A", 6), request, 5, end), false);
  assert.equal(isReplyTo(reply("Ac.example", "A", 5), request, 5, end), false);
  assert.equal(isReplyTo(reply("Ab.example", "AAAA", 5), request, 5, end), false);
  assert.equal(isReplyTo(bare, request, 5, end), false);
  assert.equal(isReplyTo(reply("Ab.example", "A", 5).subarray(0, 15), request, 5, end), false);
  const noQuestion = encode({ type: "response", id: 5 });
  assert.equal(isReplyTo(Buffer.concat([noQuestion, Buffer.alloc(40)]), request, 5, end), false);
});

test("a reply that is too long is cut behind a whole record with TC set", () => {
  const answers = Array.from({ length: 64 }, (_, i) => ({ type: "A" as const, name: "giant", ttl: 60, data: `240.0.0.${i}` }));
  const reply = encode({ type: "response", id: 9, questions: [{ name: "giant", type: "A" }], answers });
  const questionEnd = 12 + 7 + 4;
  for (const limit of [512, 600, questionEnd, 700]) {
    const cut = truncateReply(reply, limit, questionEnd);
    const read = readReply(cut);
    assert.ok(cut.length <= limit && cut.length > limit - 21, `${cut.length} of ${limit}`);
    assert.ok(read.truncated);
    assert.equal(read.answers.length, (cut.length - questionEnd) / 21);
    assert.deepEqual(
      read.answers,
      answers.slice(0, read.answers.length).map(({ data }) => `giant. A ${data}`),
    );
  }
});

test("a reply whose records run past its end is cut before them", () => {
  const reply = encode({
    type: "response",
    id: 9,
    questions: [{ name: "giant", type: "A" }],
    answers: [{ type: "A", name: "giant", data: "1.2.3.4" }],
  });
  assert.equal(readReply(truncateReply(reply.subarray(0, -1), 512, 23)).answers.length, 0);
});

test("names have one wire form, or none", () => {
  assert.equal(encodeName("A.b.")?.toString("latin1"), "\x01a\x01b\0");
  assert.equal(encodeName(".")?.toString("latin1"), "\0");
  for (const text of ["a..b", ".a", `${"x".repeat(64)}`, Array.from({ length: 5 }, () => "x".repeat(60)).join(".")]) {
    assert.equal(encodeName(text), undefined, text);
  }
});
