// The upstream side as filters see it: look a cluster up, pick a host, dial it. Implementations live beside this file.
import type { Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import type { Address, Metadata } from "../envoy/address.ts";
import type { Cluster } from "../envoy/cluster/cluster.ts";
import type { Locality } from "../envoy/cluster/endpoint.ts";
import type { ProxyError } from "../error.ts";
import type { Hash64 } from "../match/xxhash64.ts";
import type { CircuitBreakers, Priority } from "./circuit-breakers.ts";
import type { Pending } from "../identity/transport.ts";
import type { Http2Stats } from "../net/http2/http2-stats.ts";
import type { Counter, Gauge, Histogram } from "../telemetry/stats.ts";
import type { ConnectionInfo, TlsPeer, UpstreamSource } from "../telemetry/stream-info.ts";
import type { HeaderMap } from "../wire/header-map.ts";

/** A host that is asked for in place of the balancer's choice. */
export interface OverrideHost {
  /** `ip:port`. */
  readonly address: string;
  /** When it cannot serve, nobody does. */
  readonly strict: boolean;
}

/** What a balancer may look at. One object may be reused for several picks. */
export interface LbContext {
  readonly downstream: ConnectionInfo | undefined;
  readonly headers: HeaderMap | undefined;
  /** Hash of the route's hash policy, undefined when none applies. */
  readonly hash: Hash64 | undefined;
  readonly overrideHost?: OverrideHost | undefined;
  /** Subset to choose from; empty = all. */
  readonly metadataMatch: Readonly<Record<string, unknown>>;
  /** Hosts already tried (retry_host_predicate previous_hosts), with how often to pick again. */
  readonly avoid: ReadonlySet<Host> | undefined;
  readonly avoidAttempts: number;
}

/** Envoy's cluster stats that the data path writes (`cluster.NAME.*`). */
export interface ClusterStats {
  readonly upstreamCxTotal: Counter;
  readonly upstreamCxActive: Gauge;
  readonly upstreamCxHttp1Total: Counter;
  readonly upstreamCxHttp2Total: Counter;
  readonly upstreamCxCloseNotify: Counter;
  readonly upstreamCxConnectFail: Counter;
  readonly upstreamCxConnectTimeout: Counter;
  readonly upstreamCxConnectAttemptsExceeded: Counter;
  readonly upstreamCxConnectMs: Histogram;
  readonly upstreamCxDestroy: Counter;
  readonly upstreamCxDestroyLocal: Counter;
  readonly upstreamCxDestroyRemote: Counter;
  readonly upstreamCxDestroyWithActiveRq: Counter;
  readonly upstreamCxDestroyLocalWithActiveRq: Counter;
  readonly upstreamCxDestroyRemoteWithActiveRq: Counter;
  readonly upstreamCxIdleTimeout: Counter;
  readonly upstreamCxMaxRequests: Counter;
  readonly upstreamCxMaxDurationReached: Counter;
  readonly upstreamCxNoneHealthy: Counter;
  readonly upstreamCxOverflow: Counter;
  readonly upstreamCxProtocolError: Counter;
  readonly upstreamCxRxBytesTotal: Counter;
  readonly upstreamCxTxBytesTotal: Counter;
  readonly upstreamRqTotal: Counter;
  readonly upstreamRqActive: Gauge;
  readonly upstreamRqPendingTotal: Counter;
  readonly upstreamRqPendingActive: Gauge;
  readonly upstreamRqPendingOverflow: Counter;
  /** Requests that found a connection, but max_requests reached. */
  readonly upstreamRqActiveOverflow: Counter;
  readonly upstreamRqPendingFailureEject: Counter;
  readonly upstreamRqCancelled: Counter;
  readonly upstreamRqTimeout: Counter;
  readonly upstreamRqPerTryTimeout: Counter;
  readonly upstreamRqMaxDurationReached: Counter;
  readonly upstreamRqRxReset: Counter;
  readonly upstreamRqTxReset: Counter;
  readonly upstreamRqRetry: Counter;
  readonly upstreamRqRetryBackoffExponential: Counter;
  readonly upstreamRqRetryBackoffRatelimited: Counter;
  readonly upstreamRqRetrySuccess: Counter;
  readonly upstreamRqRetryOverflow: Counter;
  readonly upstreamRqRetryLimitExceeded: Counter;
  readonly upstreamInternalRedirectSucceeded: Counter;
  readonly upstreamInternalRedirectFailed: Counter;
  readonly upstreamRqTime: Histogram;
  /** `http2.*`, made for the first connection that speaks it. */
  readonly http2: () => Http2Stats;
  /** `upstream_rq_completed`, `upstream_rq_5xx`, `upstream_rq_503`, ... in one call. */
  readonly response: (status: number) => void;
  /** Counts a response that another attempt follows: `retry.upstream_rq_503` and the like. */
  readonly retriedResponse: (status: number) => void;
}

/** What a dialer hands over: a connected socket, TLS done when the transport socket is TLS. */
export interface DialHandler {
  onConnected(socket: Socket | TLSSocket, peer: TlsPeer | undefined, alpn: string): void;
  /** Connect refused, timed out (`upstream_connect_timeout`), TLS failed (`upstream_tls_failed`, reason in Envoy's words). */
  onFailed(error: ProxyError): void;
}

/** How to dial. */
export interface DialOptions {
  /** Offered instead of the transport socket's own list. */
  readonly alpn?: readonly string[];
  /** Offered when neither says anything. */
  readonly alpnFallback?: readonly string[];
  readonly sni?: string;
  /** Names of which the server's certificate must have one, beside what its context asks for. */
  readonly verifyNames?: readonly string[];
  /** Half-open semantics for TCP proxying; HTTP uses false. */
  readonly allowHalfOpen: boolean;
  /** Whose address it carries; undefined: the cluster's upstream_bind_config, or this machine's. */
  readonly source?: UpstreamSource | undefined;
}

/**
 * How using a host went, beside the answers it gave. `connected`: an HTTP exchange has a connection; `tcp_connected`: the same
 * for bytes that nobody reads, so it is all there will be; `connect_failed`: no connection, or it broke off before the answer
 * was complete; `timeout`: no answer, or no connection for bytes, in time.
 */
export type HostResult = "connected" | "tcp_connected" | "connect_failed" | "timeout";

/** One endpoint of a cluster in this worker. Identity is kept over updates that do not change its address. */
export interface Host {
  readonly address: Address;
  /** `ip:port` or the pipe's path: UPSTREAM_HOST in logs. */
  readonly addressText: string;
  readonly hostname: string;
  readonly weight: number;
  readonly priority: number;
  readonly locality: Locality;
  readonly metadata: Metadata;
  /** False when its endpoint's status says so or outlier detection ejected it. */
  readonly healthy: boolean;
  /** Requests or TCP connections in flight; the holder of a pick increments and decrements it (least request reads it). */
  activeRequests: number;
  /** Connections, open or being opened. */
  readonly activeConnections: number;
  /** Owned by upstream/pool: the HTTP pools of this host by key. */
  pools: Map<string, HttpPoolHandle> | undefined;
  /** True once the host left its cluster: pools close when idle. */
  readonly removed: boolean;
  /** Whoever used the host says how it went, for outlier detection: a result, or the HTTP status it answered with. */
  onResult(result: HostResult | number): void;
  /** A response had x-envoy-immediate-health-check-fail; asked only of hosts of a cluster with health checks. */
  onImmediateHealthCheckFail(): void;
  /** Connects within the cluster's connect timeout (TLS included) and applies its socket options. */
  dial(options: DialOptions, handler: DialHandler): Pending;
}

/** What a host needs of its pools. */
export interface HttpPoolHandle {
  /** No new requests; idle connections close now, busy ones when their request ends. */
  drain(): void;
}

/** A cluster in this worker. */
export interface UpstreamCluster {
  readonly name: string;
  readonly model: Cluster;
  readonly stats: ClusterStats;
  readonly resources: Readonly<Record<Priority, CircuitBreakers>>;
  /** A host by the cluster's policy, or undefined: no healthy upstream (the caller counts upstream_cx_none_healthy). Never blocks. */
  pick(context: LbContext): Host | undefined;
  /** All hosts, for admin and tests. */
  hosts(): readonly Host[];
}

/** Clusters by name. Look up per request: the answer changes when a snapshot is applied. */
export interface ClusterLookup {
  get(name: string): UpstreamCluster | undefined;
}
