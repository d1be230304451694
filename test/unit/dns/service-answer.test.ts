import assert from "node:assert/strict";
import { test } from "node:test";
import { decode, type Answer } from "dns-packet";
import { AnswerEncoder, NOT_OURS, defaultAnswerSettings } from "../../../src/dns/answer.ts";
import { MAX_MESSAGE_LENGTH, Query, parseQuery, recordType, writeUint16 } from "../../../src/dns/codec.ts";
import { compileNameTable } from "../../../src/dns/name-table.ts";
import { ServiceAnswerEncoder } from "../../../src/dns/service-answer.ts";
import type { ServicePorts } from "../../../src/dns/service-ports.ts";
import { encodeQuestion, seeded } from "./messages.ts";

const kubernetes = (name: string, ...ips: readonly string[]): object => ({
  ips,
  registry: "Kubernetes",
  shortname: name,
  namespace: "foo",
});
const pods = Array.from({ length: 40 }, (_, i) => ({ host: `10-0-1-${i}.many.foo.svc.cluster.local`, address: `10.0.1.${i}`, port: 9000 }));
const ports: ServicePorts = {
  "httpbin.foo.svc.cluster.local": [
    { name: "http", protocol: "tcp", port: 8000 },
    { name: "HTTP-Admin", protocol: "tcp", port: 8001 },
    { name: "dns", protocol: "udp", port: 53 },
    { name: "dns", protocol: "tcp", port: 53 },
  ],
  "web.foo.svc.cluster.local": [
    {
      name: "http",
      protocol: "tcp",
      port: 80,
      endpoints: [
        { host: "web-0.web.foo.svc.cluster.local", address: "10.0.0.1", port: 8080 },
        { host: "fd00--2.web.foo.svc.cluster.local", address: "fd00::2", port: 8081 },
      ],
    },
  ],
  "many.foo.svc.cluster.local": [{ name: "http", protocol: "tcp", port: 80, endpoints: pods }],
  "mongo.example": [{ name: "mongo", protocol: "tcp", port: 27018 }],
};
const table = compileNameTable(
  {
    table: {
      "httpbin.foo.svc.cluster.local": kubernetes("httpbin", "10.96.0.1", "fd00::1"),
      "web.foo.svc.cluster.local": kubernetes("web", "10.0.0.1", "fd00::2"),
      "web-0.web.foo.svc.cluster.local": kubernetes("web-0.web", "10.0.0.1"),
      "many.foo.svc.cluster.local": kubernetes("many", "10.0.1.0"),
      "portless.foo.svc.cluster.local": kubernetes("portless", "10.96.0.9"),
      "mongo.example": { ips: ["240.240.0.1"] },
      "*.wild.example": { ips: ["240.240.0.2"] },
    },
  },
  { proxyDomain: "foo.svc.cluster.local", proxyNamespace: "foo", searchDomains: ["foo.svc.cluster.local", "svc.cluster.local"] },
  ports,
);

interface Given {
  readonly answers: readonly string[];
  readonly glue: readonly string[];
  readonly truncated: boolean;
  readonly bytes: Buffer;
}

function ask(
  name: string,
  options: { limit?: number; edns?: number; type?: number; settings?: Partial<typeof defaultAnswerSettings> } = {},
): Given | undefined {
  const { limit = MAX_MESSAGE_LENGTH, type = recordType.srv, edns, settings } = options;
  const request = encodeQuestion(name, "SRV", edns === undefined ? {} : { edns });
  const query = new Query();
  parseQuery(request, 0, request.length, query);
  writeUint16(request, query.questionEnd - 4, type);
  assert.equal(parseQuery(request, 0, request.length, query), "query");
  const out = Buffer.alloc(MAX_MESSAGE_LENGTH, 0xee);
  const encoder = new ServiceAnswerEncoder(seeded(1), { ...defaultAnswerSettings, ...settings });
  const length = encoder.encode(table, query, request, out, limit);
  if (length === NOT_OURS) return undefined;
  assert.ok(length <= limit);
  const bytes = out.subarray(0, length);
  const { answers = [], additionals = [], flag_aa, flag_tc, id } = decode(bytes);
  assert.deepEqual([flag_aa, id], [true, 0x1234]);
  return { answers: answers.map(describe), glue: additionals.map(describe), truncated: flag_tc, bytes };
}

function describe(record: Answer): string {
  if (record.type === "OPT") return "OPT";
  if (record.type === "A" || record.type === "AAAA") return `${record.name} ${record.type} ${record.data}`;
  assert.ok(record.type === "SRV");
  const { priority, weight, port, target } = record.data;
  return `${record.name} ${record.ttl} SRV ${priority} ${weight} ${port} ${target}`;
}

const httpbin = "httpbin.foo.svc.cluster.local";
const addresses = [`${httpbin} A 10.96.0.1`, `${httpbin} AAAA fd00::1`];

