// What stands around a proxy where it serves an application: status ports, the application as a child, and the order in which
// they start and end. The application starts when the proxy serves; the proxy ends when the application has.
import type { Clock } from "../clock.ts";
import type { SocketAddress } from "../envoy/address.ts";
import { canReadOriginalDestination } from "../net/original-dst.ts";
import { startProxy } from "../proxy.ts";
import type { Proxy, ProxyOptions } from "../proxy.ts";
import type { ProcessLogger } from "../telemetry/pino-logger.ts";
import { giveWayToTraffic } from "../worker/priority.ts";
import { type Command, type CommandUser, startCommand } from "./command.ts";
import { keepHeapSmall } from "./heap.ts";
import type { AgentSettings } from "./settings.ts";
import { type StatusKind, statusKinds, StatusServers } from "./status-server.ts";
import { waitForTermination } from "./termination.ts";

/** An address, none, or undefined for the default. */
export type StatusPorts = Readonly<Record<StatusKind, SocketAddress | "off" | undefined>>;

/** What to run. */
export interface AgentOptions {
  readonly proxy: ProxyOptions;
  /** By default Istio's ports on every address, for a mesh's sidecar whose application's traffic is intercepted; none otherwise. */
  readonly ports: StatusPorts;
  readonly settings: AgentSettings;
  /** The application, to be started when the proxy serves. Empty = none. */
  readonly command: readonly string[];
  readonly commandUser?: CommandUser | undefined;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** A terminal gives its signals to the command itself. */
  readonly interactive: boolean;
}

/** What an agent needs of its surroundings. */
export interface AgentDeps {
  readonly clock: Clock;
  readonly logger: ProcessLogger;
  /** Calls back for each delivery of the signal; returns how to stop. */
  readonly onSignal: (signal: NodeJS.Signals, listener: () => void) => () => void;
  /** Takes each thing that is in the way of a start. */
  readonly complain: (problem: string) => void;
}

/** Istio's ports; `::` is every address. */
const defaultPorts: Readonly<Record<StatusKind, SocketAddress>> = {
  health: { address: "::", port: 15021 },
  status: { address: "::", port: 15020 },
  prometheus: { address: "::", port: 15090 },
};

const endingSignals: readonly NodeJS.Signals[] = ["SIGTERM", "SIGINT"];
/** Those that a command is given as well, whatever this process does on them. */
const forwardedSignals: readonly NodeJS.Signals[] = ["SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGWINCH", "SIGCONT"];
const terminalSignals: readonly NodeJS.Signals[] = ["SIGINT", "SIGQUIT", "SIGWINCH"];
/** As shells have it for a command that SIGTERM ended. */
const terminatedCode = 128 + 15;

/** Runs until the proxy, or the command, has ended; gives the exit code: the command's, 0 without one, 1 when nothing could start. */
export function runAgent(options: AgentOptions, deps: AgentDeps): Promise<number> {
  return new Agent(options, deps).run();
}

class Agent {
  readonly #options: AgentOptions;
  readonly #deps: AgentDeps;
  readonly #status: StatusServers;
  #proxy: Proxy | undefined = undefined;
  #command: Command | undefined = undefined;
  #commandEnded = false;
  /** Signals of before the command was there. */
  readonly #early: NodeJS.Signals[] = [];
  #endings = 0;
  #drainAsked = false;
  #draining: Promise<void> | undefined = undefined;

