// Envoy cluster.v3.Cluster, narrowed.
import type { Http2Options } from "../http2-options.ts";
import type { Metadata, SocketAddress } from "../address.ts";
import type { ClusterLoadAssignment, HealthStatus } from "./endpoint.ts";
import type { HealthCheck } from "./health-check.ts";
import type { LbSubset } from "./lb-subset.ts";
import type { OutlierDetection } from "./outlier-detection.ts";
import type { UpstreamTransportSocket } from "../tls/tls.ts";
import type { LocalZone, ZoneAware } from "./zone-aware.ts";

/** How a cluster finds its hosts. */
export type DiscoveryType = "STATIC" | "STRICT_DNS" | "LOGICAL_DNS" | "EDS" | "ORIGINAL_DST";

/** How hosts that come into use get their share. */
export interface SlowStart {
  /** Above 0. */
  readonly windowMs: number;
  /** Default 1: in proportion to time. */
  readonly aggression: number;
  /** Default 10. */
  readonly minWeightPercent: number;
}

/** consistent_hashing_lb_config. */
export interface HashingSettings {
  /** Hosts are hashed by hostname in place of address. */
  readonly useHostname: boolean;
  /** A host may have so many percent of the average active requests; 0 = any number. */
  readonly balanceFactor: number;
}

/** Load-balancing policies; RING_HASH and MAGLEV need a hash policy to be more than random. */
export type LbPolicy =
  | { readonly kind: "ROUND_ROBIN"; readonly slowStart?: SlowStart }
  | {
      readonly kind: "LEAST_REQUEST";
      readonly choiceCount: number;
      /** How much active requests take from a weight; default 1, 0 = nothing. */
      readonly activeRequestBias?: number;
      /** The least busy of all hosts, in place of some drawn at random. */
      readonly fullScan?: true;
      readonly slowStart?: SlowStart;
    }
  | { readonly kind: "RANDOM" }
  | {
      readonly kind: "RING_HASH";
      readonly minimumRingSize: number;
      readonly maximumRingSize: number;
      /** hash_function MURMUR_HASH_2 in place of xxHash. */
      readonly murmur?: true;
      readonly hashing?: HashingSettings;
    }
  | { readonly kind: "MAGLEV"; readonly tableSize: number; readonly hashing?: HashingSettings }
  | { readonly kind: "CLUSTER_PROVIDED" };

/** One priority's circuit breaker limits (Envoy's defaults 1024/1024/1024/3). */
export interface CircuitBreakerThresholds {
  readonly maxConnections: number;
  readonly maxPendingRequests: number;
  readonly maxRequests: number;
  readonly maxRetries: number;
  /** In place of `maxRetries`: retries may be this percentage of active and pending requests, and `minRetryConcurrency` at least. */
  readonly retryBudget?: { readonly budgetPercent: number; readonly minRetryConcurrency: number };
  /** track_remaining: what is left shows in gauges. */
  readonly trackRemaining?: boolean;
  /** per_host_thresholds: connections to each host. */
  readonly maxConnectionsPerHost?: number;
}

/** transport_socket_matches: the first whose `match` is a subset of the endpoint's metadata wins. */
export interface TransportSocketMatch {
  readonly name: string;
  readonly match: Readonly<Record<string, unknown>>;
  readonly transportSocket: UpstreamTransportSocket;
}

/** How the cluster speaks HTTP upstream (HttpProtocolOptions). */
export type UpstreamProtocol = "http1" | "http2" | "auto" | "downstream";

/** HttpProtocolOptions.common_http_protocol_options and the rest that is honoured. */
export interface UpstreamHttpOptions {
  readonly protocol: UpstreamProtocol;
  /** Idle time after which a pooled connection is closed; default 1 h, 0 = never. */
  readonly idleTimeoutMs: number;
  /** Requests on one connection, 0 = unlimited. */
  readonly maxRequestsPerConnection: number;
  /** 0 = unlimited. */
  readonly maxConnectionDurationMs: number;
  /** The longest an exchange may take from the moment it has a connection; 0 = no limit. */
  readonly maxStreamDurationMs: number;
  /** Default 100. */
  readonly maxHeadersCount: number;
  /** Default 80: Envoy 1.40 was seen to accept a 70 KB response header. */
  readonly maxResponseHeadersKb: number;
  /** http_protocol_options.enable_trailers: trailers are dropped otherwise (Envoy's default). */
  readonly enableTrailers: boolean;
  /** header_key_format.proper_case_words: names of HTTP/1 request fields in Proper-Case. */
  readonly properCaseHeaders: boolean;
  /** http2_protocol_options. */
  readonly http2: Http2Options;
  /** upstream_http_protocol_options: the server's name follows each request. */
  readonly nameByRequest?: NameByRequest;
}

