// Runs inside a network namespace that is a pod: an application, a proxy as user 1337 and a peer at the other end of a veth pair,
// with interception by the command itself. Prints what became of each connection and question, as JSON.
import { spawn, spawnSync } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Order } from "./intercept-actor.ts";

const [mode = "REDIRECT", ...backEnd] = process.argv.slice(2);
const actorFile = fileURLToPath(new URL("intercept-actor.ts", import.meta.url));
const main = fileURLToPath(new URL("../../src/main.ts", import.meta.url));
const pod = { v4: "10.1.0.2", v6: "fd00:1::2" };
const peerAt = { v4: "10.1.0.3", v6: "fd00:1::3" };
const children: ChildProcess[] = [];

function must(...command: readonly string[]): string {
  const [file = "", ...args] = command;
  const done = spawnSync(file, args, { encoding: "utf8", timeout: 30_000 });
  if (done.status !== 0) throw new Error(`${command.join(" ")}: ${done.error?.message ?? done.stderr}`);
  return done.stdout;
}

interface Actor {
  readonly tell: (order: Order) => Promise<string>;
}

// As user and group `id`, in the namespace of process `inside` or in this one.
async function start(name: string, id: number, inside?: number): Promise<Actor> {
  const enter = inside === undefined ? [] : ["nsenter", "-t", String(inside), "-n", "--"];
  const [file, ...args] = [...enter, process.execPath, actorFile, name, String(id)];
  const child = spawn(file, args, { stdio: ["ignore", "inherit", "inherit", "ipc"] });
  children.push(child);
  const waiting = new Map<number, (answer: string) => void>();
  const ready = new Promise<string>((resolve) => waiting.set(0, resolve));
  child.on("message", (message: { readonly id: number; readonly answer: string }) => waiting.get(message.id)?.(message.answer));
  let last = 0;
  await ready;
  return {
    tell: async (order) => {
      const answer = await new Promise<string>((resolve) => {
        waiting.set(++last, resolve);
        child.send({ id: last, order });
      });
      if (order.do.startsWith("listen") && answer !== "listening") throw new Error(`${name}: ${JSON.stringify(order)}: ${answer}`);
      return answer;
    },
  };
}

