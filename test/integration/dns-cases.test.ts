// What Istio's DNS proxy is known to answer, name by name, over UDP and TCP and on both UDP paths, with the responder as it is set by
// default: the same answers, and where ours are better than Istio's (cut replies, negative answers) ours.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { decode, encode, type Answer } from "dns-packet";
import { compileNameTable } from "../../src/dns/name-table.ts";
import type { DnsResponder } from "../../src/dns/responder.ts";
import { encodeQuestion, readReply, type ReadReply } from "../unit/dns/messages.ts";
import { sendOne, startResponder, startUpstream, type Script, type Upstream } from "./dns-wire.ts";

const search = "ns1.svc.cluster.local";
const external = (...ips: readonly string[]): object => ({ ips, registry: "External" });
const kubernetes = (shortname: string, namespace: string, ...ips: readonly string[]): object => ({
  ips,
  registry: "Kubernetes",
  shortname,
  namespace,
});
const many = Array.from({ length: 40 }, (_, i) => `10.8.0.${i}`);

const names = {
  "shop.example.com": external("198.51.100.1"),
  "cart.ns1.svc.cluster.local": kubernetes("cart", "ns1", "10.96.0.1"),
  "stock.ns2.svc.cluster.local": kubernetes("stock", "ns2", "10.96.0.2"),
  "ledger.ns2.svc.cluster.remote": kubernetes("ledger", "ns2", "10.97.0.1", "10.97.0.2"),
  "paid.ns1.svc.cluster.local": { ...kubernetes("paid", "ns1", "10.96.0.3"), alt_hosts: ["paid.ns1.svc.clusterset.local"] },
  "v6.example.com": external("2001:db8::6"),
  "dual.example.com": external("198.51.100.4", "2001:db8::4"),
  "*.wild": external("198.51.100.10"),
  "*.b.wild": external("198.51.100.11"),
  "many.example.com": external(...many),
  "db-0.db.ns1.svc.cluster.local": kubernetes("db-0.db", "ns1", "10.1.0.1"),
  "db.ns1.svc.cluster.local": kubernetes("db", "ns1", "10.1.0.1", "10.1.0.2"),
};
const table = compileNameTable(
  { table: names },
  { proxyDomain: search, proxyNamespace: "ns1", searchDomains: [search, "svc.cluster.local", "cluster.local"] },
);

/** `upstream`: nothing of ours, its answer is passed on. */
type Expected = readonly string[] | "upstream";

const cases: readonly (readonly [name: string, type: "A" | "AAAA", expected: Expected])[] = [
  // Hosts outside of Kubernetes, and what is not in the table.
  ["shop.example.com", "A", ["shop.example.com. A 198.51.100.1"]],
  ["SHOP.Example.com", "A", ["shop.example.com. A 198.51.100.1"]],
  [`shop.example.com.${search}`, "A", [`shop.example.com.${search}. CNAME shop.example.com.`, "shop.example.com. A 198.51.100.1"]],
  ["www.upstream.example", "A", "upstream"],
  ["example.com", "A", "upstream"],
  // Services: in full, by namespace, and bare from the own namespace.
  ["cart.ns1.svc.cluster.local", "A", ["cart.ns1.svc.cluster.local. A 10.96.0.1"]],
  ["cart.ns1.svc", "A", ["cart.ns1.svc. A 10.96.0.1"]],
  ["cart.ns1", "A", ["cart.ns1. A 10.96.0.1"]],
  ["cart", "A", ["cart. A 10.96.0.1"]],
  ["stock.ns2", "A", ["stock.ns2. A 10.96.0.2"]],
  ["stock", "A", "upstream"],
  [`stock.ns2.${search}`, "A", [`stock.ns2.${search}. CNAME stock.ns2.`, "stock.ns2. A 10.96.0.2"]],
  [`stock.ns2.${search}`, "AAAA", []],
  [`cart.ns1.svc.cluster.local.${search}`, "A", "upstream"],
  // A service of another domain answers to its full name only.
  ["ledger.ns2.svc.cluster.remote", "A", ["10.97.0.1", "10.97.0.2"].map((ip) => `ledger.ns2.svc.cluster.remote. A ${ip}`)],
  ["ledger.ns2", "A", "upstream"],
  // Alternative hosts.
  ["paid.ns1.svc.clusterset.local", "A", ["paid.ns1.svc.clusterset.local. A 10.96.0.3"]],
  // Address families: the one that is asked for, or none.
  ["dual.example.com", "A", ["dual.example.com. A 198.51.100.4"]],
  ["dual.example.com", "AAAA", ["dual.example.com. AAAA 2001:db8::4"]],
  ["v6.example.com", "A", []],
  ["v6.example.com", "AAAA", ["v6.example.com. AAAA 2001:db8::6"]],
  ["shop.example.com", "AAAA", []],
  // Wildcards: the most specific one, under the name that was asked.
  ["x.wild", "A", ["x.wild. A 198.51.100.10"]],
  ["x.y.wild", "A", ["x.y.wild. A 198.51.100.10"]],
  ["x.b.wild", "A", ["x.b.wild. A 198.51.100.11"]],
  ["wild", "A", "upstream"],
  [`x.wild.${search}`, "A", [`x.wild.${search}. CNAME *.wild.`, "*.wild. A 198.51.100.10"]],
  // Headless services and their pods.
  ["db.ns1", "A", ["db.ns1. A 10.1.0.1", "db.ns1. A 10.1.0.2"]],
  ["db-0.db.ns1.svc.cluster.local", "A", ["db-0.db.ns1.svc.cluster.local. A 10.1.0.1"]],
  ["db-0.db", "A", ["db-0.db. A 10.1.0.1"]],
  ["db-1.db.ns1.svc.cluster.local", "A", "upstream"],
];

