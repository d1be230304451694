// Processes of the bench: started on a chosen core, asked for their CPU time, ended by their id.
import { spawn, spawnSync } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import fs from "node:fs";
import net from "node:net";
import os from "node:os";

/** Clock ticks a second in /proc/PID/stat; Linux has used 100 towards user space on every machine for decades. */
const ticksPerSecond = 100;

const canPin = os.availableParallelism() > 1 && spawnSync("taskset", ["--version"], { stdio: "ignore" }).status === 0;

/** Says why processes are not pinned to cores, if they are not. */
export function pinningProblem(): string | undefined {
  return canPin ? undefined : "taskset or a second core is missing: proxy, client and upstream share whatever core they get";
}

/** Starts a program on `core`; with `ipc` it can send and receive messages. */
export function startOn(core: number, command: readonly string[], options: { ipc?: boolean; log?: number } = {}): ChildProcess {
  const [program = "", ...args] = canPin ? ["taskset", "-c", String(core), ...command] : command;
  const output = options.log ?? "inherit";
  const child = spawn(program, args, { stdio: options.ipc ? ["ignore", output, output, "ipc"] : ["ignore", output, output] });
  started.add(child);
  child.once("exit", () => started.delete(child));
  return child;
}

const started = new Set<ChildProcess>();

// However the bench ends, nothing that it started goes on.
process.once("exit", () => {
  for (const child of started) child.kill("SIGKILL");
});
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(130));

/** Seconds of CPU time used by a process and all of its living descendants, threads included. */
export function cpuSeconds(pid: number): number {
  const children = new Map<number, number[]>();
  const ticks = new Map<number, number>();
  for (const entry of fs.readdirSync("/proc")) {
    if (!/^\d+$/.test(entry)) continue;
    const stat = readStat(Number(entry));
    if (stat === undefined) continue;
    ticks.set(stat.pid, stat.ticks);
    children.set(stat.parent, [...(children.get(stat.parent) ?? []), stat.pid]);
  }
  let total = 0;
  const pending = [pid];
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    total += ticks.get(next) ?? 0;
    pending.push(...(children.get(next) ?? []));
  }
  return total / ticksPerSecond;
}

/** Seconds that `core` was not idle since the machine started, whoever used it; undefined where processes are not pinned. */
export function coreBusySeconds(core: number): number | undefined {
  if (!canPin) return undefined;
  const line = fs
    .readFileSync("/proc/stat", "utf8")
    .split("\n")
    .find((text) => text.startsWith(`cpu${core} `));
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, steal = 0] = (line ?? "").split(/\s+/).slice(1).map(Number);
  return (user + nice + system + irq + softirq + steal) / ticksPerSecond;
}

function readStat(pid: number): { pid: number; parent: number; ticks: number } | undefined {
  try {
    const text = fs.readFileSync(`/proc/${pid}/stat`, "utf8");
    // The name in parentheses may hold spaces, so fields are counted from behind it: state is the third.
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
    return { pid, parent: Number(fields[1]), ticks: Number(fields[11]) + Number(fields[12]) };
  } catch {
    return undefined; // it ended between the listing and the reading
  }
}

/** Ends a process: SIGTERM, and SIGKILL two seconds later. */
export async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, "exit");
  child.kill("SIGTERM");
  const killer = setTimeout(() => child.kill("SIGKILL"), 2000);
  await gone;
  clearTimeout(killer);
}

/** Waits until something accepts connections on a loopback port. */
export async function waitForPort(port: number, child: ChildProcess, deadlineMs: number): Promise<void> {
  const until = performance.now() + deadlineMs;
  while (performance.now() < until) {
    if (child.exitCode !== null) throw new Error(`exited with ${child.exitCode} before it listened`);
    if (await accepts(port)) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`does not listen on port ${port} after ${deadlineMs} ms`);
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect({ host: "127.0.0.1", port });
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}

/** Loopback ports that nothing listens on right now. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = net.createServer().listen(0, "127.0.0.1");
      await once(server, "listening");
      return server;
    }),
  );
  const ports = servers.map((server) => (server.address() as net.AddressInfo).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}
