import assert from "node:assert/strict";
import { test } from "node:test";
import { decode, type OptAnswer } from "dns-packet";
import { AnswerEncoder, NOT_OURS, TOO_LARGE, defaultAnswerSettings, istioAnswerSettings } from "../../../src/dns/answer.ts";
import { MAX_MESSAGE_LENGTH, MAX_UDP_PAYLOAD, Query, parseQuery, udpLimit } from "../../../src/dns/codec.ts";
import { compileNameTable, type NameTable } from "../../../src/dns/name-table.ts";
import { encodeQuestion, readRecording, readReply, seeded } from "./messages.ts";

function ask(table: NameTable, request: Buffer, options: { tcp?: boolean; encoder?: AnswerEncoder } = {}): Buffer | undefined {
  const query = new Query();
  assert.equal(parseQuery(request, 0, request.length, query), "query");
  const out = Buffer.alloc(MAX_MESSAGE_LENGTH, 0xee);
  const encoder = options.encoder ?? new AnswerEncoder(seeded(1), istioAnswerSettings);
  const length = encoder.encode(table, query, request, 0, out, 0, options.tcp ? MAX_MESSAGE_LENGTH : udpLimit(query, MAX_UDP_PAYLOAD));
  return length === NOT_OURS ? undefined : out.subarray(0, length);
}

for (const recording of ["agent", "mesh"] as const) {
  const { nameTable, options, cases } = readRecording(recording);
  const table = compileNameTable(nameTable, { ...options, searchDomains: options.searchDomains.slice(0, 1) });
  for (const recorded of cases) {
    const how = `${recorded.transport ?? "udp"}${recorded.edns ? ` edns ${recorded.edns}` : ""}`;
    test(`${recording}: ${recorded.name || "the root"} ${recorded.type} over ${how} is ${recorded.forwarded ? "left to upstream" : "answered as Istio does"}`, () => {
      const request = encodeQuestion(recorded.name, recorded.type, recorded.edns ? { edns: recorded.edns } : {});
      const reply = ask(table, request, { tcp: recorded.transport === "tcp" });
      if (recorded.forwarded) {
        assert.equal(reply, undefined);
        return;
      }
      assert.ok(reply);
      const read = readReply(reply);
      if (recorded.size !== undefined) assert.equal(reply.length, recorded.size);
      if (recorded.records !== undefined) assert.equal(read.answers.length, recorded.records);
      if (recorded.answers !== undefined) assert.deepEqual(read.answers.toSorted(), recorded.answers);
      assert.equal(read.truncated, recorded.truncated ?? false);
      assert.equal(read.question, `${recorded.name} ${recorded.type}`);
      assert.deepEqual(
        { ...read, answers: 0, truncated: 0, question: 0, ttls: new Set(read.ttls.filter((ttl) => ttl !== 30)) },
        {
          id: 0x1234,
          rcode: "NOERROR",
          authoritative: true,
          truncated: 0,
          recursionAvailable: false,
          question: 0,
          ttls: new Set(),
          additionals: 0,
          answers: 0,
        },
      );
    });
  }
}

const many = compileNameTable(
  {
    table: {
      "many.example.com": { ips: Array.from({ length: 60 }, (_, i) => `10.77.0.${i + 1}`) },
      "three.example.com": { ips: ["10.0.0.1", "10.0.0.2", "10.0.0.3", "2001:db8::1"] },
      "*.wild.example.com": { ips: Array.from({ length: 60 }, (_, i) => `10.78.0.${i + 1}`) },
    },
  },
  { proxyDomain: "default.svc.cluster.local", proxyNamespace: "default", searchDomains: ["default.svc.cluster.local"] },
);

