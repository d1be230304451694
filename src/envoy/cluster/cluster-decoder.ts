// Decoder of cluster.v3.Cluster; how it balances and how it speaks HTTP are decoded beside it.
import { isIP } from "node:net";
import { decodeMetadata, decodeSocketAddress, decodeTcpKeepalive, type SocketAddress, type TcpKeepalive } from "../address.ts";
import type { CircuitBreakerThresholds, Cluster, DiscoveryType, LbPolicy, TransportSocketMatch } from "./cluster.ts";
import { decodeClusterHttp } from "./cluster-http.ts";
import { decodeClusterLb, decodeConsistentHashing } from "./cluster-lb.ts";
import { openAny } from "../decode/any.ts";
import { type Decoder, map } from "../decode/cursor.ts";
import { type Fields, message } from "../decode/message.ts";
import { bool, enumeration, list, nonEmpty, port, positiveDuration, presence, struct, text, uint32 } from "../decode/scalars.ts";
import { decodeClusterLoadAssignment, healthStatus } from "./endpoint.ts";
import { decodeHealthCheck } from "./health-check.ts";
import { decodeLbSubset } from "./lb-subset.ts";
import { decodeOutlierDetection } from "./outlier-detection.ts";
import { decodeNetworkFilter } from "../listener/filter-config.ts";
import { decodePercent } from "../percent.ts";
import { decodeUpstreamTransportSocket } from "../tls/tls-decoder.ts";
import { decodeOldZoneAware, type ZoneAware } from "./zone-aware.ts";

const discoveryType = enumeration({ STATIC: 0, STRICT_DNS: 1, LOGICAL_DNS: 2, EDS: 3, ORIGINAL_DST: 4 });
const dnsFamily = enumeration({ AUTO: 0, V4_ONLY: 1, V6_ONLY: 2, V4_PREFERRED: 3, ALL: 4 });

// The extension names under which the same types are configured with cluster_type.
const extensionTypes = new Map<string, DiscoveryType>([
  ["envoy.cluster.static", "STATIC"],
  ["envoy.cluster.strict_dns", "STRICT_DNS"],
  ["envoy.cluster.logical_dns", "LOGICAL_DNS"],
  ["envoy.cluster.eds", "EDS"],
  ["envoy.cluster.original_dst", "ORIGINAL_DST"],
]);

interface Discovery {
  readonly type: DiscoveryType;
  readonly dnsRefreshRateMs?: number;
  readonly respectDnsTtl?: boolean;
  readonly dnsLookupFamily?: Cluster["dnsLookupFamily"];
}

const newDnsFamily = enumeration({ UNSPECIFIED: 0, AUTO: 1, V4_ONLY: 2, V6_ONLY: 3, V4_PREFERRED: 4, ALL: 5 });

const decodeDnsCluster = message("envoy.extensions.clusters.dns.v3.DnsCluster", (m): Discovery => {
  const family = m.field("dns_lookup_family", newDnsFamily, "UNSPECIFIED");
  return {
    type: m.field("all_addresses_in_single_endpoint", bool, false) ? "LOGICAL_DNS" : "STRICT_DNS",
    ...m.maybe("dnsRefreshRateMs", "dns_refresh_rate", positiveDuration),
    respectDnsTtl: m.field("respect_dns_ttl", bool, false),
    dnsLookupFamily: family === "UNSPECIFIED" ? "AUTO" : family,
  };
});

const decodeCustomType: Decoder<Discovery> = message("envoy.config.cluster.v3.Cluster.CustomClusterType", (m) => {
  const name = m.required("name", nonEmpty);
  const dns = m.field(
    "typed_config",
    (json, at) => {
      const opened = openAny(json, at);
      return opened?.type === "envoy.extensions.clusters.dns.v3.DnsCluster" ? decodeDnsCluster(opened.json, at) : undefined;
    },
    undefined,
  );
  const type = extensionTypes.get(name);
  if (dns === undefined && type === undefined && name !== "") m.at.error(`the cluster type ${name} is not supported`, "name");
  return dns ?? { type: type ?? "STATIC" };
});

const decodeEdsConfig = message("envoy.config.cluster.v3.Cluster.EdsClusterConfig", (m) => {
  m.accept("eds_config");
  return m.field("service_name", text, "");
});

