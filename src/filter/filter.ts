// The contracts of listener and network filters, and what they are given. HTTP filters have theirs in http/filter.ts.
import type { AccessLog } from "../envoy/access-log.ts";
import type { Listener } from "../envoy/listener/listener.ts";
import type { RouteConfiguration } from "../envoy/route/route.ts";
import type { RouteLookup, RouteTable } from "../http/route/route-table.ts";
import type { Clock } from "../clock.ts";
import type { Connection } from "../net/connection.ts";
import type { SpliceRelay } from "../net/relay/splice-relay.ts";
import type { AccessLogger } from "../telemetry/access-logger.ts";
import type { IstioRecorder } from "../telemetry/istio/recorder.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { StatsScope } from "../telemetry/stats.ts";
import type { ConnectionInfo } from "../telemetry/stream-info.ts";
import type { ClusterLookup } from "../upstream/cluster.ts";
import type { SniRefusalStats } from "./sni-refusal.ts";

/** Whether the worker is going away. Read per request; no listener needed for HTTP, which says `connection: close`. */
export interface DrainState {
  readonly draining: boolean;
  /** Calls back once when draining starts; returns how to unsubscribe. */
  onDrain(listener: () => void): () => void;
}

/** Everything a filter may use, made once per worker. */
export interface FilterDeps {
  readonly clock: Clock;
  /** [0, 1). */
  readonly random: () => number;
  readonly logger: Logger;
  readonly stats: StatsScope;
  readonly clusters: ClusterLookup;
  readonly routes: RouteLookup;
  readonly compileRoutes: (config: RouteConfiguration) => RouteTable;
  readonly accessLoggers: (configs: readonly AccessLog[]) => readonly AccessLogger[];
  readonly drain: DrainState;
  /** Who this proxy says it is; known when configuration has been loaded. */
  readonly node: { readonly cluster: string };
  /** An IP of this machine that is not loopback, for x-forwarded-for behind use_remote_address; 127.0.0.1 when there is none. */
  readonly localAddress: string;
  /** The thread that relays raw TCP in the kernel; absent where there is none. */
  readonly splice?: SpliceRelay | undefined;
  /** Another worker tells of what every worker finds by itself; default false. */
  readonly quiet?: boolean | undefined;
}

/** What a network filter is created for. */
export interface NetworkFilterContext extends FilterDeps {
  readonly listener: Listener;
  /** `listener.ADDRESS` scope. */
  readonly listenerStats: StatsScope;
  /** Present for a chain that reports Istio's metrics. */
  readonly istioMetrics?: IstioRecorder | undefined;
  /** Present for a chain that an east-west gateway's server names choose. */
  readonly sniRefusals?: SniRefusalStats | undefined;
}

/** A network filter, one per filter chain, shared by its connections. */
export interface NetworkFilter {
  /**
   * Called in order for each connection, TLS done. `continue` goes on to the next filter. `done` means this filter owns the
   * connection from here (terminal filters) or has closed it. `wait` holds it until the filter calls `resume`, once. Must not throw.
   */
  onConnection(connection: Connection, resume: () => void): "continue" | "done" | "wait";
  /** Draining started for this chain's listener: close idle connections soon, busy ones when done. */
  drain?(): void;
  /** Connections still open. */
  readonly active?: number;
  /** Close everything now. */
  destroy?(): void;
}

/** A kind of network filter. */
export interface NetworkFilterSpec {
  /** Canonical name, e.g. `envoy.filters.network.tcp_proxy`. */
  readonly extension: string;
  readonly terminal: boolean;
  create(config: unknown, context: NetworkFilterContext): NetworkFilter;
}

/** What a listener filter says after looking at bytes. */
export type ListenerFilterVerdict =
  | { readonly kind: "continue"; /** Bytes to drop from the front (PROXY protocol header). */ readonly consumed: number }
  | { readonly kind: "needMore" }
  | { readonly kind: "close"; /** Details for the access log. */ readonly details: string };

/** A listener filter: looks at the first bytes and fills in ConnectionInfo. Stateless; called again with more bytes. */
export interface ListenerFilter {
  /** False: needs no bytes (original_dst), called once with an empty buffer. */
  readonly needsBytes: boolean;
  /** Bytes after which `needMore` is a failure. */
  readonly maxBytes: number;
  inspect(info: ConnectionInfo, bytes: Buffer, socketFd: number): ListenerFilterVerdict;
}

/** What a listener filter is created for. */
export interface ListenerFilterContext {
  readonly stats: StatsScope;
  readonly logger: Logger;
  /** The listener's socket is transparent: TPROXY hands connections over with the addresses that they had. */
  readonly transparent: boolean;
}

/** A kind of listener filter. */
export interface ListenerFilterSpec {
  readonly extension: string;
  create(config: unknown, context: ListenerFilterContext): ListenerFilter;
}
