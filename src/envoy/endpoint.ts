// Envoy endpoint.v3.ClusterLoadAssignment, narrowed.
import type { Address, Metadata } from "./address.ts";

/** core.v3.Locality; empty strings where not given. */
export interface Locality {
  readonly region: string;
  readonly zone: string;
  readonly subZone: string;
}

/** core.v3.HealthStatus. UNKNOWN counts as healthy. */
export type HealthStatus = "UNKNOWN" | "HEALTHY" | "UNHEALTHY" | "DRAINING" | "TIMEOUT" | "DEGRADED";

/** endpoint.v3.LbEndpoint. */
export interface LbEndpoint {
  readonly address: Address;
  /** Endpoint.hostname, for auto host rewrite and health checks. */
  readonly hostname: string;
  readonly healthStatus: HealthStatus;
  /** Default 1. */
  readonly weight: number;
  readonly metadata: Metadata;
}

/** endpoint.v3.LocalityLbEndpoints. */
export interface LocalityLbEndpoints {
  readonly locality: Locality;
  readonly endpoints: readonly LbEndpoint[];
  /** load_balancing_weight of the locality; 0 = not given. */
  readonly weight: number;
  readonly priority: number;
}

/** endpoint.v3.ClusterLoadAssignment. */
export interface ClusterLoadAssignment {
  readonly clusterName: string;
  readonly endpoints: readonly LocalityLbEndpoints[];
  /** Percent, default 140. */
  readonly overprovisioningFactor: number;
  /** drop_overloads summed to a share of 0..1. */
  readonly dropShare: number;
}
