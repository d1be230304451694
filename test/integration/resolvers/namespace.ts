// Runs inside a namespace of its own, where resolv.conf names 127.0.0.1: starts the responder on port 53 and runs the commands of
// the file it is given, one after the other. What they printed is its own output, as JSON.
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { Worker, isMainThread, parentPort } from "node:worker_threads";
import { decode, encode, type Answer } from "dns-packet";
import { systemClock } from "../../../src/clock.ts";
import { compileNameTable } from "../../../src/dns/name-table.ts";
import { startDnsResponder } from "../../../src/dns/responder.ts";
import { silentLogger } from "../../support/silent-logger.ts";
import { recordStats, startUpstream } from "../dns-wire.ts";

/** One command's end. */
export interface Ran {
  readonly code: number | null;
  readonly out: string;
  readonly error: string;
}

const domain = "ns1.svc.cluster.local";
/** The search list of the namespace's resolv.conf. */
export const searchDomains: readonly string[] = [domain, "svc.cluster.local", "cluster.local"];
/** Addresses of `many.example.com`. */
export const many: readonly string[] = Array.from({ length: 40 }, (_, i) => `10.8.0.${i + 1}`);

const table = compileNameTable(
  {
    table: {
      [`cart.${domain}`]: { ips: ["10.96.0.1"], registry: "Kubernetes", shortname: "cart", namespace: "ns1" },
      "stock.ns2.svc.cluster.local": { ips: ["10.96.0.2"], registry: "Kubernetes", shortname: "stock", namespace: "ns2" },
      "dual.example.com": { ips: ["198.51.100.4", "2001:db8::4"] },
      "v6.example.com": { ips: ["2001:db8::6"] },
      "*.wild.example.com": { ips: ["198.51.100.10"] },
      "many.example.com": { ips: many },
    },
  },
  { proxyDomain: domain, proxyNamespace: "ns1", searchDomains },
  { [`cart.${domain}`]: [{ name: "http", protocol: "tcp", port: 8000 }] },
);

/** Runs in a thread: the commands are waited for in the main thread, which cannot answer meanwhile. */
async function serve(): Promise<void> {
  const upstream = await startUpstream((query) => {
    const { id = 0, questions = [] } = decode(query);
    const { name, type } = questions[0]!;
    if (name !== "www.upstream.example") return [encode({ type: "response", id, flags: 3, questions })];
    const answers: Answer[] = type === "A" ? [{ type: "A", name, ttl: 60, data: "203.0.113.1" }] : [];
    return [encode({ type: "response", id, questions, answers })];
  });
  await startDnsResponder({
    host: "127.0.0.1",
    port: 53,
    table,
    nameServers: [upstream],
    clock: systemClock,
    logger: silentLogger,
    stats: recordStats(),
  });
  parentPort?.postMessage("ready");
}

async function run(): Promise<void> {
  const commands = JSON.parse(readFileSync(process.argv[2]!, "utf8")) as readonly {
    readonly argv: readonly string[];
    readonly env?: object;
  }[];
  const server = new Worker(new URL(import.meta.url));
  await new Promise((resolve, reject) => {
    server.once("message", resolve);
    server.once("error", reject);
  });
  const results = commands.map(({ argv, env }): Ran => {
    const { status, stdout, stderr } = spawnSync(argv[0]!, argv.slice(1), {
      encoding: "utf8",
      timeout: 20_000,
      env: { ...process.env, ...env },
    });
    return { code: status, out: stdout, error: stderr };
  });
  process.stdout.write(JSON.stringify(results), () => process.exit(0));
}

if (!isMainThread && parentPort) await serve();
else if (process.argv[1]?.endsWith("namespace.ts")) await run();