const giant = Array.from({ length: 64 }, (_, i): Answer => ({ type: "A", name: "giant.example", ttl: 60, data: `203.0.113.${i}` }));
const script: Script = (query, transport) => {
  const { id = 0, questions = [] } = decode(query);
  const name = questions[0]!.name;
  if (name === "giant.example") return [encode({ type: "response", id, questions, answers: giant })];
  if (name === "cut.example") {
    const cut = transport === "udp";
    return [encode({ type: "response", id, flags: cut ? 0x200 : 0, questions, answers: cut ? giant.slice(0, 29) : giant })];
  }
  if (name === "silent.example") return [];
  if (name === "www.upstream.example") {
    return [encode({ type: "response", id, questions, answers: [{ type: "A", name, ttl: 60, data: "203.0.113.1" }] })];
  }
  return [encode({ type: "response", id, flags: 3, questions })];
};

for (const batching of [false, true]) {
  for (const transport of ["udp", "tcp"] as const) {
    describe(`${transport}, ${batching ? "UDP batched on a thread" : "UDP on dgram"}`, () => {
      let upstream: Upstream;
      let responder: DnsResponder;
      before(async () => {
        upstream = await startUpstream(script);
        const forward = { timeoutMs: 100, deadlineMs: 200 };
        ({ responder } = await startResponder({ table, nameServers: [upstream], batching, cache: "none", forward }));
      });
      after(async () => {
        await responder.close();
        await upstream.close();
      });
      const send = (message: Buffer): Promise<Buffer> => sendOne(responder.address, transport, message);
      const ask = async (name: string, type: "A" | "AAAA" = "A", edns?: number): Promise<ReadReply> =>
        readReply(await send(encodeQuestion(name, type, edns === undefined ? {} : { edns })));

      for (const [name, type, expected] of cases) {
        test(`${name} ${type}: ${expected === "upstream" ? "upstream's answer" : expected.join(", ") || "nothing, though the name is known"}`, async () => {
          upstream.queries.length = 0;
          const reply = await ask(name, type);
          assert.equal(reply.question, `${name} ${type}`);
          assert.equal(upstream.queries.length, expected === "upstream" ? 1 : 0);
          assert.equal(reply.recursionAvailable, false);
          if (expected === "upstream") {
            assert.equal(reply.rcode, name === "www.upstream.example" ? "NOERROR" : "NXDOMAIN");
            return;
          }
          assert.deepEqual([reply.rcode, reply.authoritative], ["NOERROR", true]);
          assert.deepEqual(reply.answers.toSorted(), expected.toSorted());
          assert.ok(reply.ttls.every((ttl) => ttl === 30));
          // The CNAME is first.
          if (expected.some((answer) => answer.includes(" CNAME "))) assert.match(reply.answers[0]!, / CNAME /);
        });
      }

      test("two addresses come in either order", async () => {
        const first = new Set<string>();
        for (let i = 0; i < 40 && first.size < 2; i++) first.add((await ask("ledger.ns2.svc.cluster.remote")).answers[0]!);
        assert.equal(first.size, 2);
      });

      test("forty addresses: whole over TCP and for a client that takes them, cut and marked for one that does not", async () => {
        for (const edns of [undefined, 512, 600, 4096, 65535] as const) {
          const message = encodeQuestion("many.example.com", "A", edns === undefined ? {} : { edns });
          const bytes = await send(message);
          const { answers, truncated } = readReply(bytes);
          const whole = transport === "tcp" || (edns ?? 0) > 600;
          assert.ok(transport === "tcp" || bytes.length <= Math.max(512, edns ?? 0));
          assert.equal(truncated, !whole, String(edns));
          assert.ok(whole ? answers.length === 40 : answers.length > 20 && answers.length < 40, `${edns} ${answers.length}`);
          assert.equal(new Set(answers).size, answers.length);
          assert.ok(answers.every((answer) => many.includes(answer.split(" ")[2]!)));
        }
      });

      test("a large upstream reply: whole over TCP and with EDNS, cut and marked, never SERVFAIL, without", async () => {
        const plain = await ask("giant.example");
        assert.equal(plain.rcode, "NOERROR");
        assert.equal(plain.truncated, transport === "udp");
        assert.ok(transport === "tcp" ? plain.answers.length === 64 : plain.answers.length > 0 && plain.answers.length < 64);
        assert.equal((await ask("giant.example", "A", 65535)).answers.length, 64);
      });

      test("a reply that upstream cuts is made whole for those who take it", async () => {
        assert.equal((await ask("cut.example", "A", 65535)).answers.length, 64);
      });

      test("a silent upstream is SERVFAIL within the window that is set", async () => {
        const startedMs = performance.now();
        assert.equal((await ask("silent.example")).rcode, "SERVFAIL");
        const tookMs = performance.now() - startedMs;
        assert.ok(tookMs >= 190 && tookMs < 2000, String(tookMs));
      });
    });
  }
}
