// The worker threads as one: publishes snapshots to all of them, sums what they know, drains and stops them, and replaces
// one that crashed with another that gets the whole snapshot in force.
import type { Clock } from "../clock.ts";
import type { IstioMetricsSettings } from "../listener/istio-metrics.ts";
import { splitUpdate } from "../snapshot/update-parts.ts";
import type { SnapshotUpdate } from "../snapshot/update.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { LogLevel } from "../telemetry/pino-logger.ts";
import type { StatsReader } from "../telemetry/stats/stats-reader.ts";
import type { Counter, Gauge, StatsScope } from "../telemetry/stats.ts";
import type { ListenerView } from "../telemetry/views.ts";
import type { ClusterDescription } from "../upstream/cluster-description.ts";
import { boundAfter, probeAddresses, withKnownPorts, withoutListeners } from "./addresses.ts";
import type { BoundAddresses } from "./addresses.ts";
import { sumClusters } from "./cluster-sums.ts";
import type { ApplyOutcome, ListenerFailure, ToWorker, WorkerSettings } from "./messages.ts";
import { mainThreadPriority } from "./priority.ts";
import { WorkerHandle } from "./worker-handle.ts";

/** What the pool needs. */
export interface WorkerPoolOptions {
  readonly concurrency: number;
  readonly settings: Omit<WorkerSettings, "id" | "reusePort" | "priority">;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Where the workers' slabs are read. */
  readonly reader: StatsReader;
  /** The main thread's own scope, for `server.*`. */
  readonly stats: StatsScope;
  /** The module each thread runs; default worker/main. */
  readonly entry?: URL;
}

/** How long a worker may take over a publish: compiling thousands of routes takes a second or two. */
const applyDeadlineMs = 30_000;
/** Clusters or assignments that a worker takes at once: some tens of milliseconds. */
const partSize = 1_000;
/** How long a view may take; a worker that is busier is left out of it. */
const viewDeadlineMs = 2_000;
/** How long a worker may take to close and to write its logs. */
const stopDeadlineMs = 3_000;
/** Delay before a crashed worker is replaced: doubled while it keeps crashing, back to none after a minute of peace. */
const firstRestartMs = 100;
const maxRestartMs = 5_000;
const peaceMs = 60_000;

interface Seat {
  readonly id: number;
  /** How many threads have sat here: stats of one and of its successor are kept apart. */
  generation: number;
  handle: WorkerHandle | undefined;
  crashes: number;
  crashedMs: number;
}

/** The workers. */
export class WorkerPool {
  readonly #options: WorkerPoolOptions;
  readonly #entry: URL;
  readonly #seats: Seat[];
  // The main thread may give way later; workers that replace others are to be as those were.
  readonly #priority = mainThreadPriority();
  readonly #restarts: Counter;
  readonly #live: Gauge;
  #bound: BoundAddresses = new Map();
  #full: SnapshotUpdate | undefined = undefined;
  #publishing: Promise<unknown> = Promise.resolve();
  #draining = false;
  #failing = false;
  #nodeCluster = "";
  #stopping = false;
  #logLevel: LogLevel;
  #istioMetrics: IstioMetricsSettings | undefined = undefined;

