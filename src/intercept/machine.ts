// The machine as interception needs it: programs to run, capabilities, and the files that settings depend on.
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { networkInterfaces } from "node:os";
import type { Machine } from "./read-settings.ts";

/** What a program said. */
export interface Ran {
  readonly ok: boolean;
  readonly stdout: string;
  /** One line: what it complained of, or why it did not run. Empty when it ended well. */
  readonly problem: string;
  /** True when there is no such program. */
  readonly absent: boolean;
}

/** Runs a program with `input` on its standard input. */
export type RunProgram = (command: readonly string[], input?: string) => Ran;

// Programs of netfilter end at once or hang on a lock that somebody holds.
const timeoutMs = 30_000;
// Listings of a node's rules may be long; of a pod's never.
const maxOutputBytes = 64 * 1024 * 1024;

/** Runs programs of this machine, in the network namespace of that path when one is given. */
export function programRunner(environment: Readonly<Record<string, string | undefined>>, networkNamespace?: string): RunProgram {
  // Programs of netfilter lie in sbin, which ordinary users' and minimal images' PATH leaves out.
  const env = { ...environment, PATH: `${environment["PATH"] ?? "/usr/bin:/bin"}:/usr/sbin:/sbin`, LC_ALL: "C" };
  return (command, input) => {
    const [file = "", ...args] = networkNamespace === undefined ? command : ["nsenter", `--net=${networkNamespace}`, "--", ...command];
    const done = spawnSync(file, args, { input: input ?? "", encoding: "utf8", timeout: timeoutMs, maxBuffer: maxOutputBytes, env });
    const code = done.error !== undefined && "code" in done.error ? String(done.error.code) : "";
    // nsenter's code for a program that is not there.
    const absent = code === "ENOENT" || (networkNamespace !== undefined && done.status === 127);
    const ok = done.status === 0;
    return { ok, stdout: done.stdout ?? "", problem: ok ? "" : complaint(done.stderr ?? "", done.error?.message, done.status), absent };
  };
}

function complaint(stderr: string, error: string | undefined, status: number | null): string {
  const lines = stderr
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "" && !line.startsWith("#"));
  return lines.slice(0, 3).join("; ") || (error ?? `ended with code ${status ?? "none"}`);
}

/** Bits of capability sets that programs of netfilter ask for. */
export const capability = { NET_ADMIN: 12, NET_RAW: 13 } as const;

/** Whether this process has the capability in force. True where that cannot be told: the program will say. */
export function hasCapability(name: keyof typeof capability): boolean {
  const status = readText("/proc/self/status");
  const mask = typeof status === "string" ? /^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1] : undefined;
  return mask === undefined || ((BigInt(`0x${mask}`) >> BigInt(capability[name])) & 1n) === 1n;
}

/** Those of the users or groups that do not exist in this process's user namespace, where rules about them are refused. */
export function unmappedIds(kind: "uid" | "gid", ids: readonly number[]): readonly number[] {
  const map = readText(`/proc/self/${kind}_map`);
  if (typeof map !== "string") return [];
  const ranges = map
    .trim()
    .split("\n")
    .map((line) => line.trim().split(/\s+/).map(Number));
  return ids.filter((id) => !ranges.some(([first = 0, , count = 0]) => id >= first && id < first + count));
}

function readText(path: string): string | { readonly error: string } {
  try {
    return readFileSync(path, "utf8");
  } catch (thrown) {
    return { error: thrown instanceof Error ? `${path} cannot be read: ${thrown.message}` : String(thrown) };
  }
}

function idOf(file: string, name: string): number | undefined {
  const text = readText(file);
  if (typeof text !== "string") return undefined;
  const line = text.split("\n").find((entry) => entry.startsWith(`${name}:`));
  const id = line?.split(":")[2];
  return id !== undefined && /^\d+$/.test(id) ? Number(id) : undefined;
}

/** The number of a group; undefined when there is none of that name. */
export function gidOf(group: string): number | undefined {
  return idOf("/etc/group", group);
}

/** This machine, for `readSettings`. */
export function localMachine(environment: Readonly<Record<string, string | undefined>>, resolvConf = "/etc/resolv.conf"): Machine {
  const envoyUser = environment["ENVOY_USER"];
  return {
    addresses: Object.values(networkInterfaces()).flatMap((entries) => (entries ?? []).map(({ address }) => address)),
    resolvConf: () => readText(resolvConf),
    uidOf: (user) => idOf("/etc/passwd", user),
    ...(envoyUser === undefined ? {} : { envoyUser }),
  };
}
