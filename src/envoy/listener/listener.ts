// Envoy listener.v3.Listener, narrowed. Filters are carried as decoded config by canonical extension name.
import type { AccessLog } from "../access-log.ts";
import type { CidrRange, Metadata, SocketAddress } from "../address.ts";
import type { DownstreamTransportSocket } from "../tls/tls.ts";

/** listener.v3.FilterChainMatch; empty lists and undefined mean "any". */
export interface FilterChainMatch {
  readonly destinationPort?: number;
  readonly prefixRanges: readonly CidrRange[];
  /** Lower case; exact or `*.suffix`. */
  readonly serverNames: readonly string[];
  /** `tls`, `raw_buffer`, ... or empty. */
  readonly transportProtocol: string;
  readonly applicationProtocols: readonly string[];
  readonly directSourcePrefixRanges: readonly CidrRange[];
  readonly sourceType: "ANY" | "SAME_IP_OR_LOOPBACK" | "EXTERNAL";
  readonly sourcePrefixRanges: readonly CidrRange[];
  readonly sourcePorts: readonly number[];
}

/** A filter as configured: which extension, and its decoded config (the registry knows its type). */
export interface FilterConfig {
  /** The instance name in the configuration, which per-route overrides refer to. */
  readonly name: string;
  /** Canonical extension name, e.g. `envoy.filters.network.tcp_proxy`. */
  readonly extension: string;
  readonly config: unknown;
  /** HTTP filters: off unless a route enables it. */
  readonly disabled: boolean;
}

/** listener.v3.ListenerFilterChainMatchPredicate, for `filter_disabled`. */
export type ListenerFilterPredicate =
  | { readonly kind: "any" }
  | { readonly kind: "or" | "and"; readonly rules: readonly ListenerFilterPredicate[] }
  | { readonly kind: "not"; readonly rule: ListenerFilterPredicate }
  | { readonly kind: "destinationPortRange"; readonly start: number; readonly end: number };

/** listener.v3.ListenerFilter. */
export interface ListenerFilterConfig extends FilterConfig {
  readonly filterDisabled?: ListenerFilterPredicate;
}

/** listener.v3.FilterChain. */
export interface FilterChain {
  readonly name: string;
  readonly match: FilterChainMatch;
  readonly filters: readonly FilterConfig[];
  readonly transportSocket: DownstreamTransportSocket;
  /** 0 = none; Envoy's default is none, istiod sends 15 s. */
  readonly transportSocketConnectTimeoutMs: number;
  readonly metadata: Metadata;
}

/** listener.v3.Listener. */
export interface Listener {
  readonly name: string;
  /** First is the main one, then additional_addresses. */
  readonly addresses: readonly SocketAddress[];
  readonly bindToPort: boolean;
  readonly useOriginalDst: boolean;
  readonly filterChains: readonly FilterChain[];
  readonly defaultFilterChain?: FilterChain;
  readonly listenerFilters: readonly ListenerFilterConfig[];
  /** Default 15 s; 0 = wait for ever. */
  readonly listenerFiltersTimeoutMs: number;
  readonly continueOnListenerFiltersTimeout: boolean;
  readonly transparent: boolean;
  readonly freebind: boolean;
  readonly trafficDirection: "UNSPECIFIED" | "INBOUND" | "OUTBOUND";
  /** Soft limit on bytes buffered per connection, default 1 MiB. */
  readonly perConnectionBufferLimitBytes: number;
  readonly tcpBacklogSize: number;
  /** Maximum open connections, 0 = unlimited. */
  readonly maxConnections: number;
  /** Prefix for this listener's stats; the address when empty. */
  readonly statPrefix: string;
  readonly accessLog: readonly AccessLog[];
  readonly metadata: Metadata;
}
