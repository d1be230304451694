// `isthmus demo`: two clusters on this machine and one request across, shown hop by hop; then it stays up to be played with.
// With --once it checks each hop and exits. Everything that it starts ends with it. Where the kernel allows it each workload is a pod
// with interception, and this command is run again inside; elsewhere all of them are on loopback.
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import type { Command } from "commander";
import { systemClock } from "../clock.ts";
import { AccessLines, parseAccessLine } from "./demo/access-lines.ts";
import { ChildProcesses } from "./demo/child-processes.ts";
import { showCrossing, showLimits } from "./demo/crossing.ts";
import { showInterception } from "./demo/intercepted.ts";
import { insideVariable, launchInPods, onOrphaned, podsPossible } from "./demo/launch.ts";
import { Screen } from "./demo/screen.ts";
import { loopbackStage, podStage, type Stage } from "./demo/stage.ts";
import { startTwoClusters } from "./demo/two-clusters.ts";
import type { TwoClusters } from "./demo/two-clusters.ts";
import type { CliEdge } from "./program.ts";

/** Adds `isthmus demo` to the program. */
export function registerDemo(program: Command, edge: CliEdge, setExit: (code: number) => void): void {
  program
    .command("demo")
    .description("run two clusters on this machine and follow one request across")
    .option("--once", "check each hop and exit: 0 when all are right, 1 otherwise", false)
    .option("--loopback", "without network namespaces and interception: listeners bind loopback addresses", false)
    .action(async ({ once, loopback }: { once: boolean; loopback: boolean }) => {
      if (edge.environment[insideVariable] !== undefined) return setExit(await runDemo(once, podStage, edge));
      const pods = loopback ? { reason: "as --loopback asks" } : podsPossible();
      if ("users" in pods) return setExit(await launchInPods(pods.users, once ? ["--once"] : [], edge));
      setExit(await runDemo(once, loopbackStage, edge, pods.reason));
    });
}

async function runDemo(once: boolean, stage: Stage, edge: CliEdge, noPods = ""): Promise<number> {
  const terminal = process.stdout.isTTY || edge.environment["FORCE_COLOR"] !== undefined;
  const screen = new Screen(edge.out, terminal && !edge.environment["NO_COLOR"]);
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "isthmus-demo-"));
  const lines = new AccessLines();
  const processes = new ChildProcesses((name, line) => {
    const record = parseAccessLine(line);
    if (record) lines.add(name, record);
  });
  const stopped = Promise.withResolvers<number>();
  const forget = (["SIGINT", "SIGTERM", "SIGHUP"] as const).map((signal) => edge.onSignal(signal, () => stopped.resolve(once ? 1 : 0)));
  if (stage.pods) onOrphaned(() => stopped.resolve(1));
  processes.onDeath((reason) => {
    screen.check(false, reason);
    stopped.resolve(1);
  });
  const show = async (): Promise<number> => {
    showTitle(stage, noPods, screen);
    const world = await startTwoClusters(folder, stage, processes, systemClock.wallMs());
    showProcesses(world, stage, screen);
    const passed = [
      await showCrossing(world, lines, screen),
      await showLimits(world, screen),
      !stage.pods || (await showInterception(world, stage, screen)),
    ];
    if (once) return passed.every(Boolean) ? 0 : 1;
    if (stage.pods) showPodCommands(world, screen);
    else showCommands(world, screen);
    return stopped.promise;
  };
  try {
    return await Promise.race([stopped.promise, show()]);
  } catch (thrown) {
    screen.check(false, thrown instanceof Error ? thrown.message : String(thrown));
    return 1;
  } finally {
    for (const end of forget) end();
    await processes.stop();
    fs.rmSync(folder, { recursive: true, force: true });
  }
}

function showTitle({ pods }: Stage, noPods: string, screen: Screen): void {
  screen.heading("isthmus: two clusters, two networks, one mesh");
  screen.line("sleep lives only in cluster1, httpbin only in cluster2; nobody made a shadow Service");
  if (pods) screen.line("every workload has a network namespace of its own, and packet rules lead its traffic to its sidecar");
  else screen.line(`on loopback, without interception of traffic: ${noPods}`);
}

function showProcesses({ app, proxies, mesh }: TwoClusters, { pods }: Stage, screen: Screen): void {
  screen.line();
  // Numbers of processes in pods mean nothing outside.
  const where = (pid: number): string => (pods ? "" : `process ${String(pid).padEnd(8)} `);
  for (const { name, pid, workload, admin } of [proxies.sleep, proxies.gateway1, proxies.gateway2, proxies.httpbin]) {
    screen.line(`${name.padEnd(20)} ${where(pid)}${workload.network}  ${workload.ip.padEnd(14)} admin ${admin}`);
  }
  screen.line(`${app.name.padEnd(20)} ${where(app.pid)}${proxies.httpbin.workload.network}  ${app.address}`);
  for (const [port, instead] of mesh.moved) screen.line(`port ${port} is taken on this machine, so the mesh uses ${instead}`);
}

function showPodCommands({ service, servicePort }: TwoClusters, screen: Screen): void {
  const url = `${service.name}:${servicePort}`;
  screen.heading("Try it in another terminal (Ctrl-C here ends everything)");
  screen.command("npm run shell sleep", "a shell in sleep's pod; also httpbin, gateway1, gateway2");
  screen.command(`curl ${url}/headers`, "in there: across the clusters; the answer shows who the sidecar says has called");
  screen.command(`curl -i ${url}/status/418`, "any status; also /delay/1, /bytes/1000000, /ip, /get, /anything");
  screen.command("curl 127.0.0.1:15000/clusters", "what the pod's proxy knows; also /listeners, /config_dump, /stats");
  screen.command("iptables-save -t nat", "the rules that lead there, or nft list ruleset");
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
