// Envoy extensions.filters.network.tcp_proxy.v3.TcpProxy, narrowed.
import { decodeAccessLogs } from "../access-log.ts";
import { decodeLbMetadata } from "../address.ts";
import type { Decoder } from "../decode/cursor.ts";
import { message } from "../decode/message.ts";
import { duration, integer, list, listOf, nonEmpty } from "../decode/scalars.ts";
import type { AccessLog } from "../access-log.ts";
import type { HashPolicy } from "../route/route.ts";

/** TcpProxy. */
export interface TcpProxyConfig {
  readonly statPrefix: string;
  readonly target:
    | { readonly kind: "cluster"; readonly name: string }
    | {
        readonly kind: "weighted";
        readonly clusters: readonly { readonly name: string; readonly weight: number }[];
        readonly totalWeight: number;
      };
  /** Default 1 h; 0 = none. */
  readonly idleTimeoutMs: number;
  /** 0 = none. */
  readonly maxDownstreamConnectionDurationMs: number;
  /** Default 1. */
  readonly maxConnectAttempts: number;
  readonly hashPolicy: readonly HashPolicy[];
  readonly metadataMatch: Readonly<Record<string, unknown>>;
  readonly accessLog: readonly AccessLog[];
}

type Target = TcpProxyConfig["target"];

const decodeClusterWeight = message("envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy.WeightedCluster.ClusterWeight", (m) => {
  m.refuse("put metadata_match beside weighted_clusters", "metadata_match");
  return { name: m.required("name", nonEmpty), weight: m.required("weight", integer(1, 0xffff_ffff)) };
});

const decodeWeightedClusters = message("envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy.WeightedCluster", (m): Target => {
  const clusters = m.required("clusters", list(decodeClusterWeight, { min: 1 }));
  return { kind: "weighted", clusters, totalWeight: clusters.reduce((sum, cluster) => sum + cluster.weight, 0) };
});

const decodeHashPolicy: Decoder<HashPolicy | undefined> = message("envoy.type.v3.HashPolicy", (m) =>
  m.has("source_ip") ? { kind: "sourceIp", terminal: false } : undefined,
);

/** TcpProxy. */
export const decodeTcpProxy: Decoder<TcpProxyConfig> = message("envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy", (m) => {
  m.refuse("tunnelling over HTTP CONNECT", "tunneling_config");
  m.refuse("on-demand discovery", "on_demand");
  return {
    statPrefix: m.required("stat_prefix", nonEmpty),
    target: m.requiredOneof<Target>(
      { cluster: (json, at) => ({ kind: "cluster", name: nonEmpty(json, at) }), weighted_clusters: decodeWeightedClusters },
      { kind: "cluster", name: "" },
    ),
    idleTimeoutMs: m.field("idle_timeout", duration, 3_600_000),
    maxDownstreamConnectionDurationMs: m.field("max_downstream_connection_duration", duration, 0),
    maxConnectAttempts: m.field("max_connect_attempts", integer(1, 0xffff_ffff), 1),
    hashPolicy: m.field("hash_policy", listOf(decodeHashPolicy), []),
    metadataMatch: m.field("metadata_match", decodeLbMetadata, {}),
    accessLog: m.field("access_log", decodeAccessLogs, []),
  };
});
