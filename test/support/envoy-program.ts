// The real Envoy with a bootstrap of a test, where a machine has it: the ports of its listeners, its stats and its access log.
import { mkdtemp, readFile, writeFile } from "node:fs/promises";
import { spawn } from "node:child_process";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { endPeer, findPeer } from "./peer-program.ts";
import { accessLogPath, type Ending } from "./proxy.ts";

/** Envoy as a test sees it; what `TestProxy` has, as far as both have it. */
export interface EnvoyUnderTest {
  port(listener: string): number;
  stat(name: string): Promise<number | undefined>;
  /** Everything of /stats, one `name: value` a line. */
  stats(): Promise<string>;
  accessLog(count: number): Promise<readonly Record<string, unknown>[]>;
  /** Posts to its admin address. */
  post(path: string): Promise<void>;
}

/** How to start Envoy here, or why that cannot be done. */
export const envoyProgram = findPeer("envoy", ["--version"]);

const startupDeadlineMs = 20_000;

/** Starts Envoy and ends it with the test. */
export async function startEnvoy(t: Ending, bootstrap: object): Promise<EnvoyUnderTest> {
  if ("missing" in envoyProgram) throw new Error(envoyProgram.missing);
  const folder = await mkdtemp(join(tmpdir(), "isthmus-envoy-"));
  const [file, log, adminFile] = ["bootstrap.json", "access.log", "admin"].map((name) => join(folder, name)) as [string, string, string];
  const admin = { address: { socket_address: { address: "127.0.0.1", port_value: 0 } } };
  await writeFile(file, JSON.stringify({ admin, ...bootstrap }).replaceAll(accessLogPath, log));
  const args = ["-c", file, "--admin-address-path", adminFile, "--concurrency", "1", "--log-level", "error"];
  const child = spawn(envoyProgram.path, [...args, "--disable-hot-restart", "--file-flush-interval-msec", "5"], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  let output = "";
  child.stderr.on("data", (chunk: Buffer) => (output = (output + chunk.toString()).slice(-4000)));
  t.after(() => endPeer(child, folder));
  let ports: ReadonlyMap<string, number> = new Map();
  let base = "";
  for (const deadline = Date.now() + startupDeadlineMs; ports.size === 0;) {
    if (child.exitCode !== null || Date.now() > deadline) throw new Error(`Envoy did not start: ${output}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
    const address = await readFile(adminFile, "utf8").catch(() => "");
    if (address === "") continue;
    base = `http://${address}`;
    ports = await readyPorts(base).catch(() => ports);
  }
  return {
    port: (name) => ports.get(name) ?? 0,
    stat: (name) => readStat(base, name),
    stats: async () => (await fetch(`${base}/stats`)).text(),
    post: async (path) => void (await fetch(base + path, { method: "POST" })),
    accessLog: async (count) => {
      for (const deadline = Date.now() + 5000; Date.now() < deadline;) {
        const lines = (await readFile(log, "utf8").catch(() => "")).split("\n").filter((line) => line !== "");
        if (lines.length >= count) return lines.map((line) => JSON.parse(line) as Record<string, unknown>);
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
      throw new Error(`Envoy wrote no ${count} records within 5 s`);
    },
  };
}

interface ListenerStatus {
  readonly name: string;
  readonly local_address: { readonly socket_address: { readonly port_value: number } };
}

async function readyPorts(base: string): Promise<ReadonlyMap<string, number>> {
  if (!(await fetch(`${base}/ready`)).ok) return new Map();
  const { listener_statuses: statuses } = (await (await fetch(`${base}/listeners?format=json`)).json()) as {
    readonly listener_statuses: readonly ListenerStatus[];
  };
  return new Map(statuses.map((listener) => [listener.name, listener.local_address.socket_address.port_value]));
}

async function readStat(base: string, name: string): Promise<number | undefined> {
  const { stats } = (await (await fetch(`${base}/stats?format=json`)).json()) as {
    readonly stats: readonly { readonly name?: string; readonly value?: number }[];
  };
  return stats.find((stat) => stat.name === name)?.value;
}
