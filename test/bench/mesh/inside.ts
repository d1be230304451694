// The mesh bench within its network namespace: starts a sidecar of isthmus over a big mesh directory, redirects the service
// addresses to it as interception does, and measures start, memory, changes, and what running requests notice of them.
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { end } from "../processes.ts";
import { endpointAddress, isHttp, MeshFolder, ranges } from "./mesh-folder.ts";
import type { MeshFigures, MeshSettings } from "./mesh-bench.ts";
import type { TrafficAnswer, TrafficAsk } from "./traffic.ts";

const adminPort = 15_000;
const outboundPort = 15_001;
const perSecond = 500;
const connections = 50;
const rounds = 20;
/** Requests that were due within this time after a change was written count as those during it. */
const changeWindowMs = 500;
const deadlineMs = 20_000;
const warmBytes = 3 * 2 ** 30;

const settings = JSON.parse(process.argv[2] ?? "{}") as MeshSettings;
const isthmus = fileURLToPath(new URL("../../../scripts/isthmus", import.meta.url));
const folder = fs.mkdtempSync(path.join(os.tmpdir(), "isthmus-mesh-bench-"));
const children: ChildProcess[] = [];
try {
  process.stdout.write(`${JSON.stringify(await run())}\n`);
} finally {
  await Promise.all(children.map(end));
  fs.rmSync(folder, { recursive: true, force: true });
}

async function run(): Promise<MeshFigures> {
  for (const command of [
    "ip link set lo up",
    ...Object.values(ranges).map((range) => `ip route add local ${range} dev lo`),
    `iptables -t nat -A OUTPUT -p tcp -d ${ranges.services} -j REDIRECT --to-ports ${outboundPort}`,
  ]) {
    const [program = "", ...args] = command.split(" ");
    const done = spawnSync(program, args, { encoding: "utf8" });
    if (done.status !== 0) throw new Error(`${command}: ${done.stderr}`);
  }
  warmMemory();
  const mesh = new MeshFolder(path.join(folder, "mesh"), settings.services);
  const traffic = start([process.execPath, fileURLToPath(new URL("traffic.ts", import.meta.url))], true);
  await answer(traffic, "listening");

  const startedAt = performance.now();
  const node = "sidecar~10.127.0.1~client.ns-1~ns-1.svc.cluster.local";
  const proxy = start(
    [
      isthmus,
      "run",
      "--mesh",
      mesh.folder,
      "--node",
      node,
      "--cluster",
      "cluster1",
      "--concurrency",
      "1",
      "--admin",
      `127.0.0.1:${adminPort}`,
    ],
    false,
  );
  await ready(proxy);
  const readyMs = performance.now() - startedAt;
  await probe(traffic, 1, "10.128.");
  const firstAnswerMs = performance.now() - startedAt;
  const rssAtStart = rssBytes(proxy.pid ?? 0);

  ask(traffic, { kind: "steady", services: settings.services, perSecond, connections });
  await pause(2000);
  await take(traffic);
  await pause(5000);
  const first = await take(traffic);
  const busy = start([process.execPath, fileURLToPath(new URL("busy.ts", import.meta.url))], true);
  const steady: number[] = [...first.latencies];
  const besideBusy: number[] = [];
  const changeCpuMs: number[] = [];
  const during: number[] = [];
  const failures = [...first.failures];
  const change = async (index: number, generation: number): Promise<number> => {
    // Writing megabytes is not the change's own doing.
    const commit = mesh.prepare(index, generation);
    await pause(changeWindowMs);
    await take(traffic);
    const cpuBefore = cpuMs(proxy.pid ?? 0);
    const writtenAt = performance.now();
    commit();
    await probe(traffic, index, endpointAddress(index, 0, generation).split(".", 2).join(".") + ".");
    const liveMs = performance.now() - writtenAt;
    await pause(changeWindowMs - liveMs);
    const taken = await take(traffic);
    const spentMs = cpuMs(proxy.pid ?? 0) - cpuBefore;
    changeCpuMs.push(spentMs);
    during.push(...taken.latencies);
    failures.push(...taken.failures);
    // As long again without a change, so that what else the machine does falls on both alike.
    await pause(changeWindowMs);
    const quiet = await take(traffic);
    steady.push(...quiet.latencies);
    // And as long again beside a process that is busy for as long as the change was, and has nothing to do with the proxy.
    busy.send(spentMs);
    await Promise.all([once(busy, "message"), pause(changeWindowMs)]);
    const control = await take(traffic);
    besideBusy.push(...control.latencies);
    failures.push(...quiet.failures, ...control.failures);
    return liveMs;
  };
  const newService: number[] = [];
  const movedEndpoints: number[] = [];
  for (let round = 0, next = settings.services; round < rounds; round++, next++) {
    while (!isHttp(next)) mesh.prepare(next++, 0)();
    newService.push(await change(next, 0));
    movedEndpoints.push(await change(round * 10 + 11, 1 + (round % 2)));
  }
  const rssAtEnd = rssBytes(proxy.pid ?? 0);
  ask(traffic, { kind: "stop" });
  return {
    readyMs,
    firstAnswerMs,
    rssAtStart,
    rssAtEnd,
    newService,
    movedEndpoints,
    steadyMs: steady,
    duringMs: during,
    besideBusyMs: besideBusy,
    changeCpuMs,
    failures,
  };
}