/** UpstreamHttpProtocolOptions: at least one of the two is set. */
export interface NameByRequest {
  /** auto_sni: the host is sent as SNI, unless it is an address. */
  readonly sni: boolean;
  /** auto_san_validation: the server's certificate must be for that host. */
  readonly verify: boolean;
  /** override_auto_sni_header: a request header that names the host in place of Host; empty = none. */
  readonly header: string;
}

/** cluster.v3.Cluster. */
export interface Cluster {
  readonly name: string;
  readonly altStatName: string;
  readonly type: DiscoveryType;
  /** EDS service name; the cluster's own name when not given. */
  readonly edsServiceName: string;
  /** Inline assignment for STATIC, STRICT_DNS and LOGICAL_DNS. */
  readonly loadAssignment?: ClusterLoadAssignment;
  /** Default 5 s. */
  readonly connectTimeoutMs: number;
  readonly lbPolicy: LbPolicy;
  /** Routes choose among subsets of the hosts by metadata. */
  readonly lbSubset?: LbSubset;
  /** Percent, default 50. */
  readonly healthyPanicThreshold: number;
  /** zone_aware_lb_config, in either form; absent = Envoy's defaults, which count where there is a local cluster. */
  readonly zoneAware?: ZoneAware;
  /** Set by the bootstrap, where it names a local cluster. */
  readonly localZone?: LocalZone;
  /** common_lb_config.override_host_status: states in which a host keeps its sessions; absent = UNKNOWN, HEALTHY, DEGRADED. */
  readonly overrideHostStatus?: readonly HealthStatus[];
  /** common_lb_config.locality_weighted_lb_config is present. */
  readonly localityWeightedLb: boolean;
  readonly circuitBreakers: { readonly default: CircuitBreakerThresholds; readonly high: CircuitBreakerThresholds };
  /** Hosts are ejected by how they answer; absent = never. */
  readonly outlierDetection?: OutlierDetection;
  /** Hosts are asked whether they are well; absent = never. */
  readonly healthCheck?: HealthCheck;
  /** Hosts that leave the assignment go at once, also when they pass their health checks; default false. */
  readonly ignoreHealthOnHostRemoval?: boolean;
  /** common_lb_config.ignore_new_hosts_until_first_hc: hosts that were never checked do not count towards panic. */
  readonly ignoreNewHostsUntilFirstCheck?: boolean;
  readonly http: UpstreamHttpOptions;
  readonly transportSocket: UpstreamTransportSocket;
  readonly transportSocketMatches: readonly TransportSocketMatch[];
  /** upstream_bind_config.source_address (port 0 = any). */
  readonly sourceAddress?: SocketAddress;
  /** upstream_bind_config.extra_source_addresses: for upstreams of the other family. */
  readonly extraSourceAddresses: readonly SocketAddress[];
  /** Seconds probes etc. of upstream_connection_options.tcp_keepalive; absent = off. */
  readonly tcpKeepalive?: { readonly timeMs: number; readonly intervalMs: number; readonly probes: number };
  /** DNS clusters: default 5 s. */
  readonly dnsRefreshRateMs: number;
  readonly respectDnsTtl: boolean;
  readonly dnsLookupFamily: "AUTO" | "V4_ONLY" | "V6_ONLY" | "V4_PREFERRED" | "ALL";
  /** ORIGINAL_DST: take the destination from this header (default off) or override the port (0 = keep). */
  readonly originalDst: { readonly useHttpHeader: string; readonly portOverride: number };
  /** Soft limit on bytes buffered per upstream connection, default 1 MiB. */
  readonly perConnectionBufferLimitBytes: number;
  readonly metadata: Metadata;
}
