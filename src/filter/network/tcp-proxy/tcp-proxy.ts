// tcp_proxy: relays a connection to a host of a cluster. Configuration is compiled here once per filter chain; what happens to
// one connection is in tcp-session.ts.
import type { Timer } from "../../../clock.ts";
import type { TcpProxyConfig } from "../../../envoy/listener/tcp-proxy.ts";
import { xxHash64, type Hash64 } from "../../../match/xxhash64.ts";
import type { Connection } from "../../../net/connection.ts";
import type { AccessLogger } from "../../../telemetry/access-logger.ts";
import type { Counter, Gauge, StatsScope } from "../../../telemetry/stats.ts";
import type { ConnectionInfo } from "../../../telemetry/stream-info.ts";
import type { NetworkFilter, NetworkFilterContext, NetworkFilterSpec } from "../../filter.ts";
import { TcpSession } from "./tcp-session.ts";

/** The tcp_proxy filter. */
export const tcpProxy: NetworkFilterSpec = {
  extension: "envoy.filters.network.tcp_proxy",
  terminal: true,
  create: (config, context) => new TcpProxy(config as TcpProxyConfig, context),
};

/** Envoy's `tcp.PREFIX.*`. */
export interface TcpProxyStats {
  readonly downstreamCxTotal: Counter;
  readonly downstreamCxActive: Gauge;
  readonly downstreamCxNoRoute: Counter;
  readonly downstreamCxRxBytesTotal: Counter;
  readonly downstreamCxTxBytesTotal: Counter;
  readonly idleTimeout: Counter;
  readonly maxDownstreamConnectionDuration: Counter;
}

/** What its sessions share. */
export interface TcpProxyShared {
  readonly config: TcpProxyConfig;
  readonly context: NetworkFilterContext;
  readonly stats: TcpProxyStats;
  readonly accessLoggers: readonly AccessLogger[];
  /** The cluster for the next connection. */
  readonly pickCluster: () => string;
  /** Hash for consistent-hash balancers; undefined when the configuration asks for none. */
  readonly hashOf: ((info: ConnectionInfo) => Hash64) | undefined;
  readonly onClosed: (session: TcpSession) => void;
}

// Byte counters of connections that stay open for days would otherwise stand still.
const countBytesEveryMs = 5_000;

class TcpProxy implements NetworkFilter {
  readonly #shared: TcpProxyShared;
  readonly #sessions = new Set<TcpSession>();
  #counting: Timer | undefined;

  constructor(config: TcpProxyConfig, context: NetworkFilterContext) {
    this.#shared = {
      config,
      context,
      stats: createStats(context.stats.scope(`tcp.${config.statPrefix}`)),
      accessLoggers: context.accessLoggers(config.accessLog),
      pickCluster: clusterPicker(config, context.random),
      // Only source_ip has a meaning for TCP.
      hashOf: config.hashPolicy.some((policy) => policy.kind === "sourceIp") ? (info) => xxHash64(info.remote.ip) : undefined,
      onClosed: (session) => this.#onClosed(session),
    };
  }

  get active(): number {
    return this.#sessions.size;
  }

  onConnection(connection: Connection): "done" {
    const session = new TcpSession(connection, this.#shared);
    this.#sessions.add(session);
    this.#counting ??= this.#countLater();
    session.start();
    return "done";
  }

  #countLater(): Timer {
    return this.#shared.context.clock.after(countBytesEveryMs, () => {
      for (const session of this.#sessions) session.countBytes();
      this.#counting = this.#countLater();
    });
  }

  #onClosed(session: TcpSession): void {
    this.#sessions.delete(session);
    if (this.#sessions.size > 0) return;
    this.#counting?.cancel();
    this.#counting = undefined;
  }

  destroy(): void {
    for (const session of this.#sessions) session.destroy();
  }
}

function createStats(scope: StatsScope): TcpProxyStats {
  return {
    downstreamCxTotal: scope.counter("downstream_cx_total"),
    downstreamCxActive: scope.gauge("downstream_cx_active"),
    downstreamCxNoRoute: scope.counter("downstream_cx_no_route"),
    downstreamCxRxBytesTotal: scope.counter("downstream_cx_rx_bytes_total"),
    downstreamCxTxBytesTotal: scope.counter("downstream_cx_tx_bytes_total"),
    idleTimeout: scope.counter("idle_timeout"),
    maxDownstreamConnectionDuration: scope.counter("max_downstream_connection_duration"),
  };
}

function clusterPicker(config: TcpProxyConfig, random: () => number): () => string {
  const { target } = config;
  if (target.kind === "cluster") return () => target.name;
  const { clusters, totalWeight } = target;
  return () => {
    let left = random() * totalWeight;
    for (const { name, weight } of clusters) {
      left -= weight;
      if (left < 0) return name;
    }
    return clusters[clusters.length - 1]!.name;
  };
}
