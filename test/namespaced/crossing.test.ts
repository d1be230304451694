// Unmodified programs in a pod of one network and a service in another: real packet rules, both sidecars, both gateways.
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { runInNamespace } from "../support/namespace.ts";

const sleep = "spiffe://cluster.local/ns/default/sa/sleep from 127.0.0.6";

/** What each program sees. Servers see inbound calls come from 127.0.0.6. */
const expected: Readonly<Record<string, unknown>> = {
  "curl http://httpbin:8000/": sleep,
  "curl http://httpbin.default:8000/": sleep,
  "curl http://httpbin:9000/": sleep,
  "curl http://httpbin.bar.global:8000/": sleep,
  gateway: "10.99.0.2:15443",
  "program python urllib": sleep,
  "program python http.client": sleep,
  "program go": sleep,
  "program java": sleep,
  "program node": sleep,
  "directly into the other network": true,
  "DNS over UDP, upstream dead": "10.96.2.80",
  "DNS over TCP, upstream dead": "10.96.2.80",
  "DNS of an entry, upstream dead": "10.250.0.2",
  // None of these waits for the client's first bytes, which never come.
  "server first, across the clusters": "I am mysql, you are 127.0.0.6",
  "server first, by VIP a": "I am a, you are 10.1.0.10",
  "server first, by VIP b": "I am b, you are 10.1.0.10",
  "server first, unknown destination": "I am smtp, you are 10.1.0.10",
  "netcat across the clusters": "I am mysql, you are 127.0.0.6 | hello",
  "netcat by VIP b": "I am b, you are 10.1.0.10 | hello",
  "client first, declared as mongo": "echoed",
  "client first, to be found out": "echoed",
  "client first, unknown destination": "echoed",
  psql: "I am postgres, you are 127.0.0.6",
  "server first, to be found out": "I am shy, you are 127.0.0.6",
  download: true,
  upload: true,
  "unknown HTTP server": "nobody from 10.1.0.10",
  "goes to PassthroughCluster": true,
  "direct call to 127.0.0.1:15001": "",
  "direct call to 10.1.0.10:15001": "",
  "direct call to 127.0.0.1:15006": "",
  "direct call to 10.1.0.10:15006": "",
  "REGISTRY_ONLY, raw TCP": "",
  "goes to BlackHoleCluster": true,
  "REGISTRY_ONLY, unknown host on an HTTP port": "502",
  "REGISTRY_ONLY, the mesh": sleep,
  "plain text to an own port": "nobody from 127.0.0.6",
  "plain text to a port of no service": "I am unclaimed, you are 127.0.0.6 | hello",
  "the application to itself": "nobody from 127.0.0.1",
  // To the other port of the proxy itself, through InboundPassthroughCluster: nobody is behind it.
  "from outside to 15001": "503",
  "from outside to 15006": "no answer",
};

suite("programs that know of no mesh", () => {
  const result = runInNamespace(import.meta.url, "crossing-inside.ts", [], { users: true, pods: true, timeoutMs: 420_000 });
  const skip = "skip" in result ? result.skip : undefined;
  test("everything runs", { skip }, () => assert.ok("seen" in result, "failed" in result ? result.failed : ""));
  if (!("seen" in result)) return;
  const seen = result.seen as Readonly<Record<string, unknown>>;
  for (const [name, value] of Object.entries(expected)) {
    const found = seen[name];
    const absent = typeof found === "object" && found !== null && "absent" in found ? String(found.absent) : undefined;
    test(name, { skip: absent }, () => assert.equal(found, value));
  }
});
