// The data path of one thread: every room below is made here, once, and brought from snapshot to snapshot.
import { systemClock } from "../clock.ts";
import type { Clock } from "../clock.ts";
import type { RouteConfiguration } from "../envoy/route/route.ts";
import type { FilterDeps } from "../filter/filter.ts";
import { listenerFilters, networkFilters } from "../filter/registry.ts";
import { compileRouteTable } from "../http/route/compile.ts";
import type { RouteTable } from "../http/route/route-table.ts";
import { createClientTransport } from "../identity/client-transport.ts";
import { SecretStore } from "../identity/secret-store.ts";
import { createServerTransport } from "../identity/server-transport.ts";
import { SecureContextCache } from "../identity/secure-context.ts";
import { IstioMetrics, type IstioMetricsSettings } from "../listener/istio-metrics.ts";
import { ListenerManager } from "../listener/listener-manager.ts";
import { DescriptorGuard, descriptorLimit } from "../net/descriptor-guard.ts";
import { startSpliceRelay } from "../net/relay/splice-relay.ts";
import { additions, removals } from "../snapshot/update-parts.ts";
import type { UpdateAhead } from "../snapshot/update-parts.ts";
import type { RouteUpdate, SnapshotUpdate } from "../snapshot/update.ts";
import { createAccessLoggers } from "../telemetry/access-log.ts";
import { LogSinks } from "../telemetry/access-log/sink.ts";
import { compileFormat } from "../telemetry/format.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { StatsScope } from "../telemetry/stats.ts";
import type { ListenerView } from "../telemetry/views.ts";
import type { ClusterDescription } from "../upstream/cluster-description.ts";
import type { HostLookup } from "../upstream/discovery/host-lookup.ts";
import { ClusterManager } from "../upstream/cluster-manager.ts";
import { WorkerDrain } from "./drain.ts";
import type { ApplyOutcome, WorkerSettings } from "./messages.ts";

/** What a worker can be told. */
export interface WorkerRuntime {
  /** Takes a part of the update that `apply` completes; what goes wrong with it is thrown there. */
  applyAhead(update: UpdateAhead): void;
  apply(update: SnapshotUpdate): Promise<ApplyOutcome>;
  clusters(): readonly ClusterDescription[];
  listeners(): readonly ListenerView[];
  /** Connections and requests from now on are told to go elsewhere. */
  drain(): void;
  stopAccepting(direction: "all" | "inbound"): undefined;
  failHealthChecks(failing: boolean): void;
  setNodeCluster(cluster: string): void;
  setIstioMetrics(settings: IstioMetricsSettings): void;
  reopenLogs(): void;
  /** Closes everything and writes what is left of the logs. */
  stop(): Promise<void>;
}

/**
 * A listener that forwards to a new DNS cluster should not answer before the first lookup; a resolver that is dead must not hold it
 * for ever, nor a change that shares its publish for more than a moment: a change is to be live within a second.
 */
const warmUpMs = { start: 5_000, change: 250 };
/** How long the last records of the access log may take to be written. */
const logDeadlineMs = 1_000;

/**
 * Makes the data path of a worker.
 * @param lookupHost how names of DNS clusters are resolved; default this system's resolver
 */