for (const [name, expected] of [
  [`_http._tcp.${httpbin}`, [`SRV 0 100 8000 ${httpbin}`]],
  [`_HTTP._TCP.${httpbin.toUpperCase()}`, [`SRV 0 100 8000 ${httpbin}`]],
  [`_http-admin._tcp.${httpbin}`, [`SRV 0 100 8001 ${httpbin}`]],
  ["_http._tcp.httpbin", [`SRV 0 100 8000 ${httpbin}`]],
  ["_http._tcp.httpbin.foo", [`SRV 0 100 8000 ${httpbin}`]],
  ["_http._tcp.httpbin.foo.svc", [`SRV 0 100 8000 ${httpbin}`]],
  ["_mongo._tcp.mongo.example.svc.cluster.local", ["SRV 0 100 27018 mongo.example"]],
  [`_dns._udp.${httpbin}`, [`SRV 0 100 53 ${httpbin}`]],
  ["_mongo._tcp.mongo.example", ["SRV 0 100 27018 mongo.example"]],
  [httpbin, [8000, 8001, 53, 53].map((port) => `SRV 0 25 ${port} ${httpbin}`)],
  ["_http._tcp.web", ["SRV 0 50 8080 web-0.web.foo.svc.cluster.local", "SRV 0 50 8081 fd00--2.web.foo.svc.cluster.local"]],
] as const) {
  test(`${name}: ${expected.join(", ")}`, () => {
    const given = ask(name);
    assert.ok(given);
    assert.deepEqual(given.answers.toSorted(), expected.map((record) => `${name} 30 ${record}`).toSorted());
    assert.equal(given.truncated, false);
  });
}

test("the addresses of the targets come along, each once", () => {
  assert.deepEqual(ask(httpbin)?.glue, addresses);
  assert.deepEqual(ask("_http._tcp.web")?.glue.toSorted(), [
    "fd00--2.web.foo.svc.cluster.local AAAA fd00::2",
    "web-0.web.foo.svc.cluster.local A 10.0.0.1",
  ]);
});

test("what is no question about a known port is left to upstream", () => {
  for (const name of [
    `_grpc._tcp.${httpbin}`,
    `_http._udp.${httpbin}`,
    "portless.foo",
    "_http._tcp.portless.foo",
    "_http._tcp.unknown.foo",
    "_http._tcp.a.wild.example",
    "_http._tcp",
    "_http",
    `http.tcp.${httpbin}`,
    "",
  ]) {
    assert.equal(ask(name), undefined, name);
  }
  assert.equal(ask(`_http._tcp.${httpbin}`, { type: recordType.a }), undefined);
});

test("too many pods for the client: whole records, TC, no addresses; addresses alone that do not fit are no truncation", () => {
  const cut = ask("_http._tcp.many", { limit: 512 });
  assert.ok(cut && cut.truncated && cut.answers.length > 5 && cut.answers.length < 40 && cut.bytes.length <= 512);
  assert.deepEqual(cut.glue, []);
  const whole = ask("_http._tcp.many");
  assert.deepEqual([whole?.truncated, whole?.answers.length, whole?.glue.length], [false, 40, 40]);
  const tight = ask("_http._tcp.many", { limit: whole!.bytes.length - 1 });
  assert.deepEqual([tight?.truncated, tight?.answers.length, tight?.glue.length], [false, 40, 39]);
});

test("pods come in another order each time, so that not everybody begins with the same", () => {
  const random = seeded(5);
  const encoder = new ServiceAnswerEncoder(random, defaultAnswerSettings);
  const request = encodeQuestion("_http._tcp.web", "SRV");
  const query = new Query();
  parseQuery(request, 0, request.length, query);
  const first = new Set<string>();
  for (let i = 0; i < 50; i++) {
    const out = Buffer.alloc(MAX_MESSAGE_LENGTH);
    const [record] = decode(out.subarray(0, encoder.encode(table, query, request, out, 512))).answers ?? [];
    first.add(describe(record!));
  }
  assert.equal(first.size, 2);
});

test("EDNS is answered with EDNS, within the limit", () => {
  for (const limit of [60, 100, 512]) {
    const given = ask("_http._tcp.web", { edns: 1232, limit });
    assert.ok(given && given.bytes.length <= limit && given.glue.at(-1) === "OPT");
  }
  assert.deepEqual(ask("_http._tcp.web", { edns: 1232, settings: { edns: false } })?.glue.includes("OPT"), false);
});

test("pods that only SRV records name have an address of their own, those of hosts that are not known have none", () => {
  const encoder = new AnswerEncoder(seeded(1), defaultAnswerSettings);
  const request = encodeQuestion("10-0-1-7.many.foo.svc.cluster.local", "A");
  const query = new Query();
  parseQuery(request, 0, request.length, query);
  const out = Buffer.alloc(512);
  const { answers = [] } = decode(out.subarray(0, encoder.encode(table, query, request, 0, out, 0, 512)));
  assert.deepEqual(answers.map(describe), ["10-0-1-7.many.foo.svc.cluster.local A 10.0.1.7"]);
  assert.equal(compileNameTable({}, { proxyDomain: "", proxyNamespace: "", searchDomains: [] }, ports).size, 0);
});
