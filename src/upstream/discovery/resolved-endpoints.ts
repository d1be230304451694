// An assignment's endpoints flattened to what hosts are made of.
import type { Address } from "../../envoy/address.ts";
import type { ClusterLoadAssignment, HealthStatus, LbEndpoint, LocalityLbEndpoints } from "../../envoy/cluster/endpoint.ts";
import { formatAddress } from "../host.ts";
import type { ResolvedEndpoint } from "../host.ts";
import type { HostHealth } from "../lb/balancer.ts";

const healthOf: Readonly<Record<HealthStatus, HostHealth>> = {
  UNKNOWN: "healthy",
  HEALTHY: "healthy",
  DEGRADED: "degraded",
  UNHEALTHY: "unhealthy",
  DRAINING: "unhealthy",
  TIMEOUT: "unhealthy",
};

/** All endpoints of an assignment at their own addresses. */
export function flattenAssignment(assignment: ClusterLoadAssignment | undefined): readonly ResolvedEndpoint[] {
  return (assignment?.endpoints ?? []).flatMap((group) =>
    group.endpoints.map((endpoint) => resolveEndpoint(group, endpoint, endpoint.address)),
  );
}

/** One endpoint at `address`, which a name lookup may have found. */
export function resolveEndpoint(
  group: LocalityLbEndpoints,
  endpoint: LbEndpoint,
  address: Address,
  hostname = endpoint.hostname,
): ResolvedEndpoint {
  return {
    address,
    addressText: formatAddress(address),
    // What a lookup found stands by itself.
    additionalAddresses: address === endpoint.address ? endpoint.additionalAddresses : [],
    hostname,
    weight: Math.max(1, endpoint.weight),
    priority: group.priority,
    locality: group.locality,
    localityWeight: group.weight,
    metadata: endpoint.metadata,
    health: healthOf[endpoint.healthStatus],
    status: endpoint.healthStatus,
    ...(endpoint.healthCheck && { healthCheckConfig: endpoint.healthCheck }),
  };
}