  constructor(options: WorkerPoolOptions) {
    this.#options = options;
    // The published package holds JavaScript, the repository TypeScript.
    this.#entry = options.entry ?? new URL(import.meta.url.endsWith(".ts") ? "./main.ts" : "./main.js", import.meta.url);
    this.#seats = Array.from({ length: options.concurrency }, (_, id) => ({
      id,
      generation: 0,
      handle: undefined,
      crashes: 0,
      crashedMs: -Infinity,
    }));
    this.#restarts = options.stats.counter("server.worker_restarts");
    this.#live = options.stats.gauge("server.concurrency");
    this.#logLevel = options.settings.logLevel;
    for (const seat of this.#seats) this.#spawn(seat);
  }

  /**
   * Brings every worker to a new snapshot; publishes never overlap.
   * @param update the difference to the snapshot published before
   * @param full the whole snapshot without what failed, for workers that start later
   */
  publish(update: SnapshotUpdate, full: (failures: readonly ListenerFailure[]) => SnapshotUpdate): Promise<readonly ListenerFailure[]> {
    const run = this.#publishing.then(() => this.#publish(update, full));
    this.#publishing = run;
    return run;
  }

  /** Clusters and hosts, counts summed over the workers. */
  async clusters(): Promise<readonly ClusterDescription[]> {
    return sumClusters(await this.#ask((handle) => handle.request("clusters", undefined, viewDeadlineMs)));
  }

  /** Listeners; every worker has the same. */
  async listeners(): Promise<readonly ListenerView[]> {
    const [first = []] = await this.#ask((handle) => handle.request("listeners", undefined, viewDeadlineMs));
    return first;
  }

  /** Connections and requests from now on are told to go elsewhere; nothing is closed yet. */
  drain(): void {
    this.#draining = true;
    this.#tell({ kind: "drain" });
  }

  /** Health checks fail from now on, or no more. */
  failHealthChecks(failing: boolean): void {
    this.#failing = failing;
    this.#tell({ kind: "failHealthChecks", failing });
  }

  /** Says which cluster of proxies this one belongs to. */
  setNodeCluster(cluster: string): void {
    this.#nodeCluster = cluster;
    this.#tell({ kind: "setNodeCluster", cluster });
  }

  /** Closes the listening sockets. */
  async stopAccepting(direction: "all" | "inbound"): Promise<void> {
    await this.#ask((handle) => handle.request("stopAccepting", { direction }, viewDeadlineMs));
  }

  /** Changes the level of every worker's log. */
  setLogLevel(level: LogLevel): void {
    this.#logLevel = level;
    this.#tell({ kind: "setLogLevel", level });
  }

  /** Says who reports Istio's metrics, for listeners that are published from now on. */
  setIstioMetrics(settings: IstioMetricsSettings): void {
    this.#istioMetrics = settings;
    this.#tell({ kind: "setIstioMetrics", settings });
  }

  /** Threads that run. None means that nothing is served. */
  get live(): number {
    return this.#handles().length;
  }

  /** Makes every worker open its log files again. */
  reopenLogs(): void {
    this.#tell({ kind: "reopenLogs" });
  }

  /** Closes connections, writes the logs and ends the threads. */
  async stop(): Promise<void> {
    this.#stopping = true;
    // Threads that never got a configuration have nothing to close.
    if (this.#full) await this.#ask((handle) => handle.request("stop", undefined, stopDeadlineMs));
    await Promise.all(this.#handles().map((handle) => handle.terminate()));
  }

  async #publish(
    update: SnapshotUpdate,
    full: (failures: readonly ListenerFailure[]) => SnapshotUpdate,
  ): Promise<readonly ListenerFailure[]> {
    const unbindable = await probeAddresses(update, this.#bound);
    const wanted = withoutListeners(update, unbindable);
    const [first, ...others] = this.#seats;
    const outcomes: ApplyOutcome[] = [];
    const firstOutcome = first && (await this.#apply(first, wanted));
    if (firstOutcome) {
      outcomes.push(firstOutcome);
      this.#bound = boundAfter(this.#bound, wanted, firstOutcome.listeners);
    }
    for (const outcome of await Promise.all(others.map((seat) => this.#apply(seat, wanted)))) if (outcome) outcomes.push(outcome);
    // The same listener fails in every worker for the same reason; one report is enough.
    const failures = new Map(unbindable.map((failure) => [failure.name, failure]));
    for (const outcome of outcomes)
      for (const failure of outcome.failures) if (!failures.has(failure.name)) failures.set(failure.name, failure);
    const all = [...failures.values()];
    // Before the first success nothing serves: that is a failed start, not a crash to recover from.
    if (outcomes.length === 0 && this.#full === undefined) {
      return [...all, { name: "workers", message: "no worker thread took the configuration; the log above says why" }];
    }
    this.#full = full(all);
    return all;
  }

  async #apply(seat: Seat, update: SnapshotUpdate): Promise<ApplyOutcome | undefined> {
    // The first thread of seat 0 is the one that asks the kernel for ports. It must see the same address in every version of a
    // listener, or it would bind again; the others and its successors are told the port throughout.
    const choosesPorts = seat.id === 0 && seat.generation === 1;
    const { ahead, rest } = splitUpdate(update, partSize);
    for (const part of ahead) seat.handle?.notify({ kind: "applyAhead", update: part });
    // A seat whose thread has just crashed gets the whole snapshot when it is back.
    const answer = await seat.handle?.request("apply", choosesPorts ? rest : withKnownPorts(rest, this.#bound), applyDeadlineMs);
    if (!answer) return undefined;
    if (answer.ok) return answer.value;
    this.#options.logger.error("a worker did not take the configuration", { worker: seat.id, reason: answer.message });
    return undefined;
  }

  #spawn(seat: Seat): void {
    const owner = `worker_${seat.id}.${seat.generation++}`;
    const settings: WorkerSettings = {
      ...this.#options.settings,
      logLevel: this.#logLevel,
      nodeCluster: this.#nodeCluster,
      istioMetrics: this.#istioMetrics,
      id: seat.id,
      priority: this.#priority,
      reusePort: this.#options.concurrency > 1,
    };
    seat.handle = new WorkerHandle(this.#entry, settings, this.#options.clock, {
      onStats: (announcement) => this.#options.reader.add(owner, announcement),
      onExit: (error) => {
        seat.handle = undefined;
        this.#live.dec();
        this.#options.reader.retire(owner);
        if (!this.#stopping) this.#onCrash(seat, error);
      },
    });
    this.#live.inc();
    if (this.#draining) seat.handle.notify({ kind: "drain" });
    if (this.#failing) seat.handle.notify({ kind: "failHealthChecks", failing: true });
  }

  #onCrash(seat: Seat, error: Error | undefined): void {
    const { clock, logger } = this.#options;
    this.#restarts.inc();
    const now = clock.nowMs();
    seat.crashes = now - seat.crashedMs > peaceMs ? 0 : seat.crashes + 1;
    seat.crashedMs = now;
    const delayMs = seat.crashes === 0 ? 0 : Math.min(firstRestartMs * 2 ** (seat.crashes - 1), maxRestartMs);
    logger.error("a worker crashed, another takes its place", { worker: seat.id, delayMs, stack: error?.stack ?? "no error given" });
    clock.after(delayMs, () => {
      // In line with the publishes, so that the new thread starts from a whole snapshot and misses none after it.
      this.#publishing = this.#publishing.then(() => this.#replace(seat));
    });
  }

  async #replace(seat: Seat): Promise<void> {
    if (this.#stopping) return;
    this.#spawn(seat);
    if (!this.#full) return;
    const outcome = await this.#apply(seat, this.#full);
    for (const failure of outcome?.failures ?? [])
      this.#options.logger.error("a restarted worker lacks a listener", { ...failure, worker: seat.id });
  }

  #tell(message: ToWorker): void {
    for (const handle of this.#handles()) handle.notify(message);
  }

  async #ask<T>(ask: (handle: WorkerHandle) => Promise<{ readonly ok: true; readonly value: T } | { readonly ok: false }>): Promise<T[]> {
    const answers = await Promise.all(this.#handles().map(ask));
    return answers.flatMap((answer) => (answer.ok ? [answer.value] : []));
  }

  #handles(): WorkerHandle[] {
    return this.#seats.flatMap((seat) => (seat.handle ? [seat.handle] : []));
  }
}