async function run(): Promise<Readonly<Record<string, string>>> {
  const holder = spawn("unshare", ["-n", "sleep", "120"], { stdio: "ignore" });
  children.push(holder);
  const inside = holder.pid ?? 0;
  const own = must("readlink", "/proc/self/ns/net");
  while (must("readlink", `/proc/${inside}/ns/net`) === own) await new Promise((resolve) => setImmediate(resolve));
  must("ip", "link", "set", "lo", "up");
  must("ip", "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", String(inside));
  const there = ["nsenter", "-t", String(inside), "-n", "ip"];
  for (const [ip, at, gateway] of [
    [["ip"], pod, peerAt],
    [there, peerAt, pod],
  ] as const) {
    must(...ip, "link", "set", "lo", "up");
    must(...ip, "addr", "add", `${at.v4}/24`, "dev", "eth0");
    must(...ip, "addr", "add", `${at.v6}/64`, "dev", "eth0", "nodad");
    must(...ip, "link", "set", "eth0", "up");
    must(...ip, "route", "add", "default", "via", gateway.v4);
    must(...ip, "-6", "route", "add", "default", "via", gateway.v6);
  }
  // What the peer also is: an excluded range, and a resolver that is not in resolv.conf.
  must(...there, "addr", "add", "10.97.0.1/32", "dev", "lo");
  const folder = mkdtempSync(join(tmpdir(), "isthmus-intercept-"));
  try {
    const resolvConf = join(folder, "resolv.conf");
    writeFileSync(resolvConf, `nameserver ${peerAt.v4}\nnameserver ${peerAt.v6}\n`);
    const flags = ["-m", mode, "-b", "*", "-d", "9999", "-i", "*", "-x", "10.97.0.0/16", "-o", "7777", "--ipv6", "on"];
    const dns = ["--redirect-dns", "--resolv-conf", resolvConf, "--istio-outbound-owner-groups-exclude", "1001"];
    must(process.execPath, main, "intercept", "apply", ...flags, ...dns, ...backEnd);
    return await traffic(inside);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function traffic(inside: number): Promise<Readonly<Record<string, string>>> {
  const proxy = await start("proxy", 1337);
  const transparent = await start("proxy", 0);
  const app = await start("app", 1000);
  const excluded = await start("excluded", 1001);
  const peer = await start("peer", 0, inside);
  const tproxy = mode === "TPROXY";
  const listening: readonly (readonly [Actor, number])[] = [
    [proxy, 15_001],
    [proxy, 15_053],
    [app, 8080],
    [app, 9999],
    [peer, 53],
    [peer, 80],
    [peer, 7777],
  ];
  for (const [actor, port] of listening) await actor.tell({ do: "listen", port });
  // A transparent socket asks for a capability, which a user without any has not.
  await (tproxy ? transparent : proxy).tell({ do: "listen", port: 15_006, transparent: tproxy });
  for (const host of ["127.0.0.1", "::1"]) await proxy.tell({ do: "listen-udp", port: 15_053, host });
  for (const host of [peerAt.v4, peerAt.v6, "10.97.0.1"]) await peer.tell({ do: "listen-udp", port: 53, host });
  const tcp = (actor: Actor, host: string, port: number, from?: string): Promise<string> =>
    actor.tell({ do: "connect", host, port, ...(from === undefined ? {} : { from }) });
  const udp = (actor: Actor, host: string, fromPort?: number): Promise<string> =>
    actor.tell({ do: "ask", host, port: 53, ...(fromPort === undefined ? {} : { fromPort }) });
  return {
    "app to a service": await tcp(app, "10.96.0.7", 80),
    "app to a service, IPv6": await tcp(app, "fd00:96::7", 80),
    "app to an excluded port": await tcp(app, peerAt.v4, 7777),
    "app to an excluded range": await tcp(app, "10.97.0.1", 80),
    "app of an excluded group": await tcp(excluded, peerAt.v4, 80),
    "proxy to anywhere": await tcp(proxy, peerAt.v4, 80),
    "proxy to anywhere, IPv6": await tcp(proxy, peerAt.v6, 80),
    "app to its loopback": await tcp(app, "127.0.0.1", 8080),
    "app to its own address": await tcp(app, pod.v4, 8080),
    "proxy to the app's loopback": await tcp(proxy, "127.0.0.1", 8080),
    "proxy to its own pod, as by a service": await tcp(proxy, pod.v4, 8080),
    "proxy to its own pod, as by a service, IPv6": await tcp(proxy, pod.v6, 8080),
    "proxy to the app, inbound": await tcp(proxy, pod.v4, 8080, "127.0.0.6"),
    "proxy to the app, inbound, IPv6": await tcp(proxy, pod.v6, 8080, "::6"),
    "peer to the app": await tcp(peer, pod.v4, 8080),
    "peer to the app, IPv6": await tcp(peer, pod.v6, 8080),
    "peer to an excluded port": await tcp(peer, pod.v4, 9999),
    "question of the app": await udp(app, peerAt.v4),
    "question of the app, IPv6": await udp(app, peerAt.v6),
    "question of the app over TCP": await tcp(app, peerAt.v4, 53),
    "question to another resolver": await udp(app, "10.97.0.1"),
    "question of the proxy": await udp(proxy, peerAt.v4),
    // One after the other from one port: without zones connection tracking takes the second for more of the first.
    "app, then proxy from the same port": `${await udp(app, peerAt.v4, 40_000)}, then ${await udp(proxy, peerAt.v4, 40_000)}`,
    "proxy, then app from the same port": `${await udp(proxy, peerAt.v4, 40_001)}, then ${await udp(app, peerAt.v4, 40_001)}`,
  };
}

try {
  console.log(`SEEN ${JSON.stringify(await run())} END`);
} finally {
  for (const child of children) child.kill();
}