export function createWorkerRuntime(
  settings: WorkerSettings,
  stats: StatsScope,
  logger: Logger,
  clock: Clock = systemClock,
  lookupHost?: HostLookup,
): WorkerRuntime {
  const random = Math.random;
  const secrets = new SecretStore();
  const contexts = new SecureContextCache();
  const sinks = new LogSinks({ clock, stats, logger, flushIntervalMs: settings.accessLogFlushMs });
  const drain = new WorkerDrain();
  const node = { cluster: settings.nodeCluster ?? "" };
  const routes = new Map<string, RouteTable>();
  const splice = startSpliceRelay({ logger });
  const descriptors = new DescriptorGuard(descriptorLimit(), { clock, logger });
  const clusters = new ClusterManager({
    clock,
    random,
    logger,
    stats,
    descriptors,
    ...(lookupHost ? { lookupHost } : {}),
    createClientTransport: (tls, scope) => createClientTransport(tls, secrets, { clock, logger, contexts, stats: scope }),
  });
  const filterDeps: FilterDeps = {
    clock,
    random,
    logger,
    stats,
    clusters,
    routes,
    compileRoutes: (config) => compileRoutes(config, logger),
    accessLoggers: (configs) => createAccessLoggers(configs, { sinks, logger }),
    drain,
    node,
    localAddress: settings.localAddress,
    splice,
    quiet: settings.id !== 0,
  };
  const istio = new IstioMetrics({ stats, logger, clusters });
  if (settings.istioMetrics) istio.configure(settings.istioMetrics);
  const listeners = new ListenerManager({
    ...filterDeps,
    istio,
    networkFilters,
    listenerFilters,
    descriptors,
    reusePort: settings.reusePort,
    createServerTransport: (tls, scope) => createServerTransport(tls, secrets, { clock, logger, stats: scope }),
  });

  let started = false;
  let made: string[] = [];
  let failed: { readonly thrown: unknown } | undefined;
  const take = (update: UpdateAhead): void => {
    secrets.apply(update.secrets);
    clusters.apply(additions(update.clusters), additions(update.endpoints));
    for (const { name } of update.clusters.set) made.push(name);
  };
  return {
    applyAhead: (update) => {
      try {
        take(update);
      } catch (thrown) {
        failed ??= { thrown };
      }
    },
    apply: async (update) => {
      const before = failed;
      failed = undefined;
      if (before !== undefined) throw before.thrown;
      take(update);
      const names = made;
      made = [];
      await warm(clusters, names, clock, started ? warmUpMs.change : warmUpMs.start);
      started = true;
      applyRoutes(routes, update.routes, logger);
      const failures = await listeners.apply(update.listeners);
      // What goes, goes after whatever led to it: a request in between finds no gap.
      for (const name of update.routes.removed) routes.delete(name);
      clusters.apply(removals(update.clusters), removals(update.endpoints));
      return { failures, listeners: listeners.views(update.listeners.set.map(({ name }) => name)) };
    },
    clusters: () => clusters.describe(),
    listeners: () => listeners.views(),
    drain: () => drain.start(),
    stopAccepting: (direction) => listeners.stopAccepting(direction),
    failHealthChecks: (failing) => drain.failHealthChecks(failing),
    setNodeCluster: (cluster) => void (node.cluster = cluster),
    setIstioMetrics: (who) => istio.configure(who),
    reopenLogs: () => sinks.reopen(),
    stop: async () => {
      // Closing a connection writes its record, so the logs come last.
      listeners.close();
      clusters.close();
      splice?.close();
      await new Promise((resolve) => setImmediate(resolve));
      await sinks.close(logDeadlineMs);
      // Ending this thread while that one still loads koffi would abort the process.
      await splice?.ended;
    },
  };
}

/** A configuration that does not compile was refused before it came here; if one does all the same, its requests get 404. */
function compileRoutes(config: RouteConfiguration, logger: Logger): RouteTable {
  const compiled = compileRouteTable(config, { compileFormat: (text) => compileFormat(text, { missing: "" }) });
  if (compiled.ok) return compiled.value;
  logger.error("route configuration does not compile, its requests find no route", {
    route: config.name,
    problems: compiled.issues.map((issue) => issue.message),
  });
  return { name: config.name, match: () => undefined, patch: () => [] };
}

/** Sets and changes what the update has; what it removes stays. */
function applyRoutes(routes: Map<string, RouteTable>, update: RouteUpdate, logger: Logger): void {
  for (const { name, value } of update.set) routes.set(name, compileRoutes(value, logger));
  for (const change of update.patched) {
    const issues = routes.get(change.name)?.patch(change) ?? [];
    if (issues.length === 0) continue;
    logger.error("virtual hosts do not compile, those of before stay", {
      route: change.name,
      problems: issues.map((issue) => issue.message),
    });
  }
}

/** Waits for the clusters of one update alone: one that hangs since an earlier update holds no other. */
function warm(clusters: ClusterManager, names: readonly string[], clock: Clock, limitMs: number): Promise<void> {
  return new Promise((resolve) => {
    const waiting = clusters.whenWarm(names, () => {
      timer.cancel();
      resolve();
    });
    const timer = clock.after(limitMs, () => {
      waiting.cancel();
      resolve();
    });
  });
}