test("the CNAME stays first and the addresses behind it come in every order", () => {
  const encoder = new AnswerEncoder(seeded(7), istioAnswerSettings);
  const orders = new Map<string, number>();
  for (let i = 0; i < 600; i++) {
    const { answers } = readReply(ask(many, encodeQuestion("three.example.com.default.svc.cluster.local", "A"), { encoder })!);
    assert.equal(answers[0], "three.example.com.default.svc.cluster.local. CNAME three.example.com.");
    const order = answers.slice(1).join();
    orders.set(order, (orders.get(order) ?? 0) + 1);
  }
  assert.equal(orders.size, 6);
  for (const count of orders.values()) assert.ok(count > 60 && count < 140, String(count));
});

test("a compressed reply to a question in mixed case has lower-case owners and points to the part in common", () => {
  const reply = ask(many, encodeQuestion("MANY.example.com", "A"))!;
  const read = readReply(reply);
  assert.equal(reply.length, 503);
  assert.equal(read.question, "MANY.example.com A");
  assert.equal(read.answers.length, 29);
  assert.ok(read.answers.every((answer) => answer.startsWith("many.example.com. A 10.77.0.")));
  assert.equal(readReply(ask(many, encodeQuestion("MANY.EXAMPLE.COM", "A"))!).answers.length, 28);
});

test("a truncated reply through an expansion keeps the CNAME, and its records are those of the target", () => {
  const reply = ask(many, encodeQuestion("x.wild.example.com.default.svc.cluster.local", "A"))!;
  const { answers, truncated } = readReply(reply);
  assert.ok(truncated && reply.length <= 512 && reply.length > 512 - 16);
  assert.equal(answers[0], "x.wild.example.com.default.svc.cluster.local. CNAME *.wild.example.com.");
  assert.ok(answers.slice(1).every((answer) => answer.startsWith("*.wild.example.com. A 10.78.0.")));
  assert.equal(new Set(answers).size, answers.length);
});

test("RD and CD are the client's, every other flag ours", () => {
  const cases: readonly (readonly [number, number])[] = [
    [0x0100, 0x8500],
    [0x0000, 0x8400],
    [0x0110, 0x8510],
    [0x07f5, 0x8510],
  ];
  for (const [flags, expected] of cases) {
    const request = encodeQuestion("three.example.com", "A");
    request.writeUInt16BE(flags, 2);
    assert.equal(ask(many, request)!.readUInt16BE(2), expected, flags.toString(16));
  }
});

test("a class other than IN is not ours", () => {
  const request = encodeQuestion("three.example.com", "A");
  request.writeUInt16BE(3, request.length - 2);
  assert.equal(ask(many, request), undefined);
});

test("an answer the client could take but the buffer cannot is reported, and one that must be cut is cut", () => {
  const encoder = new AnswerEncoder(seeded(1), istioAnswerSettings);
  const query = new Query();
  const large = encodeQuestion("many.example.com", "A", { edns: 4096 });
  parseQuery(large, 0, large.length, query);
  assert.equal(encoder.encode(many, query, large, 0, Buffer.alloc(1024), 0, udpLimit(query, MAX_UDP_PAYLOAD)), TOO_LARGE);
  const small = encodeQuestion("many.example.com", "A");
  parseQuery(small, 0, small.length, query);
  const out = Buffer.alloc(1024, 0xee);
  const length = encoder.encode(many, query, small, 0, out, 0, udpLimit(query, MAX_UDP_PAYLOAD));
  assert.equal(length, 498);
  assert.ok(out.subarray(512).every((byte) => byte === 0xee));
});

const known = compileNameTable(
  {
    table: {
      "four.example.com": { ips: ["10.0.0.1"] },
      "six.example.com": { ips: ["2001:db8::1"] },
      "*.wild.example.com": { ips: ["10.0.0.2"] },
    },
  },
  { proxyDomain: "", proxyNamespace: "", searchDomains: ["corp.example"] },
);

