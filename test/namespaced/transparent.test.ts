// Pods whose inbound traffic TPROXY hands to their sidecars: the applications see their clients' own addresses.
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { runInNamespace } from "../support/namespace.ts";

const needs = "listeners that keep their clients' addresses (interception mode TPROXY) need";
const capability = "the capability CAP_NET_ADMIN (NET_ADMIN among the container's capabilities)";
const otherUser =
  "another user than 1337, whose calls to the pod's own address the packet rules lead back to the proxy (root with group 1337)";
const instead = "; interception mode REDIRECT needs none of it";

const expected: Readonly<Record<string, unknown>> = {
  "as user 1337, without the capability": `exit code 1: ${needs} ${capability}, and ${otherUser}${instead}`,
  "as root, without the capability": `exit code 1: ${needs} ${capability}${instead}`,
  "HTTP, IPv4": "nobody from 10.10.0.1",
  "HTTP, IPv6": "nobody from fd00:10::31",
  "HTTP to a port of no service, IPv4": "nobody from 10.10.0.1",
  "HTTP to a port of no service, IPv6": "nobody from fd00:10::31",
  "TCP, IPv4": "I am mysql, you are 10.10.0.1 | hello",
  "TCP, IPv6": "I am mysql, you are fd00:10::31 | hello",
  "TCP to a port of no service, IPv4": "I am unclaimed, you are 10.10.0.1 | hello",
  "TCP to a port of no service, IPv6": "I am unclaimed, you are fd00:10::31 | hello",
  "from outside to 15006, IPv4": "000",
  "from outside to 15006, IPv6": "000",
  // To the other port of the proxy itself, through InboundPassthroughCluster: nobody is behind it.
  "from outside to 15001, IPv4": "503",
  "from outside to 15001, IPv6": "503",
  // From 127.0.0.1 the kernel sends nothing to an address elsewhere.
  "HTTP to the application's loopback, by a Sidecar": "nobody from 127.0.0.1",
  "two clients in turn, IPv4": "nobody from 10.10.0.1 and nobody from 10.10.0.31",
  "two clients in turn, IPv6": "nobody from fd00:10::1 and nobody from fd00:10::31",
  "mTLS from another TPROXY pod": "spiffe://cluster.local/ns/shop/sa/own-ports from 10.10.0.20",
  "mTLS over TCP from another TPROXY pod": "I am mysql, you are 10.10.0.20 | hello",
  "the application to itself, by its address": "nobody from 10.10.0.9",
  "the application to itself, by loopback": "nobody from 127.0.0.1",
  "the application to the proxy's outbound port": "",
  "the application to the proxy's inbound port": "",
};

suite("TPROXY", () => {
  const result = runInNamespace(import.meta.url, "transparent-inside.ts", [], { users: true, pods: true, timeoutMs: 420_000 });
  const skip = "skip" in result ? result.skip : undefined;
  test("everything runs", { skip }, () => assert.ok("seen" in result, "failed" in result ? result.failed : ""));
  if (!("seen" in result)) return;
  const seen = result.seen as Readonly<Record<string, unknown>>;
  for (const [name, value] of Object.entries(expected)) test(name, () => assert.equal(seen[name], value));
});