/**
 * Uses as much memory as the bench will, and gives it back. A virtual machine gets pages that it never used from its host, at ten times
 * the cost of others and with stalls of milliseconds, whoever asks for them: that would be a figure of the machine.
 */
function warmMemory(): void {
  if (os.freemem() < 2 * warmBytes) return;
  const script = `for (let left = ${warmBytes}; left > 0; left -= 1 << 28) (globalThis.kept ??= []).push(Buffer.alloc(1 << 28, 1))`;
  spawnSync(process.execPath, ["-e", script], { stdio: "ignore", timeout: deadlineMs * 3 });
}

function start(command: readonly string[], ipc: boolean): ChildProcess {
  const [program = "", ...args] = command;
  const child = spawn(program, args, { stdio: ["ignore", "ignore", "inherit", ...(ipc ? (["ipc"] as const) : [])] });
  children.push(child);
  return child;
}

async function ready(proxy: ChildProcess): Promise<void> {
  const until = performance.now() + deadlineMs * 3;
  while (performance.now() < until) {
    if (proxy.exitCode !== null) throw new Error(`isthmus ended with ${proxy.exitCode}`);
    const response = await fetch(`http://127.0.0.1:${adminPort}/ready`).catch(() => undefined);
    if (response?.ok) return;
    await pause(10);
  }
  throw new Error("isthmus is not ready");
}

function ask(traffic: ChildProcess, message: TrafficAsk): void {
  traffic.send(message);
}

async function answer<K extends TrafficAnswer["kind"]>(traffic: ChildProcess, kind: K): Promise<Extract<TrafficAnswer, { kind: K }>> {
  const [message] = (await once(traffic, "message")) as [TrafficAnswer];
  if (message.kind !== kind) throw new Error(`expected ${kind}, got ${message.kind}`);
  return message as Extract<TrafficAnswer, { kind: K }>;
}

async function probe(traffic: ChildProcess, index: number, from: string): Promise<void> {
  ask(traffic, { kind: "probe", index, from, deadlineMs });
  const { ok, last } = await answer(traffic, "probed");
  if (!ok) throw new Error(`service ${index} does not answer from ${from}*: ${last}`);
}

async function take(traffic: ChildProcess): Promise<Extract<TrafficAnswer, { kind: "taken" }>> {
  ask(traffic, { kind: "take" });
  return answer(traffic, "taken");
}

/** What the threads of a process that carry no traffic have spent so far: its main thread and V8's helpers. */
function cpuMs(pid: number): number {
  const tasks = fs.readdirSync(`/proc/${pid}/task`).filter((task) => {
    const name = fs.readFileSync(`/proc/${pid}/task/${task}/comm`, "utf8").trim();
    return task === String(pid) || name === "V8Worker";
  });
  const spentNs = tasks.map((task) => Number(fs.readFileSync(`/proc/${pid}/task/${task}/schedstat`, "utf8").split(" ")[0]));
  return spentNs.reduce((sum, each) => sum + each, 0) / 1e6;
}

function rssBytes(pid: number): number {
  return Number(/VmRSS:\s+(\d+)/.exec(fs.readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0) * 1024;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, Math.max(0, ms)));
}
