// What the kernel is told to lay out pods, and how a program gets into one.
import assert from "node:assert/strict";
import { test } from "node:test";
import { inPod, layOut, unshareCommand } from "../../../../src/cli/demo/pod-network.ts";

test("each network is a bridge once, each leg a veth pair of its pod", () => {
  const script = layOut([
    { name: "a", legs: [{ network: "net1", address: "10.1.0.2/16" }], via: "10.1.0.1", nameserver: "10.1.0.53" },
    {
      name: "edge",
      legs: [
        { network: "net1", address: "10.1.0.1/16" },
        { network: "transit", address: "10.99.0.1/16" },
      ],
      masquerades: "transit",
    },
  ]).split("\n");
  const count = (line: string): number => script.filter((one) => one === line).length;
  assert.equal(count("ip link add net1 type bridge"), 1);
  assert.equal(count("ip link add transit type bridge"), 1);
  assert.equal(count("ip link add net1 netns a type veth peer name a-0"), 1);
  assert.equal(count("ip link add transit netns edge type veth peer name edge-1"), 1);
  assert.equal(count("ip -n a route add default via 10.1.0.1"), 1);
  assert.ok(script.some((line) => line.includes("'nameserver 10.1.0.53'") && line.endsWith("/a")));
  assert.ok(script.some((line) => line.includes("netns/edge iptables") && line.includes("-o transit -j MASQUERADE")));
  assert.ok(!script.some((line) => line.includes("netns/a iptables")));
});

test("a program is started as the one that packet rules take it for", () => {
  const tail = (role: "application" | "proxy-user" | "proxy-group"): string => inPod("a", role, ["id"]).slice(8).join(" ");
  assert.equal(tail("application"), "id");
  assert.equal(tail("proxy-user"), "setpriv --reuid=1337 --regid=1337 --clear-groups -- id");
  assert.equal(tail("proxy-group"), "setpriv --regid=1337 --clear-groups -- id");
  assert.deepEqual(inPod("a", "application", []).slice(0, 2), ["nsenter", "--net=/run/netns/a"]);
});

test("only root does without a user namespace, and users beside it are mapped where they are wanted", () => {
  assert.ok(!unshareCommand("root").includes("--map-root-user"));
  assert.ok(unshareCommand("mapped").includes("--map-auto"));
  assert.ok(!unshareCommand("single").includes("--map-auto"));
});
