// Runs inside a network namespace of its own, whose nat table it makes redirect 10.96.0.0/16 and fd00:96::/64 to port 15001: a
// listener with use_original_dst there, and behind it listeners that are bound nowhere. Prints what each connection was told, as JSON.
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { connect } from "node:net";
import { test } from "node:test";
import { staticCluster } from "../support/cluster-models.ts";
import { startL4Proxy } from "../support/l4-proxy.ts";
import { filterChain, listener, tcpProxyFilter } from "../support/listener-models.ts";
import { serve } from "../support/tcp.ts";

for (const command of [
  "ip link set lo up",
  "ip route add 10.96.0.0/16 dev lo src 127.0.0.1",
  "ip -6 route add fd00:96::/64 dev lo src ::1",
  "iptables -t nat -A OUTPUT -p tcp -d 10.96.0.0/16 -j REDIRECT --to-ports 15001",
  "ip6tables -t nat -A OUTPUT -p tcp -d fd00:96::/64 -j REDIRECT --to-ports 15001",
]) {
  const [file = "", ...args] = command.split(" ");
  execFileSync(file, args, { env: { ...process.env, PATH: `${process.env["PATH"]}:/usr/sbin:/sbin` } });
}

test("redirected", async (t) => {
  const upstream = await serve(t, (socket) => socket.end("served"));
  const proxy = startL4Proxy(t, [staticCluster("up", [`127.0.0.1:${upstream.port}`])]);
  const chains = [filterChain([tcpProxyFilter("up")])];
  const unbound = (name: string, address: string) =>
    listener(name, chains, { bindToPort: false, addresses: [{ address, port: 8000 }], accessLog: [] });
  await proxy.apply(
    listener("virtualOutbound", chains, { useOriginalDst: true, addresses: [{ address: "0.0.0.0", port: 15_001 }], accessLog: [] }),
    listener("virtualOutbound6", chains, { useOriginalDst: true, addresses: [{ address: "::", port: 15_001 }], accessLog: [] }),
    unbound("exact", "10.96.0.7"),
    unbound("wildcard", "0.0.0.0"),
    unbound("wildcard6", "::"),
  );
  for (const [host, port] of [
    ["10.96.0.7", 8000],
    ["10.96.0.8", 8000],
    ["10.96.0.8", 9000],
    ["127.0.0.1", 15_001],
    ["fd00:96::7", 8000],
  ] as const) {
    const socket = connect({ host, port });
    const [data] = (await once(socket, "data")) as [Buffer];
    socket.destroy();
    if (data.toString() !== "served") throw new Error("not served");
  }
  const records = await proxy.records(5);
  const seen = records.map(({ connection }) => `${connection.listenerName} ${connection.local.ip} ${connection.local.port}`);
  process.stdout.write(`SEEN ${JSON.stringify(seen)} END\n`);
});