const priority = enumeration({ DEFAULT: 0, HIGH: 1 });
const defaultThresholds: CircuitBreakerThresholds = { maxConnections: 1024, maxPendingRequests: 1024, maxRequests: 1024, maxRetries: 3 };

const decodeRetryBudget = message("envoy.config.cluster.v3.CircuitBreakers.Thresholds.RetryBudget", (m) => ({
  budgetPercent: m.field("budget_percent", decodePercent, 20),
  minRetryConcurrency: m.field("min_retry_concurrency", uint32, 3),
}));

const decodeThresholds = message("envoy.config.cluster.v3.CircuitBreakers.Thresholds", (m) => {
  return {
    priority: m.field("priority", priority, "DEFAULT"),
    thresholds: {
      maxConnections: m.field("max_connections", uint32, defaultThresholds.maxConnections),
      maxPendingRequests: m.field("max_pending_requests", uint32, defaultThresholds.maxPendingRequests),
      maxRequests: m.field("max_requests", uint32, defaultThresholds.maxRequests),
      maxRetries: m.field("max_retries", uint32, defaultThresholds.maxRetries),
      ...m.maybe("retryBudget", "retry_budget", decodeRetryBudget),
      ...(m.field("track_remaining", bool, false) ? { trackRemaining: true } : {}),
    },
  };
});

// Envoy looks at the connections alone.
const decodePerHost = message("envoy.config.cluster.v3.CircuitBreakers.Thresholds", (m) => ({
  priority: m.field("priority", priority, "DEFAULT"),
  ...m.maybe("maxConnectionsPerHost", "max_connections", uint32),
}));

const decodeCircuitBreakers = message("envoy.config.cluster.v3.CircuitBreakers", (m): Cluster["circuitBreakers"] => {
  const all = m.field("thresholds", list(decodeThresholds), []);
  const perHost = m.field("per_host_thresholds", list(decodePerHost), []);
  const of = (wanted: "DEFAULT" | "HIGH"): CircuitBreakerThresholds => {
    const limit = perHost.find((entry) => entry.priority === wanted)?.maxConnectionsPerHost;
    const thresholds = all.find((entry) => entry.priority === wanted)?.thresholds ?? defaultThresholds;
    return limit === undefined ? thresholds : { ...thresholds, maxConnectionsPerHost: limit };
  };
  return { default: of("DEFAULT"), high: of("HIGH") };
});

const decodeSocketMatch: Decoder<TransportSocketMatch> = message(
  "envoy.config.cluster.v3.Cluster.TransportSocketMatch",
  (m) => ({
    name: m.required("name", nonEmpty),
    match: m.field("match", struct, {}),
    transportSocket: m.required("transport_socket", decodeUpstreamTransportSocket),
  }),
  { unhandled: "error" },
);

const decodeOriginalDst = message("envoy.config.cluster.v3.Cluster.OriginalDstLbConfig", (m) => {
  const name = m.field("http_header_name", text, "").toLowerCase();
  m.refuse("destinations taken from metadata", "metadata_key");
  return {
    // Envoy's default header name for overriding the destination.
    useHttpHeader: m.field("use_http_header", bool, false) ? name || "x-envoy-original-dst-host" : "",
    portOverride: m.field("upstream_port_override", port, 0),
  };
});

const decodeStatusSet = message("envoy.config.core.v3.HealthStatusSet", (m) => m.field("statuses", list(healthStatus), []));

interface CommonLb {
  readonly healthyPanicThreshold: number;
  readonly localityWeightedLb: boolean;
  readonly zoneAware?: ZoneAware;
  readonly overrideHostStatus: Cluster["overrideHostStatus"];
  readonly hashing: ReturnType<typeof decodeConsistentHashing>;
  readonly ignoreNewHosts: boolean;
}

function localitiesOf(m: Fields): Pick<CommonLb, "localityWeightedLb" | "zoneAware"> {
  return (
    m.oneof<Pick<CommonLb, "localityWeightedLb" | "zoneAware">>({
      zone_aware_lb_config: (json, at) => ({ localityWeightedLb: false, zoneAware: decodeOldZoneAware(json, at) }),
      locality_weighted_lb_config: (json, at) => ({ localityWeightedLb: presence(json, at) }),
    }) ?? { localityWeightedLb: false }
  );
}

