// A cluster as plain data for admin views. A copy: reading it never disturbs the data path.
import type { Cluster, CircuitBreakerThresholds } from "../envoy/cluster/cluster.ts";
import type { Locality } from "../envoy/cluster/endpoint.ts";
import type { CircuitBreakers } from "./circuit-breakers.ts";
import type { UpstreamHost } from "./host.ts";
import type { HostHealth } from "./lb/balancer.ts";
import type { ManagedCluster } from "./managed-cluster.ts";

/** Flags of active health checking, by Envoy's names. */
export interface ActiveHealthDescription {
  readonly failed: boolean;
  readonly degraded: boolean;
  readonly pending: boolean;
  readonly excluded: boolean;
  readonly timedOut: boolean;
}

/** What is in use of the resources that circuit breakers limit. */
export interface ResourceCounts {
  readonly connections: number;
  readonly pendingRequests: number;
  readonly requests: number;
  readonly retries: number;
}

/** One host of a cluster. */
export interface HostDescription {
  /** `ip:port` or a path. */
  readonly address: string;
  readonly hostname: string;
  /** By its endpoint's status. */
  readonly health: HostHealth;
  /** Ejected by outlier detection. */
  readonly failedOutlierCheck: boolean;
  /** What active health checks found; absent without them. */
  readonly activeHealth?: ActiveHealthDescription;
  /** Left the assignment, but passes its health checks. */
  readonly pendingRemoval: boolean;
  readonly weight: number;
  readonly priority: number;
  readonly locality: Locality;
  readonly cxTotal: number;
  readonly cxActive: number;
  readonly cxConnectFail: number;
  readonly rqActive: number;
  /** Reached over TLS. */
  readonly tls: boolean;
  /** Why the last attempt to connect failed; absent when it did not. */
  readonly lastFailure?: string;
}

/** One cluster. */
export interface ClusterDescription {
  readonly name: string;
  readonly type: Cluster["type"];
  readonly edsServiceName: string;
  readonly lbPolicy: Cluster["lbPolicy"]["kind"];
  readonly circuitBreakers: Readonly<Record<"default" | "high", CircuitBreakerThresholds>>;
  readonly resources: Readonly<Record<"default" | "high", ResourceCounts>>;
  readonly hosts: readonly HostDescription[];
}

/** Describes a cluster as it is now. */
export function describeCluster(cluster: ManagedCluster): ClusterDescription {
  const { model, resources } = cluster;
  return {
    name: cluster.name,
    type: model.type,
    edsServiceName: model.edsServiceName,
    lbPolicy: model.lbPolicy.kind,
    circuitBreakers: model.circuitBreakers,
    resources: { default: countsOf(resources.default), high: countsOf(resources.high) },
    hosts: cluster.hosts().map(describeHost),
  };
}

function describeHealth({ failed, degraded, pending, excluded, timedOut }: ActiveHealthDescription): ActiveHealthDescription {
  return { failed, degraded, pending, excluded, timedOut };
}

function describeHost(host: UpstreamHost): HostDescription {
  const { hostname, weight, priority, locality, counts } = host;
  return {
    address: host.addressText,
    hostname,
    health: host.assignedHealth,
    failedOutlierCheck: host.ejected,
    ...(host.activeHealth && { activeHealth: describeHealth(host.activeHealth) }),
    pendingRemoval: host.pendingRemoval,
    weight,
    priority,
    locality,
    ...counts,
    rqActive: host.activeRequests,
    tls: host.transport.tls !== undefined,
    ...(host.lastFailure === undefined ? {} : { lastFailure: host.lastFailure }),
  };
}

function countsOf({ connections, pendingRequests, requests, retries }: CircuitBreakers): ResourceCounts {
  return { connections: connections.count, pendingRequests: pendingRequests.count, requests: requests.count, retries: retries.count };
}
