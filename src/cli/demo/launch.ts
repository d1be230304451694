// Starts the demo again inside namespaces of its own, where that can be, and leaves nothing of them behind.
import { spawn, spawnSync } from "node:child_process";
import fs from "node:fs";
import { Socket } from "node:net";
import os from "node:os";
import path from "node:path";
import type { CliEdge } from "../program.ts";
import { inPod, layOut, unshareCommand } from "./pod-network.ts";
import { demoPods } from "./stage.ts";

/** Set for the demo inside: it is in sleep's pod, and its end of a pipe is open as long as whoever started it lives. */
export const insideVariable = "ISTHMUS_DEMO_PODS";
/** Descriptor of that pipe. */
const lifeline = 3;

/** What `isthmus demo` leaves in its folder for `isthmus shell`: the number of the process inside, as it is outside. */
const processFile = "pods.pid";
const folderPrefix = "isthmus-demo-";

/** How users are to be had in namespaces here, or in one sentence why not at all. */
export type PodUsers = { readonly users: "root" | "mapped" } | { readonly reason: string };

const probeLimitMs = 20_000;
/** Longer than the demo inside gives its own processes. */
const stopLimitMs = 10_000;

/** Lays the pods out once, with a rule about the proxy's group, and says whether that went well. */
export function podsPossible(): PodUsers {
  if (process.platform !== "linux") return { reason: "network namespaces are Linux'" };
  const users = process.getuid?.() === 0 ? "root" : "mapped";
  const rule = "iptables -t nat -A OUTPUT -p tcp -m owner ! --gid-owner 1337 -j REDIRECT --to-ports 15001";
  const script = `${layOut(demoPods)}${inPod("sleep", "proxy-group", ["true"]).map(quoted).join(" ")}\nnsenter --net=/run/netns/sleep ${rule}\n`;
  const [file, ...args] = [...unshareCommand(users), "sh", "-ec", script];
  const done = spawnSync(file ?? "", args, { encoding: "utf8", timeout: probeLimitMs });
  if (done.status === 0) return { users };
  const why = (done.error?.message ?? done.stderr).trim().split("\n")[0] ?? "";
  // The kernel would allow it: what is missing is the program that gives an ordinary user's namespace more than one user.
  if (why.includes("newuidmap")) return { reason: `${why} (it is in the package uidmap, and wants a line of yours in /etc/subuid)` };
  return { reason: why === "" ? "the kernel does not allow it" : why };
}

/** Runs `isthmus demo` in pods and gives its exit code. */
export async function launchInPods(users: "root" | "mapped", args: readonly string[], edge: CliEdge): Promise<number> {
  for (const { folder, pid } of startedDemos()) if (!isAlive(pid)) fs.rmSync(folder, { recursive: true, force: true });
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), folderPrefix));
  try {
    const demo = inPod("sleep", "application", [process.execPath, ...process.execArgv, process.argv[1] ?? "", "demo", ...args]);
    // This process's number as it is outside; /proc still shows that, and the shell itself opens the file.
    const number = `read -r pid _ < /proc/self/stat; echo "$pid" > ${quoted(path.join(folder, processFile))}`;
    const script = `${number}\n${layOut(demoPods)}exec ${demo.map(quoted).join(" ")}\n`;
    const [file, ...rest] = [...unshareCommand(users), "sh", "-ec", script];
    const child = spawn(file ?? "", rest, {
      stdio: ["inherit", "pipe", "pipe", "pipe"],
      // Ctrl-C reaches this process alone, which passes it on once.
      detached: true,
      env: { ...process.env, [insideVariable]: "1", TMPDIR: "/run", ...(process.stdout.isTTY ? { FORCE_COLOR: "1" } : {}) },
    });
    // A pipe on the way keeps whoever reads from being cut off by what ends inside.
    if (child.stdout !== null && child.stderr !== null) {
      child.stdout.on("data", (text: Buffer) => edge.out(text.toString()));
      child.stderr.on("data", (text: Buffer) => edge.err(text.toString()));
    }
    const kill = (): void => void child.kill("SIGKILL");
    let asked = false;
    const stop = (signal: NodeJS.Signals): void => {
      if (asked) return kill();
      asked = true;
      setTimeout(kill, stopLimitMs).unref();
      signalInside(folder, signal);
    };
    const forget = (["SIGINT", "SIGTERM", "SIGHUP"] as const).map((signal) => edge.onSignal(signal, () => stop(signal)));
    process.once("exit", kill);
    const code = await new Promise<number>((resolve) => {
      child.once("error", () => resolve(1));
      child.once("close", (ended) => resolve(ended ?? 1));
    });
    process.off("exit", kill);
    for (const end of forget) end();
    return code;
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
  }
}

function signalInside(folder: string, signal: NodeJS.Signals): void {
  try {
    process.kill(Number(fs.readFileSync(path.join(folder, processFile), "utf8")), signal);
  } catch {
    // It has not begun, or has ended: the exit of the command says so.
  }
}

/** This user's demos with pods, the newest first; those that could not clean up among them. */
export function startedDemos(): readonly { readonly folder: string; readonly pid: number }[] {
  return fs
    .readdirSync(os.tmpdir())
    .filter((name) => name.startsWith(folderPrefix))
    .flatMap((name) => {
      const folder = path.join(os.tmpdir(), name);
      const stat = fs.statSync(path.join(folder, processFile), { throwIfNoEntry: false });
      if (stat === undefined || stat.uid !== process.getuid?.()) return [];
      return [{ folder, pid: Number(fs.readFileSync(path.join(folder, processFile), "utf8")), mtimeMs: stat.mtimeMs }];
    })
    .toSorted((left, right) => right.mtimeMs - left.mtimeMs);
}

/** True while there is such a process. */
export function isAlive(pid: number): boolean {
  try {
    return pid > 0 && process.kill(pid, 0);
  } catch {
    return false; // no such process
  }
}

/** For the demo inside: calls back when whoever started it is gone. */
export function onOrphaned(callback: () => void): void {
  const socket = new Socket({ fd: lifeline, readable: true, writable: false });
  socket.on("error", callback).on("end", callback).resume();
  // It is no reason to stay.
  socket.unref();
}

function quoted(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}
