// What is taken from an upstream reply, and what other clients get of it; made and read with dns-packet.
import assert from "node:assert/strict";
import { test } from "node:test";
import { AUTHORITATIVE_ANSWER, RECURSION_AVAILABLE, TRUNCATED_RESPONSE, decode, encode, type Answer, type Packet } from "dns-packet";
import { Query, parseQuery } from "../../../../src/dns/codec.ts";
import { askedOf, replyFor, shareReply } from "../../../../src/dns/cache/shared-reply.ts";
import { encodeQuestion, seeded } from "../messages.ts";

const name = "www.example.com";
const questions = [{ name, type: "A" as const }];
const a = (ttl: number): Answer => ({ name, type: "A", ttl, data: "203.0.113.5" });
const cname = (ttl: number): Answer => ({ name, type: "CNAME", ttl, data: "other.example.com" });
const soa = (ttl: number, minimum: number): Answer => ({
  name: "example.com",
  type: "SOA",
  ttl,
  data: { mname: "ns.example.com", rname: "root.example.com", serial: 7, refresh: 1, retry: 2, expire: 3, minimum },
});
const opt = (extendedRcode = 0): Answer => ({
  type: "OPT",
  name: ".",
  udpPayloadSize: 4096,
  extendedRcode,
  ednsVersion: 0,
  flags: 0,
  flag_do: false,
  options: [],
});
const upstream = (packet: Packet): Buffer => encode({ type: "response", id: 99, questions, ...packet });

function readQuery(message: Buffer): Query {
  const query = new Query();
  assert.equal(parseQuery(message, 0, message.length, query), "query");
  return query;
}

const { questionEnd } = readQuery(encodeQuestion(name, "A"));
const free = { minTtlS: 0, maxTtlS: 86_400 };

const cases: readonly (readonly [string, Packet, { readonly keepable: boolean; readonly negative?: boolean; readonly ttlS?: number }])[] = [
  [
    "the least TTL of all records counts",
    { answers: [cname(50), a(40)], additionals: [a(30)] },
    { keepable: true, negative: false, ttlS: 30 },
  ],
  ["OPT has no TTL", { answers: [a(40)], additionals: [opt()] }, { keepable: true, negative: false, ttlS: 40 }],
  ["no such name: the SOA's own TTL", { flags: 3, authorities: [soa(20, 60)] }, { keepable: true, negative: true, ttlS: 20 }],
  ["no such name: the SOA's minimum", { flags: 3, authorities: [soa(90, 60)] }, { keepable: true, negative: true, ttlS: 60 }],
  ["no such type: as no such name", { authorities: [soa(90, 60)] }, { keepable: true, negative: true, ttlS: 60 }],
  ["an alias of nothing", { answers: [cname(10)], authorities: [soa(90, 60)] }, { keepable: true, negative: true, ttlS: 10 }],
  ["no such name, no SOA", { flags: 3 }, { keepable: false }],
  ["a referral", { authorities: [{ name: "example.com", type: "NS", ttl: 60, data: "ns.example.com" }] }, { keepable: false }],
  ["a failure", { flags: 2, answers: [a(60)] }, { keepable: false }],
  ["a refusal", { flags: 5 }, { keepable: false }],
  ["a cut reply", { flags: TRUNCATED_RESPONSE, answers: [a(60)] }, { keepable: false }],
];
for (const [title, packet, expected] of cases) {
  test(`${title}: ${expected.keepable ? `kept for ${expected.ttlS} s` : "not kept"}`, () => {
    const shared = shareReply(upstream(packet), questionEnd, 1);
    assert.ok(shared);
    assert.equal(shared.keepable, expected.keepable);
    if (expected.keepable) assert.deepEqual([shared.negative, shared.ttlS], [expected.negative, expected.ttlS]);
  });
}

test("a TTL with the high bit set counts as 0", () => {
  const reply = upstream({ answers: [a(60)] });
  reply.writeUInt32BE(0x80000001, reply.length - 10);
  assert.equal(shareReply(reply, questionEnd, 1)?.ttlS, 0);
});

test("replies that are one client's alone or no whole message are not shared", () => {
  const whole = upstream({ answers: [a(60)] });
  const signed = Buffer.from(upstream({ answers: [a(60)], additionals: [a(60)] }));
  signed.writeUInt16BE(250, signed.length - 14);
  for (const [title, reply] of [
    ["BADVERS", upstream({ additionals: [opt(1)] })],
    ["a record behind OPT", upstream({ additionals: [opt(), a(60)] })],
    ["TSIG", signed],
    ["cut within a record", whole.subarray(0, whole.length - 1)],
    ["fewer records than it says", whole.subarray(0, questionEnd)],
  ] as const) {
    assert.equal(shareReply(reply, questionEnd, 1), undefined, title);
  }
});

test("another client gets its own id, its spelling and its OPT record, and what is left of the TTLs", () => {
  const reply = upstream({ flags: AUTHORITATIVE_ANSWER | RECURSION_AVAILABLE, answers: [a(60), a(40)], additionals: [opt()] });
  const shared = shareReply(reply, questionEnd, 1)!;
  for (const edns of [undefined, 1232]) {
    const request = encodeQuestion("WWW.example.COM", "A", { id: 7, ...(edns === undefined ? {} : { edns }) });
    const asked = askedOf(readQuery(request), request);
    const kept = decode(replyFor(asked, shared, free, 15, true));
    assert.deepEqual([kept.id, kept.questions?.[0]?.name, kept.flag_aa, kept.flag_ra], [7, "WWW.example.COM", false, true]);
    assert.deepEqual(
      kept.answers?.map((answer) => "ttl" in answer && answer.ttl),
      [45, 25],
    );
    assert.deepEqual(
      kept.additionals?.map(({ type }) => type),
      edns === undefined ? [] : ["OPT"],
    );
    assert.equal(decode(replyFor(asked, shared, free, 0, false)).flag_aa, true);
  }
});

test("TTLs are told within their bounds", () => {
  const shared = shareReply(upstream({ answers: [a(5), a(50), a(500)] }), questionEnd, 1)!;
  const request = encodeQuestion(name, "A");
  const { answers } = decode(replyFor(askedOf(readQuery(request), request), shared, { minTtlS: 20, maxTtlS: 100 }, 10, true));
  assert.deepEqual(
    answers?.map((answer) => "ttl" in answer && answer.ttl),
    [10, 40, 90],
  );
});

test("whatever the bytes of a reply are, reading it ends and never leaves the message", () => {
  const random = seeded(11);
  const whole = upstream({ answers: [cname(50), a(40)], authorities: [soa(20, 60)], additionals: [a(1), opt()] });
  const request = encodeQuestion(name, "A", { edns: 1232 });
  const asked = askedOf(readQuery(request), request);
  let taken = 0;
  for (let round = 0; round < 4000; round++) {
    const reply = Buffer.from(
      whole.subarray(0, random() < 0.3 ? questionEnd + Math.floor(random() * (whole.length - questionEnd)) : whole.length),
    );
    for (let flips = Math.floor(random() * 4); flips > 0; flips--) reply[Math.floor(random() * reply.length)] = Math.floor(random() * 256);
    const shared = shareReply(reply, questionEnd, 1);
    if (!shared) continue;
    taken++;
    assert.ok(shared.ttlOffsets.every((offset) => offset + 4 <= shared.bytes.length));
    assert.ok(replyFor(asked, shared, free, 5, true).length <= whole.length + 11);
  }
  assert.ok(taken > 500, String(taken));
});