const decodeCommonLb = message("envoy.config.cluster.v3.Cluster.CommonLbConfig", (m): CommonLb => {
  m.accept("update_merge_window");
  return {
    healthyPanicThreshold: m.field("healthy_panic_threshold", decodePercent, 50),
    ...localitiesOf(m),
    overrideHostStatus: m.field("override_host_status", decodeStatusSet, undefined),
    hashing: m.field("consistent_hashing_lb_config", decodeConsistentHashing, {}),
    ignoreNewHosts: m.field("ignore_new_hosts_until_first_hc", bool, false),
  };
});

const decodeSourceAddress: Decoder<SocketAddress> = map(decodeSocketAddress, (source, at) => {
  if (source.address !== "" && isIP(source.address) === 0)
    at.error(`expected an IP address, got ${JSON.stringify(source.address)}`, "address");
  return source;
});

const decodeExtraSource = message("envoy.config.core.v3.ExtraSourceAddress", (m) => m.required("address", decodeSourceAddress));

const decodeBind = message("envoy.config.core.v3.BindConfig", (m) => {
  m.refuse("several source addresses", "additional_source_addresses", "local_address_selector");
  return {
    ...m.maybe("sourceAddress", "source_address", decodeSourceAddress),
    // Envoy takes any number and uses the first of the family that the main one does not have.
    extraSourceAddresses: m.field("extra_source_addresses", list(decodeExtraSource), []),
  };
});

const decodeConnectionOptions = message(
  "envoy.config.cluster.v3.UpstreamConnectionOptions",
  (m): { readonly tcpKeepalive?: TcpKeepalive } => m.maybe("tcpKeepalive", "tcp_keepalive", decodeTcpKeepalive),
);

// Upstream network filters have no behaviour here; those that the table leaves out (Istio's metadata exchange) are fine.
const upstreamFilters: Decoder<void> = (json, at) => {
  if (!Array.isArray(json)) return at.error("expected a list");
  json.forEach((entry: unknown, index) => {
    const filter = at.in(index, decodeNetworkFilter, entry);
    if (filter) at.error(`${filter.extension} is not supported as an upstream filter`, index);
  });
};

/** cluster.v3.Cluster. */
export const decodeCluster: Decoder<Cluster> = message("envoy.config.cluster.v3.Cluster", (m) => {
  const name = m.required("name", nonEmpty);
  const discovery = m.oneof<Discovery>({ type: (json, at) => ({ type: discoveryType(json, at) }), cluster_type: decodeCustomType }) ?? {
    type: "STATIC",
  };
  // They steer Envoy's own bookkeeping.
  m.accept(
    "wait_for_warm_on_init",
    "cleanup_interval",
    "track_timeout_budgets",
    "track_cluster_stats",
    "typed_dns_resolver_config",
    "dns_resolution_config",
  );
  m.refuse("custom upstreams", "upstream_config");
  m.field("filters", upstreamFilters, undefined);
  const balancing = decodeClusterLb(m);
  const commonLb = m.field<CommonLb, CommonLb>("common_lb_config", decodeCommonLb, {
    healthyPanicThreshold: 50,
    localityWeightedLb: false,
    hashing: {},
    overrideHostStatus: undefined,
    ignoreNewHosts: false,
  });
  if (balancing.policyExtension === true && (commonLb.localityWeightedLb || commonLb.zoneAware || commonLb.hashing.hashing))
    m.at.error("load_balancing_policy has its own settings for localities and hashing", "common_lb_config");
  const zoneAware = balancing.zoneAware ?? commonLb.zoneAware;
  const { lbSubset } = balancing;
  const cluster: Cluster = {
    name,
    altStatName: m.field("alt_stat_name", text, ""),
    type: discovery.type,
    edsServiceName: m.field("eds_cluster_config", decodeEdsConfig, "") || name,
    ...m.maybe("loadAssignment", "load_assignment", decodeClusterLoadAssignment),
    connectTimeoutMs: m.field("connect_timeout", positiveDuration, 5000),
    lbPolicy: hashesHosts(balancing.lbPolicy) ? { ...balancing.lbPolicy, ...commonLb.hashing } : balancing.lbPolicy,
    healthyPanicThreshold: commonLb.healthyPanicThreshold,
    localityWeightedLb: balancing.localityWeightedLb || commonLb.localityWeightedLb,
    circuitBreakers: m.field("circuit_breakers", decodeCircuitBreakers, { default: defaultThresholds, high: defaultThresholds }),
    ...m.maybe("outlierDetection", "outlier_detection", decodeOutlierDetection),
    ...(lbSubset ? { lbSubset } : m.maybe("lbSubset", "lb_subset_config", decodeLbSubset)),
    ...healthChecks(m),
    ...(commonLb.overrideHostStatus === undefined ? {} : { overrideHostStatus: commonLb.overrideHostStatus }),
    ...(zoneAware && { zoneAware }),
    ...(commonLb.ignoreNewHosts ? { ignoreNewHostsUntilFirstCheck: true } : {}),
    http: decodeClusterHttp(m),
    transportSocket: m.field("transport_socket", decodeUpstreamTransportSocket, { kind: "raw_buffer" } as const),
    transportSocketMatches: m.field("transport_socket_matches", list(decodeSocketMatch), []),
    ...m.field("upstream_bind_config", decodeBind, { extraSourceAddresses: [] }),
    ...m.field("upstream_connection_options", decodeConnectionOptions, {}),
    dnsRefreshRateMs: m.field("dns_refresh_rate", positiveDuration, discovery.dnsRefreshRateMs ?? 5000),
    respectDnsTtl: m.field("respect_dns_ttl", bool, discovery.respectDnsTtl ?? false),
    dnsLookupFamily: m.field("dns_lookup_family", dnsFamily, discovery.dnsLookupFamily ?? "AUTO"),
    originalDst: m.field("original_dst_lb_config", decodeOriginalDst, { useHttpHeader: "", portOverride: 0 }),
    perConnectionBufferLimitBytes: m.field("per_connection_buffer_limit_bytes", uint32, 1_048_576),
    metadata: m.field("metadata", decodeMetadata, {}),
  };
  checkCluster(cluster, m);
  return cluster;
});