  constructor(options: AgentOptions, deps: AgentDeps) {
    this.#options = options;
    this.#deps = deps;
    this.#status = new StatusServers({
      settings: options.settings,
      notReady: () => this.#notReady(),
      metrics: () => this.#proxy?.prometheus() ?? "",
      drain: () => {
        this.#drainAsked = true;
        void this.#drainInbound();
      },
      // After the answer has left.
      quit: () => void deps.clock.after(10, () => void this.#proxy?.stop()),
      logger: deps.logger,
    });
  }

  async run(): Promise<number> {
    const off = this.#listenToSignals();
    try {
      return await this.#run();
    } finally {
      for (const stop of off) stop();
      await this.#status.close();
    }
  }

  async #run(): Promise<number> {
    const { clock, logger } = this.#deps;
    const { ports, command } = this.#options;
    // What was asked for by name answers from the first moment, with 503 until traffic is served.
    const asked = statusKinds.flatMap((kind) => (typeof ports[kind] === "object" ? [{ kind, address: ports[kind] }] : []));
    if (!(await this.#open(asked))) return 1;
    const result = await startProxy(this.#options.proxy, { clock, logger });
    if (!result.ok) {
      for (const problem of result.problems) this.#deps.complain(problem);
      return 1;
    }
    this.#proxy = result.proxy;
    if (this.#endings > 0) return await this.#endedEarly();
    const { source } = this.#options.proxy;
    // It would serve all the same, and send everything that was intercepted nowhere.
    if (source.kind === "mesh" && this.#servesApplication() && !canReadOriginalDestination()) {
      this.#deps.complain("intercepted connections cannot be led on: koffi, which asks the kernel where they were going, cannot be loaded");
      await this.#proxy.stop();
      return 1;
    }
    const byDefault = source.kind === "mesh" && this.#servesApplication() ? statusKinds.filter((kind) => ports[kind] === undefined) : [];
    if (!(await this.#open(byDefault.map((kind) => ({ kind, address: defaultPorts[kind] }))))) {
      await this.#proxy.stop();
      return 1;
    }
    const addresses = Object.entries(this.#status.addresses());
    if (addresses.length > 0)
      logger.info("status ports", Object.fromEntries(addresses.map(([kind, address]) => [kind, addressText(address)])));
    if (command.length > 0) return this.#runCommand(this.#proxy);
    this.#settle();
    await this.#proxy.stopped;
    return 0;
  }

  async #open(wanted: readonly { readonly kind: StatusKind; readonly address: SocketAddress }[]): Promise<boolean> {
    for (const { kind, address } of wanted) {
      const problem = await this.#status.open(kind, address);
      if (problem === undefined) continue;
      this.#deps.complain(problem);
      return false;
    }
    return true;
  }

  async #runCommand(proxy: Proxy): Promise<number> {
    const { command: argv, commandUser: user, environment } = this.#options;
    const { logger } = this.#deps;
    const started = await startCommand({ argv, environment, user });
    if (!started.ok) {
      await proxy.stop();
      this.#deps.complain(started.problem);
      return started.code;
    }
    // Not before: the application would inherit its place.
    this.#settle();
    const { command } = started;
    this.#command = command;
    for (const signal of this.#early) command.signal(signal);
    // Ended by an administrator: an application that is cut off had better know.
    void proxy.stopped.then(() => this.#commandEnded || command.signal("SIGTERM"));
    const code = await command.ended;
    this.#commandEnded = true;
    logger.info("the command has ended", { command: argv[0], code });
    await proxy.drainAndStop();
    return code;
  }

  #settle(): void {
    giveWayToTraffic();
    keepHeapSmall(this.#deps.clock);
  }

  // Nothing was served yet that could be drained.
  async #endedEarly(): Promise<number> {
    await this.#proxy?.stop();
    return this.#options.command.length > 0 ? terminatedCode : 0;
  }

  #notReady(): string | undefined {
    if (this.#draining !== undefined || this.#commandEnded || this.#endings > 0) return "draining";
    if (this.#proxy === undefined) return "starting: configuration is not in force yet";
    const state = this.#proxy.state();
    return state === "LIVE" ? undefined : `server state is ${state}`;
  }

  /** Whether an application beside this process has its traffic led through it: it needs the proxy for as long as it runs. */
  #servesApplication(): boolean {
    const node = this.#proxy?.node();
    return node?.id.startsWith("sidecar~") === true && node.metadata["INTERCEPTION_MODE"] !== "NONE";
  }

  #listenToSignals(): (() => void)[] {
    const { onSignal } = this.#deps;
    const withCommand = this.#options.command.length > 0;
    const off = [
      ...endingSignals.map((signal) => onSignal(signal, () => this.#end())),
      onSignal("SIGHUP", () => {
        this.#proxy?.reopenLogs();
        void this.#proxy?.reload();
      }),
      onSignal("SIGUSR1", () => this.#proxy?.reopenLogs()),
    ];
    const forwarded = forwardedSignals.filter((signal) => !this.#options.interactive || !terminalSignals.includes(signal));
    if (withCommand) off.push(...forwarded.map((signal) => onSignal(signal, () => this.#forward(signal))));
    // The terminal's are the command's to judge: this process ends after it.
    if (withCommand && this.#options.interactive) off.push(...terminalSignals.map((signal) => onSignal(signal, () => undefined)));
    return off;
  }

  #forward(signal: NodeJS.Signals): void {
    if (this.#command) this.#command.signal(signal);
    else this.#early.push(signal);
  }

  #end(): void {
    this.#endings++;
    if (this.#proxy === undefined) return;
    if (this.#options.command.length > 0 && !this.#commandEnded) void this.#drainInbound();
    else if (this.#endings > 1 || this.#commandEnded) void this.#proxy.stop();
    else void this.#terminate(this.#proxy);
  }

  #drainInbound(): Promise<void> {
    this.#draining ??= this.#proxy?.drainInbound() ?? Promise.resolve();
    return this.#draining;
  }

  async #terminate(proxy: Proxy): Promise<void> {
    if (!this.#servesApplication()) return proxy.drainAndStop();
    // Whoever drained it before sends the signal when the application has ended: a native sidecar's kubelet.
    if (this.#drainAsked) return proxy.stop();
    await this.#drainInbound();
    const { clock, logger } = this.#deps;
    const { settings, proxy: options } = this.#options;
    const connections = (): number => proxy.connections();
    await waitForTermination({ settings, drainTimeMs: options.drainTimeMs, connections, clock, stopped: proxy.stopped });
    if (connections() > 0) logger.warn("connections are closed before they ended", { connections: connections() });
    return proxy.stop();
  }
}

const addressText = ({ address, port }: SocketAddress): string => (address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`);
