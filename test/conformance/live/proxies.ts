// Both proxies on the same bootstrap, which differs in nothing but the file of the access log.
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createBootstrapSource } from "../../../src/proxy/bootstrap-source.ts";
import { accessLogPath } from "../../support/proxy.ts";
import { findPeer } from "../../support/peer-program.ts";
import { startForTest } from "../../support/start-proxy.ts";

/** A proxy under comparison. */
export interface RunningProxy {
  readonly name: "envoy" | "isthmus";
  port(listener: string): number;
  /** Everything in the access log. */
  log(): Promise<readonly string[]>;
  /** Counters and gauges that are not 0 and whose names match, one `name: value` a line. */
  stats(pattern: RegExp): Promise<readonly string[]>;
  stop(): Promise<void>;
}

const envoy = findPeer("envoy", ["--version"]);

/** Why the live comparison cannot run here, or undefined when it can. */
export const liveProblem: string | undefined = "missing" in envoy ? envoy.missing : undefined;

async function prepared(bootstrap: object): Promise<{ folder: string; file: string; log: () => Promise<readonly string[]> }> {
  const folder = await mkdtemp(join(tmpdir(), "isthmus-live-"));
  const file = join(folder, "bootstrap.json");
  const log = join(folder, "access.log");
  await writeFile(file, JSON.stringify(bootstrap).replaceAll(accessLogPath, log));
  return { folder, file, log: async () => (await readFile(log, "utf8").catch(() => "")).split("\n").slice(0, -1) };
}

/** isthmus in this process, with one worker, as circuit breakers and rate limits count per worker. */
export async function startIsthmus(bootstrap: object): Promise<RunningProxy> {
  const { folder, file, log } = await prepared(bootstrap);
  const proxy = await startForTest({ source: createBootstrapSource({ file, environment: {} }) });
  const ports = new Map((await proxy.listeners()).map((listener) => [listener.name, listener.addresses[0]!.port]));
  return {
    name: "isthmus",
    port: (listener) => ports.get(listener) ?? 0,
    log,
    stats: async (pattern) =>
      proxy.stats
        .list()
        .flatMap((stat) =>
          stat.kind === "histogram" || stat.value === 0 || !pattern.test(stat.name) ? [] : [`${stat.name}: ${stat.value}`],
        ),
    stop: async () => {
      await proxy.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Envoy, with one worker. Throws when it does not come up. */
export async function startEnvoy(bootstrap: object): Promise<RunningProxy> {
  if ("missing" in envoy) throw new Error(envoy.missing);
  const admin = { address: { socket_address: { address: "127.0.0.1", port_value: 0 } } };
  const { folder, file, log } = await prepared({ admin, ...bootstrap });
  const adminFile = join(folder, "admin");
  const child = spawn(
    envoy.path,
    [
      "-c",
      file,
      "--concurrency",
      "1",
      "-l",
      "error",
      "--disable-hot-restart",
      "--file-flush-interval-msec",
      "5",
      "--admin-address-path",
      adminFile,
    ],
    { stdio: ["ignore", "ignore", "pipe"] },
  );
  let output = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => (output = (output + text).slice(-4000)));
  const stop = async (): Promise<void> => {
    if (child.exitCode === null && child.signalCode === null) {
      const ended = once(child, "exit");
      child.kill("SIGKILL");
      await ended;
    }
    await rm(folder, { recursive: true, force: true });
  };
  for (const deadline = Date.now() + 20_000; ;) {
    const ports = await listenerPorts(adminFile);
    if (ports !== undefined)
      return { name: "envoy", port: (listener) => ports.get(listener) ?? 0, log, stop, stats: (pattern) => statsOf(adminFile, pattern) };
    if (child.exitCode !== null || Date.now() > deadline) {
      await stop();
      throw new Error(`envoy did not start: ${output}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function statsOf(adminFile: string, pattern: RegExp): Promise<readonly string[]> {
  const page = await (await fetch(`http://${await readFile(adminFile, "utf8")}/stats?usedonly`)).text();
  return page.split("\n").filter((line) => /: [1-9]\d*$/.test(line) && pattern.test(line.replace(/: \d+$/, "")));
}

async function listenerPorts(adminFile: string): Promise<ReadonlyMap<string, number> | undefined> {
  try {
    const base = `http://${await readFile(adminFile, "utf8")}`;
    if ((await fetch(`${base}/ready`)).status !== 200) return undefined;
    const { listener_statuses: listeners } = (await (await fetch(`${base}/listeners?format=json`)).json()) as {
      readonly listener_statuses: readonly {
        readonly name: string;
        readonly local_address: { readonly socket_address: { readonly port_value: number } };
      }[];
    };
    return new Map(listeners.map(({ name, local_address }) => [name, local_address.socket_address.port_value]));
  } catch {
    return undefined; // not up yet
  }
}