const hashesHosts = ({ kind }: LbPolicy): boolean => kind === "RING_HASH" || kind === "MAGLEV";

function healthChecks(m: Fields): Pick<Cluster, "healthCheck" | "ignoreHealthOnHostRemoval"> {
  // Envoy, too, takes one only.
  const [healthCheck] = m.field("health_checks", list(decodeHealthCheck, { max: 1 }), []);
  const atOnce = m.field("ignore_health_on_host_removal", bool, false);
  return { ...(healthCheck && { healthCheck }), ...(atOnce ? { ignoreHealthOnHostRemoval: true } : {}) };
}

function checkCluster(cluster: Cluster, m: Fields): void {
  const { at } = m;
  const provided = cluster.lbPolicy.kind === "CLUSTER_PROVIDED";
  if (cluster.type === "ORIGINAL_DST" && !provided) at.error("an ORIGINAL_DST cluster needs lb_policy CLUSTER_PROVIDED", "lb_policy");
  if (cluster.lbSubset?.localityWeightAware === true && !cluster.localityWeightedLb)
    at.error("locality_weight_aware needs locality_weighted_lb_config", "lb_subset_config");
  if (cluster.type !== "ORIGINAL_DST" && provided) at.error(`a ${cluster.type} cluster has no load balancer of its own`, "lb_policy");
  if (cluster.loadAssignment === undefined) return;
  if (cluster.type === "EDS" || cluster.type === "ORIGINAL_DST") {
    at.error(`a ${cluster.type} cluster takes no load_assignment`, "load_assignment");
    return;
  }
  const groups = cluster.loadAssignment.endpoints;
  const count = groups.reduce((sum, group) => sum + group.endpoints.length, 0);
  if (cluster.type === "LOGICAL_DNS" && count !== 1) at.error(`a LOGICAL_DNS cluster has one endpoint, got ${count}`, "load_assignment");
  groups.forEach((group, groupIndex) => {
    group.endpoints.forEach((endpoint, index) => {
      if ("pipe" in endpoint.address) return;
      const { address } = endpoint.address;
      if (cluster.type !== "STATIC" || address === "" || isIP(address) !== 0) return;
      const problem = `expected an IP address, got ${JSON.stringify(address)}; host names need type STRICT_DNS or LOGICAL_DNS`;
      at.error(
        problem,
        "load_assignment",
        "endpoints",
        groupIndex,
        "lb_endpoints",
        index,
        "endpoint",
        "address",
        "socket_address",
        "address",
      );
    });
  });
}