test("a name without what is asked for has an SOA of its own that lasts as long as an answer", () => {
  const encoder = new AnswerEncoder(seeded(1), { ...defaultAnswerSettings, ttlS: 70_000 });
  for (const [name, type] of [
    ["four.example.com", "AAAA"],
    ["SIX.example.com", "A"],
    ["x.wild.example.com", "AAAA"],
    ["four.example.com.corp.example", "AAAA"],
  ] as const) {
    const { rcode, flag_aa, answers, authorities } = decode(ask(known, encodeQuestion(name, type), { encoder })!) as ReturnType<
      typeof decode
    > & {
      rcode: string;
    };
    assert.deepEqual([rcode, flag_aa, answers], ["NOERROR", true, []]);
    const data = { mname: name, rname: `hostmaster.${name}`, serial: 1, refresh: 7200, retry: 1800, expire: 86_400, minimum: 70_000 };
    assert.deepEqual(authorities, [{ name, type: "SOA", ttl: 70_000, class: "IN", flush: false, data }]);
  }
});

test("types that no mesh name has are answered with nothing, others are not ours", () => {
  const encoder = new AnswerEncoder(seeded(1), defaultAnswerSettings);
  for (const name of ["four.example.com", "x.wild.example.com", "four.example.com.corp.example", "unknown.example.com"]) {
    for (const [type, ours] of [
      [65, true],
      [64, true],
      [33, false],
      [16, false],
    ] as const) {
      const request = encodeQuestion(name, "A");
      request.writeUInt16BE(type, request.length - 4);
      const reply = ask(known, request, { encoder });
      assert.equal(reply !== undefined, ours && name !== "unknown.example.com", `${name} ${type}`);
      if (reply) assert.deepEqual([reply.readUInt16BE(2) & 0xf, reply.readUInt16BE(6), reply.readUInt16BE(8)], [0, 0, 1]);
    }
  }
});

test("queries with EDNS get an OPT record with DO as they sent it, others none", () => {
  const encoder = new AnswerEncoder(seeded(1), defaultAnswerSettings);
  for (const dnssecOk of [false, true]) {
    for (const type of ["A", "AAAA"] as const) {
      const request = encodeQuestion("four.example.com", type, { edns: 4096 });
      request.writeUInt16BE(dnssecOk ? 0x8000 : 0, request.length - 4);
      const { additionals, answers } = decode(ask(known, request, { encoder })!);
      assert.equal(answers!.length, type === "A" ? 1 : 0);
      assert.equal(additionals!.length, 1);
      const opt = additionals![0] as OptAnswer;
      assert.deepEqual([opt.type, opt.udpPayloadSize, opt.flag_do, opt.ednsVersion], ["OPT", 1232, dnssecOk, 0]);
    }
  }
  assert.deepEqual(decode(ask(known, encodeQuestion("four.example.com", "A"), { encoder })!).additionals, []);
});

test("an EDNS version that is not known is BADVERS", () => {
  const encoder = new AnswerEncoder(seeded(1), defaultAnswerSettings);
  const request = encodeQuestion("four.example.com", "A", { edns: 4096 });
  request[request.length - 5] = 1;
  const reply = ask(known, request, { encoder })!;
  const { answers, additionals } = decode(reply);
  assert.deepEqual([reply.readUInt16BE(2) & 0xf, answers, (additionals![0] as OptAnswer).extendedRcode], [0, [], 1]);
});

test("a cut answer keeps its OPT record and stays within what the client takes", () => {
  const encoder = new AnswerEncoder(seeded(1), defaultAnswerSettings);
  for (let size = 512; size < 1100; size += 7) {
    const reply = ask(many, encodeQuestion("many.example.com", "A", { edns: size }), { encoder })!;
    const { additionals, answers } = readReply(reply);
    assert.ok(reply.length <= size, `${reply.length} of ${size}`);
    assert.equal(additionals, 1);
    assert.equal(readReply(reply).truncated, answers.length < 60);
    assert.ok(answers.length === 60 || reply.length > size - 16);
  }
});
