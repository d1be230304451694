// The real Envoy with the bootstrap of a test, where a machine has it: ports chosen by the kernel, stats by the names we use.
import { spawn } from "node:child_process";
import { mkdtemp, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { endPeer, findPeer } from "./peer-program.ts";
import { accessLogPath, startTestProxy, type Ending } from "./proxy.ts";

/** A proxy that answers a test's requests, whichever it is. */
export interface AnsweringProxy {
  /** The port of a listener by name. */
  port(listener: string): number;
  /** Value of a counter or gauge; undefined when there is none of that name. */
  stat(name: string): Promise<number | undefined>;
}

/** How to start Envoy, or why that cannot be done here. */
export const envoyProgram = findPeer("envoy", ["--version"]);

/** Starts Envoy with one worker and stops it when the test ends. */
export async function startEnvoy(t: Ending, bootstrap: object): Promise<AnsweringProxy> {
  if ("missing" in envoyProgram) throw new Error(envoyProgram.missing);
  const folder = await mkdtemp(join(tmpdir(), "isthmus-envoy-"));
  const config = join(folder, "envoy.json");
  const adminFile = join(folder, "admin");
  const whole = { ...bootstrap, admin: { address: { socket_address: { address: "127.0.0.1", port_value: 0 } } } };
  await writeFile(config, JSON.stringify(whole).replaceAll(accessLogPath, join(folder, "access.log")));
  const args = ["-c", config, "--concurrency", "1", "--disable-hot-restart", "--log-level", "error", "--admin-address-path", adminFile];
  const child = spawn(envoyProgram.path, args, { stdio: ["ignore", "ignore", "pipe"] });
  let output = "";
  child.stderr.on("data", (chunk: Buffer) => (output = (output + chunk.toString()).slice(-4000)));
  t.after(() => endPeer(child, folder));
  const read = async (path: string): Promise<unknown> => {
    const admin = await readFile(adminFile, "utf8");
    return (await fetch(`http://${admin.trim()}${path}`)).json();
  };
  for (const deadline = Date.now() + 20_000; ;) {
    const info = (await read("/server_info").catch(() => undefined)) as { readonly state?: string } | undefined;
    if (info?.state === "LIVE") break;
    if (child.exitCode !== null || Date.now() > deadline) throw new Error(`Envoy did not start: ${output}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  interface Listeners {
    readonly listener_statuses: readonly {
      readonly name: string;
      readonly local_address: { readonly socket_address: { readonly port_value: number } };
    }[];
  }
  const { listener_statuses: listeners } = (await read("/listeners?format=json")) as Listeners;
  return {
    port: (name) => listeners.find((one) => one.name === name)?.local_address.socket_address.port_value ?? 0,
    stat: async (name) => {
      const filter = `/stats?format=json&filter=^${encodeURIComponent(name.replaceAll(".", "\\."))}$`;
      const { stats } = (await read(filter)) as { readonly stats: readonly { readonly name?: string; readonly value?: number }[] };
      return stats.find((one) => one.name === name)?.value;
    },
  };
}

/** Starts this proxy the same way. */
export async function startOurs(t: Ending, bootstrap: object): Promise<AnsweringProxy> {
  const { proxy, port } = await startTestProxy(t, bootstrap);
  const stat = (name: string): number | undefined => {
    const found = proxy.stats.list().find((one) => one.name === name);
    return found === undefined || found.kind === "histogram" ? undefined : found.value;
  };
  return { port, stat: (name) => Promise.resolve(stat(name)) };
}

/** Who answers in a test that compares: this proxy always, Envoy where it is. */
export const answering: readonly (readonly [name: string, start: typeof startOurs, skip: string | false])[] = [
  ["isthmus", startOurs, false],
  ["Envoy", startEnvoy, "missing" in envoyProgram ? envoyProgram.missing : false],
];
