// Decoders of listener.v3.Listener, FilterChain and FilterChainMatch.
import { decodeAccessLogs } from "../access-log.ts";
import { decodeCidrRange, decodeIpSocketAddress, decodeMetadata } from "../address.ts";
import { type Decoder, describe } from "../decode/cursor.ts";
import { message } from "../decode/message.ts";
import { bool, duration, enumeration, integer, list, listOf, nonEmpty, text, uint32 } from "../decode/scalars.ts";
import { decodeListenerFilter, decodeNetworkFilter } from "./filter-config.ts";
import type { FilterChain, FilterChainMatch, Listener } from "./listener.ts";
import { decodeDownstreamTransportSocket } from "../tls/tls-decoder.ts";

const sourceType = enumeration({ ANY: 0, SAME_IP_OR_LOOPBACK: 1, EXTERNAL: 2 });
const trafficDirection = enumeration({ UNSPECIFIED: 0, INBOUND: 1, OUTBOUND: 2 });
const realPort = integer(1, 65535);

const serverName: Decoder<string> = (json, at) => {
  const name = nonEmpty(json, at).toLowerCase();
  if (name.replace(/^\*\./, "").includes("*")) at.error(`partial wildcards are not supported: ${describe(name)}; write *.example.com`);
  return name;
};

const decodeFilterChainMatch: Decoder<FilterChainMatch> = message(
  "envoy.config.listener.v3.FilterChainMatch",
  (m) => {
    // Envoy has never implemented these either.
    m.refuse("match on prefix_ranges", "address_suffix", "suffix_len");
    return {
      ...m.maybe("destinationPort", "destination_port", realPort),
      prefixRanges: m.field("prefix_ranges", list(decodeCidrRange), []),
      serverNames: m.field("server_names", list(serverName), []),
      transportProtocol: m.field("transport_protocol", text, ""),
      applicationProtocols: m.field("application_protocols", list(nonEmpty), []),
      directSourcePrefixRanges: m.field("direct_source_prefix_ranges", list(decodeCidrRange), []),
      sourceType: m.field("source_type", sourceType, "ANY"),
      sourcePrefixRanges: m.field("source_prefix_ranges", list(decodeCidrRange), []),
      sourcePorts: m.field("source_ports", list(realPort), []),
    };
  },
  { unhandled: "error" },
);

/** Matches every connection. */
export const anyFilterChainMatch: FilterChainMatch = {
  prefixRanges: [],
  serverNames: [],
  transportProtocol: "",
  applicationProtocols: [],
  directSourcePrefixRanges: [],
  sourceType: "ANY",
  sourcePrefixRanges: [],
  sourcePorts: [],
};

/** listener.v3.FilterChain. */
const decodeFilterChain: Decoder<FilterChain> = message("envoy.config.listener.v3.FilterChain", (m) => {
  m.refuse("use the proxy_protocol listener filter", "use_proxy_proto");
  m.accept("on_demand_configuration");
  return {
    name: m.field("name", text, ""),
    match: m.field("filter_chain_match", decodeFilterChainMatch, anyFilterChainMatch),
    filters: m.field("filters", listOf(decodeNetworkFilter), []),
    transportSocket: m.field("transport_socket", decodeDownstreamTransportSocket, { kind: "raw_buffer" } as const),
    transportSocketConnectTimeoutMs: m.field("transport_socket_connect_timeout", duration, 0),
    metadata: m.field("metadata", decodeMetadata, {}),
  };
});

const decodeAdditionalAddress = message("envoy.config.listener.v3.AdditionalAddress", (m) => m.required("address", decodeIpSocketAddress));
const decodeDeprecatedV1 = message("envoy.config.listener.v3.Listener.DeprecatedV1", (m) => m.field("bind_to_port", bool, true));

/** listener.v3.Listener. */
export const decodeListener: Decoder<Listener> = message("envoy.config.listener.v3.Listener", (m) => {
  // Balance and reuse of ports come from the worker threads, each with its own socket; the rest paces Envoy's own event loop.
  m.accept("connection_balance_config", "enable_reuse_port", "max_connections_to_accept_per_socket_event");
  m.accept("drain_type", "ignore_global_conn_limit", "bypass_overload_manager");
  m.refuse("UDP listeners", "udp_listener_config");
  m.refuse("API listeners", "api_listener");
  m.refuse("internal listeners", "internal_listener");
  m.refuse("matcher trees; give filter_chain_match", "filter_chain_matcher");
  m.refuse("filter chain discovery", "fcds_config");
  const address = m.required("address", decodeIpSocketAddress);
  const oldBind = m.field("deprecated_v1", decodeDeprecatedV1, true);
  return {
    name: m.field("name", text, "") || `${address.address}:${address.port}`,
    addresses: [address, ...m.field("additional_addresses", list(decodeAdditionalAddress), [])],
    bindToPort: m.field("bind_to_port", bool, oldBind),
    useOriginalDst: m.field("use_original_dst", bool, false),
    filterChains: m.field("filter_chains", list(decodeFilterChain), []),
    ...m.maybe("defaultFilterChain", "default_filter_chain", decodeFilterChain),
    listenerFilters: m.field("listener_filters", listOf(decodeListenerFilter), []),
    listenerFiltersTimeoutMs: m.field("listener_filters_timeout", duration, 15_000),
    continueOnListenerFiltersTimeout: m.field("continue_on_listener_filters_timeout", bool, false),
    transparent: m.field("transparent", bool, false),
    freebind: m.field("freebind", bool, false),
    trafficDirection: m.field("traffic_direction", trafficDirection, "UNSPECIFIED"),
    perConnectionBufferLimitBytes: m.field("per_connection_buffer_limit_bytes", uint32, 1_048_576),
    // Envoy takes net.core.somaxconn, whose default on Linux is 4096; the kernel cuts what is above it.
    tcpBacklogSize: m.field("tcp_backlog_size", uint32, 4096),
    maxConnections: 0,
    statPrefix: m.field("stat_prefix", text, ""),
    accessLog: m.field("access_log", decodeAccessLogs, []),
    metadata: m.field("metadata", decodeMetadata, {}),
  };
});
