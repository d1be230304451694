// Listeners and clusters of one worker in this process, on real sockets, with every stat and log record at hand.
import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import { systemClock } from "../../src/clock.ts";
import type { Cluster } from "../../src/envoy/cluster/cluster.ts";
import type { Listener } from "../../src/envoy/listener/listener.ts";
import { listenerFilters, networkFilters } from "../../src/filter/registry.ts";
import { createClientTransport } from "../../src/identity/client-transport.ts";
import { SecretStore } from "../../src/identity/secret-store.ts";
import { createServerTransport } from "../../src/identity/server-transport.ts";
import { ListenerManager } from "../../src/listener/listener-manager.ts";
import type { ListenerFailure, ListenerManagerOptions } from "../../src/listener/listener-manager.ts";
import type { SpliceRelay } from "../../src/net/relay/splice-relay.ts";
import { formatFlags } from "../../src/telemetry/response-flag.ts";
import type { StreamInfo } from "../../src/telemetry/stream-info.ts";
import { ClusterManager } from "../../src/upstream/cluster-manager.ts";
import { WorkerDrain } from "../../src/worker/drain.ts";
import { seededRandom, setting, unchanged } from "./cluster-models.ts";
import { recordingStats } from "./recording-stats.ts";
import type { RecordingStats } from "./recording-stats.ts";
import { recordingLogger } from "./tls-models.ts";

/** A worker's L4 side. */
export interface L4Proxy {
  readonly manager: ListenerManager;
  readonly clusters: ClusterManager;
  readonly secrets: SecretStore;
  readonly stats: RecordingStats;
  readonly drain: WorkerDrain;
  apply(...listeners: readonly Listener[]): Promise<readonly ListenerFailure[]>;
  /** The port a listener got. */
  port(name: string): number;
  /** Log records so far, waiting until there are `count`. */
  records(count: number): Promise<readonly StreamInfo[]>;
  /** Resolves when a stat has reached a value. */
  reaches(name: string, value: number): Promise<void>;
}

/** Starts it with these clusters; everything is closed when the test ends. */
export function startL4Proxy(
  t: TestContext,
  clusters: readonly Cluster[],
  over: {
    readonly splice?: SpliceRelay | undefined;
    readonly drainTimeMs?: number;
    readonly options?: Partial<ListenerManagerOptions>;
  } = {},
): L4Proxy {
  const stats = recordingStats();
  const logger = recordingLogger();
  const secrets = new SecretStore();
  const drain = new WorkerDrain();
  const random = seededRandom(1);
  const records: StreamInfo[] = [];
  const common = { clock: systemClock, random, logger, stats };
  const manager = new ClusterManager({
    ...common,
    createClientTransport: (tls, scope) => createClientTransport(tls, secrets, { clock: systemClock, logger, stats: scope }),
  });
  manager.apply(setting(...clusters), unchanged);
  const listeners = new ListenerManager({
    ...common,
    clusters: manager,
    routes: new Map(),
    compileRoutes: (config) => ({ name: config.name, match: () => undefined, patch: () => [] }),
    accessLoggers: (configs) => configs.map(() => ({ log: (info) => void records.push(info) })),
    drain,
    node: { cluster: "" },
    localAddress: "127.0.0.1",
    splice: over.splice,
    networkFilters,
    listenerFilters,
    createServerTransport: (tls, scope) => createServerTransport(tls, secrets, { clock: systemClock, logger, stats: scope }),
    reusePort: false,
    ...(over.drainTimeMs === undefined ? {} : { drainTimeMs: over.drainTimeMs }),
    ...over.options,
  });
  t.after(() => {
    listeners.close();
    manager.close();
  });
  return {
    manager: listeners,
    clusters: manager,
    secrets,
    stats,
    drain,
    apply: (...models) => listeners.apply(setting(...models)),
    port: (name) => {
      const address = listeners.views().find((view) => view.name === name)?.addresses[0];
      assert.ok(address, `listener ${name} is not bound`);
      return address.port;
    },
    records: async (count) => {
      await until(() => records.length >= count);
      return records;
    },
    reaches: (name, value) => until(() => stats.value(name) === value),
  };
}

/** What a record says that logs and dashboards go by. */
export function summary(info: StreamInfo): string {
  const details = info.responseCodeDetails || info.connectionTerminationDetails || "-";
  return `${formatFlags(info.flags)} ${details} ${info.upstreamCluster || "-"} ${info.bytesReceived}/${info.bytesSent}`;
}

/** Looks again until the condition holds; the test runner's time limit ends a wait in vain. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 2));
}
