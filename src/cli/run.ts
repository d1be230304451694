// `isthmus run`: options to a running proxy, with or without its application as a command. SIGTERM and SIGINT drain and end, the
// second one at once; SIGHUP loads the configuration and opens the logs again; SIGUSR1 opens the logs again. A command gets them too.
import { availableParallelism } from "node:os";
import { InvalidArgumentError, Option } from "commander";
import type { Command } from "commander";
import { runAgent, type StatusPorts } from "../agent/agent.ts";
import type { CommandUser } from "../agent/command.ts";
import { readAgentSettings } from "../agent/settings.ts";
import { systemClock } from "../clock.ts";
import type { SocketAddress } from "../envoy/address.ts";
import { createBootstrapSource } from "../proxy/bootstrap-source.ts";
import { createMeshSource } from "../proxy/mesh-source.ts";
import type { ProxyOptions } from "../proxy.ts";
import type { WorkloadOrigin } from "../proxy/workload-origin.ts";
import { virtualAddressesFlag } from "../source/mesh/auto-allocate.ts";
import { createProcessLogger, logLevels } from "../telemetry/pino-logger.ts";
import type { LogLevel, LogStyle } from "../telemetry/pino-logger.ts";
import { addDnsFlags, dnsSettings } from "./dns-flags.ts";
import type { DnsFlags } from "./dns-flags.ts";
import { packageVersion } from "./package-version.ts";
import type { CliEdge } from "./program.ts";
import { addWorkloadFlags, workloadOrigin, type WorkloadFlags } from "./workload-flags.ts";

interface RunFlags extends DnsFlags, StatusPorts, WorkloadFlags {
  readonly config?: string;
  readonly mesh?: string;
  readonly node?: string;
  readonly cluster?: string;
  readonly network?: string;
  readonly labels?: string;
  readonly locality?: string;
  readonly serviceAccount?: string;
  readonly nodeFile?: string;
  readonly virtualAddresses?: string;
  readonly concurrency?: number;
  readonly admin?: SocketAddress | "off";
  readonly dns?: SocketAddress | "off";
  readonly dnsForward?: readonly SocketAddress[];
  readonly commandUser?: CommandUser;
  readonly drainTimeS: number;
  readonly accessLogFlushMs: number;
  readonly logLevel: LogLevel;
  readonly logFormat: LogStyle;
}

/** Adds `isthmus run`. */
export function registerRun(program: Command, edge: CliEdge, setExit: (code: number) => void): void {
  const command = program
    .command("run")
    .description("run the proxy from an Envoy bootstrap or a mesh directory; with a command, as long as that runs")
    .argument("[command...]", "after --: the application, started when the proxy serves; its exit code is that of isthmus")
    .option("-c, --config <file>", "Envoy v3 bootstrap, YAML or JSON")
    .option("--mesh <dir>", "mesh directory of Istio and Kubernetes YAML")
    .option("--node <id>", "who this proxy is: sidecar~IP~POD.NAMESPACE~DOMAIN, router~..., or a name in the mesh's nodes.yaml")
    .option("--cluster <name>", "the cluster it runs in")
    .option("--network <name>", "the network it is on")
    .option("--labels <list>", "labels of its workload: name=value,...")
    .option("--locality <path>", "region/zone/subzone")
    .option("--service-account <name>", "service account of its workload")
    .option(...virtualAddressesFlag)
    .option("--node-file <file>", "core.v3.Node as JSON or YAML, in place of the flags above")
    .option("--concurrency <n>", "worker threads (default: cores, at most 2 as a sidecar)", positiveInteger)
    .option("--admin <host:port|off>", "admin server (default: the bootstrap's; 127.0.0.1:15000 with --mesh)", hostPortOrOff)
    .option("--dns <host:port|off>", "DNS for the mesh's names (default: 127.0.0.1:15053 for a sidecar with --mesh)", hostPortOrOff)
    .option("--dns-forward <host:port>", "ask here for other names, may be repeated (default: resolv.conf)", collectHostPorts)
    .option("--health <host:port|off>", "readiness (default: port 15021 for a mesh's sidecar with interception)", hostPortOrOff)
    .option("--status <host:port|off>", "merged metrics, probes of the application, /drain (default: likewise, 15020)", hostPortOrOff)
    .option("--prometheus <host:port|off>", "the proxy's own metrics (default: likewise, 15090)", hostPortOrOff)
    .option("--command-user <uid[:gid]>", "who runs the command, since traffic of the proxy's own user is not intercepted", userAndGroup)
    .option("--drain-time-s <seconds>", "longest wait for connections to end after SIGTERM", seconds, 5)
    .option("--access-log-flush-ms <ms>", "longest time an access-log record waits in memory", positiveInteger, 100)
    .addOption(new Option("--log-level <level>", "what the process logs on standard error").choices(logLevels).default("info"))
    .addOption(new Option("--log-format <format>", "how").choices(["text", "json"]).default("text"));
  addWorkloadFlags(command, hostPort);
  addDnsFlags(command);
  command.action(async (argv: readonly string[], flags: RunFlags) => {
    if ((flags.config === undefined) === (flags.mesh === undefined)) {
      command.error("error: give either --config FILE or --mesh DIR", { exitCode: 2, code: "isthmus.usage" });
    }
    const workload = workloadOrigin(flags, edge.environment, flags.mesh !== undefined);
    if ("problem" in workload) command.error(`error: ${workload.problem}`, { exitCode: 2, code: "isthmus.usage" });
    else setExit(await run(argv, flags, workload.origin, edge));
  });
}

