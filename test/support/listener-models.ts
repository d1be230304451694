// Listeners, filter chains and connections for tests of the listener room.
import type { FilterChain, FilterChainMatch, FilterConfig, Listener } from "../../src/envoy/listener/listener.ts";
import type { TcpProxyConfig } from "../../src/envoy/listener/tcp-proxy.ts";
import { ConnectionInfo } from "../../src/telemetry/stream-info.ts";

/** A match of everything, narrowed by `over`. */
export function chainMatch(over: Partial<FilterChainMatch> = {}): FilterChainMatch {
  return {
    prefixRanges: [],
    serverNames: [],
    transportProtocol: "",
    applicationProtocols: [],
    directSourcePrefixRanges: [],
    sourceType: "ANY",
    sourcePrefixRanges: [],
    sourcePorts: [],
    ...over,
  };
}

/** A plaintext chain. */
export function filterChain(
  filters: readonly FilterConfig[],
  match: Partial<FilterChainMatch> = {},
  over: Partial<FilterChain> = {},
): FilterChain {
  return {
    name: "",
    match: chainMatch(match),
    filters,
    transportSocket: { kind: "raw_buffer" },
    transportSocketConnectTimeoutMs: 0,
    metadata: {},
    ...over,
  };
}

/** A filter as configured. */
export function filterConfig(extension: string, config: unknown = {}): FilterConfig {
  return { name: extension, extension, config, disabled: false };
}

/** A TCP proxy to one cluster. */
export function tcpProxyFilter(cluster: string, over: Partial<TcpProxyConfig> = {}): FilterConfig {
  const config: TcpProxyConfig = {
    statPrefix: "t",
    target: { kind: "cluster", name: cluster },
    idleTimeoutMs: 3_600_000,
    maxDownstreamConnectionDurationMs: 0,
    maxConnectAttempts: 1,
    hashPolicy: [],
    metadataMatch: {},
    accessLog: [log],
    ...over,
  };
  return filterConfig("envoy.filters.network.tcp_proxy", config);
}

/** An access log; tests collect what is written. */
export const log = { path: "/dev/stdout", format: { kind: "text", text: "" }, omitEmptyValues: false } as const;

/** A listener on a free port of 127.0.0.1. */
export function listener(name: string, filterChains: readonly FilterChain[], over: Partial<Listener> = {}): Listener {
  return {
    name,
    addresses: [{ address: "127.0.0.1", port: 0 }],
    bindToPort: true,
    useOriginalDst: false,
    filterChains,
    listenerFilters: [],
    listenerFiltersTimeoutMs: 15_000,
    continueOnListenerFiltersTimeout: false,
    transparent: false,
    freebind: false,
    trafficDirection: "UNSPECIFIED",
    perConnectionBufferLimitBytes: 1_048_576,
    tcpBacklogSize: 0,
    maxConnections: 0,
    statPrefix: name,
    accessLog: [log],
    metadata: {},
    ...over,
  };
}

/** What is known of a connection before a chain is chosen. */
export interface ConnectionFacts {
  readonly remote?: string;
  readonly directRemote?: string;
  readonly local?: string;
  readonly serverName?: string;
  readonly transportProtocol?: string;
  readonly applicationProtocols?: readonly string[];
}

function ipPort(text: string): { readonly ip: string; readonly port: number } {
  const colon = text.lastIndexOf(":");
  return { ip: text.slice(0, colon).replace(/^\[|\]$/g, ""), port: Number(text.slice(colon + 1)) };
}

/** A connection with these facts; addresses are `ip:port`. */
export function connectionInfo(facts: ConnectionFacts = {}): ConnectionInfo {
  const remote = facts.remote ?? "192.0.2.9:40000";
  const local = ipPort(facts.local ?? "10.0.0.1:80");
  const info = new ConnectionInfo(1, 0, 0, ipPort(facts.directRemote ?? remote), local);
  info.remote = ipPort(remote);
  info.serverName = facts.serverName ?? "";
  info.transportProtocol = facts.transportProtocol ?? "";
  info.applicationProtocols = facts.applicationProtocols ?? [];
  return info;
}
