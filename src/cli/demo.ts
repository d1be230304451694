// `isthmus demo`: two clusters on this machine and one request across, shown hop by hop; then it stays up to be played with.
// With --once it checks each hop and exits. Everything that it starts ends with it.
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import type { Command } from "commander";
import { systemClock } from "../clock.ts";
import { AccessLines, parseAccessLine } from "./demo/access-lines.ts";
import { ChildProcesses } from "./demo/child-processes.ts";
import { showCrossing, showLimits } from "./demo/crossing.ts";
import { Screen } from "./demo/screen.ts";
import { startTwoClusters } from "./demo/two-clusters.ts";
import type { TwoClusters } from "./demo/two-clusters.ts";
import type { CliEdge } from "./program.ts";

/** Adds `isthmus demo` to the program. */
export function registerDemo(program: Command, edge: CliEdge, setExit: (code: number) => void): void {
  program
    .command("demo")
    .description("run two clusters on this machine and follow one request across")
    .option("--once", "check each hop and exit: 0 when all are right, 1 otherwise", false)
    .action(async ({ once }: { once: boolean }) => setExit(await runDemo(once, edge)));
}

async function runDemo(once: boolean, edge: CliEdge): Promise<number> {
  const screen = new Screen(edge.out, process.stdout.isTTY && !edge.environment["NO_COLOR"]);
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "isthmus-demo-"));
  const lines = new AccessLines();
  const processes = new ChildProcesses((name, line) => {
    const record = parseAccessLine(line);
    if (record) lines.add(name, record);
  });
  const stopped = Promise.withResolvers<number>();
  const forget = (["SIGINT", "SIGTERM"] as const).map((signal) => edge.onSignal(signal, () => stopped.resolve(once ? 1 : 0)));
  processes.onDeath((reason) => {
    screen.check(false, reason);
    stopped.resolve(1);
  });
  try {
    return await Promise.race([stopped.promise, show(once, folder, processes, lines, screen, stopped.promise)]);
  } catch (thrown) {
    screen.check(false, thrown instanceof Error ? thrown.message : String(thrown));
    return 1;
  } finally {
    for (const end of forget) end();
    await processes.stop();
    fs.rmSync(folder, { recursive: true, force: true });
  }
}

async function show(
  once: boolean,
  folder: string,
  processes: ChildProcesses,
  lines: AccessLines,
  screen: Screen,
  stopped: Promise<number>,
): Promise<number> {
  screen.heading("isthmus: two clusters, two networks, one mesh");
  screen.line("sleep lives only in cluster1, httpbin only in cluster2; nobody made a shadow Service");
  const world = await startTwoClusters(folder, processes, systemClock.wallMs());
  showProcesses(world, screen);
  const crossed = await showCrossing(world, lines, screen);
  const limited = await showLimits(world, screen);
  if (once) return crossed && limited ? 0 : 1;
  showCommands(world, screen);
  return stopped;
}

function showProcesses({ app, proxies, mesh }: TwoClusters, screen: Screen): void {
  screen.line();
  for (const { name, pid, workload, admin } of [proxies.sleep, proxies.gateway1, proxies.gateway2, proxies.httpbin]) {
    screen.line(`${name.padEnd(20)} process ${String(pid).padEnd(8)} ${workload.network}  ${workload.ip.padEnd(14)} admin ${admin}`);
  }
  screen.line(`${app.name.padEnd(20)} process ${String(app.pid).padEnd(8)} ${proxies.httpbin.workload.network}  127.0.0.1:${app.port}`);
  for (const [port, instead] of mesh.moved) screen.line(`port ${port} is taken on this machine, so the mesh uses ${instead}`);
}

function showCommands(world: TwoClusters, screen: Screen): void {
  const { dns, service, servicePort, proxies, mesh } = world;
  const [dnsHost = "", dnsPort = ""] = dns.split(":");
  screen.heading("Try it (Ctrl-C ends everything)");
  screen.command(
    `dig @${dnsHost} -p ${dnsPort} +short ${service.name}.${service.namespace}.svc.cluster.local`,
    "the name, as isthmus answers it",
  );
  const reach = `--resolve ${service.name}:${servicePort}:${service.clusterIp} http://${service.name}:${servicePort}`;
  screen.command(`curl ${reach}/headers`, "across the clusters; the answer shows who the sidecar says has called");
  screen.command(`curl -i ${reach}/status/418`, "any status; also /delay/1, /bytes/1000000, /ip, /get, /anything");
  screen.command(`curl http://${proxies.sleep.admin}/clusters`, "what sleep's sidecar knows; also /listeners, /config_dump, /stats");
  screen.command(`curl http://${proxies.gateway2.admin}/clusters`, "the gateway's SNI clusters and their connections");
  screen.command(`ls ${mesh.folder}`, "the YAML that all of them run from");
}