async function run(argv: readonly string[], flags: RunFlags, workload: WorkloadOrigin | undefined, edge: CliEdge): Promise<number> {
  const { environment, onSignal } = edge;
  const settings = readAgentSettings(environment);
  for (const { path, message } of settings.issues) edge.err(`${path.join(".")}: ${message}\n`);
  if (!settings.ok) return 1;
  const logger = createProcessLogger({ level: flags.logLevel, style: flags.logFormat });
  const { health, status, prometheus, commandUser } = flags;
  const code = await runAgent(
    {
      proxy: { ...proxyOptions(flags, edge), workload },
      ports: { health, status, prometheus },
      settings: settings.value,
      command: argv,
      commandUser,
      environment,
      interactive: edge.interactive === true,
    },
    { clock: systemClock, logger, onSignal, complain: (problem) => edge.err(`${problem}\n`) },
  );
  logger.flush();
  return code;
}

// Istio's ports. In a network namespace of its own, as a sidecar usually is, they are free.
const adminDefault: SocketAddress = { address: "127.0.0.1", port: 15000 };
const dnsDefault: SocketAddress = { address: "127.0.0.1", port: 15053 };

function given(flag: SocketAddress | "off" | undefined, otherwise: SocketAddress | undefined): SocketAddress | undefined {
  return flag === "off" ? undefined : (flag ?? otherwise);
}

function proxyOptions(flags: RunFlags, edge: CliEdge): ProxyOptions {
  const mesh = flags.mesh !== undefined;
  const sidecar = mesh && !(flags.node ?? "").startsWith("router~");
  const { node, cluster, network, labels, locality, serviceAccount } = flags;
  const named = Object.fromEntries(
    Object.entries({ node, cluster, network, labels, locality, serviceAccount }).filter(([, value]) => value !== undefined),
  );
  return {
    source:
      flags.mesh === undefined
        ? createBootstrapSource({ file: flags.config ?? "", environment: edge.environment })
        : createMeshSource({
            folder: flags.mesh,
            flags: named,
            nodeFile: flags.nodeFile,
            virtualAddresses: flags.virtualAddresses,
            environment: edge.environment,
          }),
    concurrency: flags.concurrency ?? (sidecar ? Math.min(2, availableParallelism()) : availableParallelism()),
    admin: given(flags.admin, mesh ? adminDefault : undefined),
    dns: given(flags.dns, undefined),
    sidecarDns: mesh && flags.dns === undefined ? dnsDefault : undefined,
    dnsForward: flags.dnsForward,
    dnsSettings: dnsSettings(flags),
    certsFolder: undefined,
    drainTimeMs: flags.drainTimeS * 1000,
    accessLogFlushMs: flags.accessLogFlushMs,
    logLevel: flags.logLevel,
    logStyle: flags.logFormat,
    version: packageVersion(),
    watch: true,
  };
}

function positiveInteger(text: string): number {
  const value = Number(text);
  if (!/^\d{1,6}$/.test(text) || value < 1) throw new InvalidArgumentError("Expected a whole number from 1.");
  return value;
}

function seconds(text: string): number {
  if (!/^\d{1,6}(\.\d{1,3})?$/.test(text)) throw new InvalidArgumentError("Expected seconds, e.g. 5.");
  return Number(text);
}

function userAndGroup(text: string): CommandUser {
  const [, uid, gid = uid] = /^(\d{1,10})(?::(\d{1,10}))?$/.exec(text) ?? [];
  if (uid === undefined) throw new InvalidArgumentError("Expected a user by number, and perhaps a group, e.g. 1000:1000.");
  return { uid: Number(uid), gid: Number(gid) };
}

function hostPort(text: string): SocketAddress {
  const [, bracketed, plain, port] = /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text) ?? [];
  const address = bracketed ?? plain;
  if (address === undefined || Number(port) > 65_535)
    throw new InvalidArgumentError("Expected HOST:PORT, e.g. 127.0.0.1:15000 or [::1]:15000.");
  return { address, port: Number(port) };
}

const hostPortOrOff = (text: string): SocketAddress | "off" => (text === "off" ? "off" : hostPort(text));

const collectHostPorts = (text: string, before: readonly SocketAddress[] = []): readonly SocketAddress[] => [...before, hostPort(text)];
