// Clusters, assignments and balancing contexts for tests of the upstream room.
import { defaultHttp2Options } from "../../src/envoy/http2-options.ts";
import type { Cluster } from "../../src/envoy/cluster/cluster.ts";
import type { ClusterLoadAssignment, LbEndpoint, LocalityLbEndpoints } from "../../src/envoy/cluster/endpoint.ts";
import type { ResourceUpdate, Versioned } from "../../src/snapshot/update.ts";
import { ConnectionInfo } from "../../src/telemetry/stream-info.ts";
import type { LbContext } from "../../src/upstream/cluster.ts";

/** An endpoint at `ip:port`. */
export function endpoint(address: string, over: Partial<LbEndpoint> = {}): LbEndpoint {
  const colon = address.lastIndexOf(":");
  return {
    address: { address: address.slice(0, colon), port: Number(address.slice(colon + 1)) },
    additionalAddresses: [],
    hostname: "",
    healthStatus: "UNKNOWN",
    weight: 1,
    metadata: {},
    ...over,
  };
}

/** A group of endpoints in one zone. */
export function group(
  endpoints: readonly LbEndpoint[],
  over: Partial<LocalityLbEndpoints> & { readonly zone?: string } = {},
): LocalityLbEndpoints {
  const { zone = "", ...rest } = over;
  return { locality: { region: "", zone, subZone: "" }, endpoints, weight: 0, priority: 0, ...rest };
}

/** An assignment of groups. */
export function assignment(
  clusterName: string,
  groups: readonly LocalityLbEndpoints[],
  over: Partial<ClusterLoadAssignment> = {},
): ClusterLoadAssignment {
  return { clusterName, endpoints: groups, overprovisioningFactor: 140, dropShare: 0, ...over };
}

const thresholds = { maxConnections: 1024, maxPendingRequests: 1024, maxRequests: 1024, maxRetries: 3 };

/** A cluster with Envoy's defaults. */
export function cluster(name: string, over: Partial<Cluster> = {}): Cluster {
  return {
    name,
    altStatName: "",
    type: "STATIC",
    edsServiceName: name,
    connectTimeoutMs: 5_000,
    lbPolicy: { kind: "ROUND_ROBIN" },
    healthyPanicThreshold: 50,
    localityWeightedLb: false,
    circuitBreakers: { default: thresholds, high: thresholds },
    http: {
      protocol: "http1",
      idleTimeoutMs: 3_600_000,
      maxRequestsPerConnection: 0,
      maxConnectionDurationMs: 0,
      maxStreamDurationMs: 0,
      properCaseHeaders: false,
      maxHeadersCount: 100,
      maxResponseHeadersKb: 80,
      enableTrailers: false,
      http2: defaultHttp2Options,
    },
    extraSourceAddresses: [],
    transportSocket: { kind: "raw_buffer" },
    transportSocketMatches: [],
    dnsRefreshRateMs: 5_000,
    respectDnsTtl: false,
    dnsLookupFamily: "AUTO",
    originalDst: { useHttpHeader: "", portOverride: 0 },
    perConnectionBufferLimitBytes: 1_048_576,
    metadata: {},
    ...over,
  };
}

/** A static cluster of `ip:port` endpoints. */
export function staticCluster(name: string, addresses: readonly string[], over: Partial<Cluster> = {}): Cluster {
  return cluster(name, { loadAssignment: assignment(name, [group(addresses.map((address) => endpoint(address)))]), ...over });
}

let versions = 0;

/** An update that sets `values` at a version never used before. */
export function setting<T extends { readonly name: string } | { readonly clusterName: string }>(
  ...values: readonly T[]
): ResourceUpdate<T> {
  const set = values.map((value): Versioned<T> => ({
    name: "name" in value ? value.name : value.clusterName,
    version: `v${++versions}`,
    value,
  }));
  return { set, removed: [] };
}

/** An update that removes names. */
export function removing<T>(...removed: readonly string[]): ResourceUpdate<T> {
  return { set: [], removed };
}

/** An update that changes nothing. */
export const unchanged: ResourceUpdate<never> = { set: [], removed: [] };

/** A context that asks for nothing special. */
export function lbContext(over: Partial<LbContext> = {}): LbContext {
  return { downstream: undefined, headers: undefined, hash: undefined, metadataMatch: {}, avoid: undefined, avoidAttempts: 0, ...over };
}

/** A connection whose destination was restored to `ip:port`. */
export function redirected(ip: string, port: number, restored = true): ConnectionInfo {
  const info = new ConnectionInfo(1, 0, 0, { ip: "10.0.0.9", port: 40_000 }, { ip: "127.0.0.1", port: 15_001 });
  info.local = { ip, port };
  info.localRestored = restored;
  return info;
}

/** Numbers in [0, 1), the same every time (mulberry32). */
export function seededRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x100000000;
  };
}
