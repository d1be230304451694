// Envoy endpoint.v3.ClusterLoadAssignment, narrowed.
import { decodeAddress, decodeIpSocketAddress, decodeMetadata } from "../address.ts";
import type { Decoder } from "../decode/cursor.ts";
import { message } from "../decode/message.ts";
import { decodeFractionalPercent } from "../percent.ts";
import { bool, enumeration, integer, list, nonEmpty, port, text, uint32 } from "../decode/scalars.ts";
import type { Address, Metadata, SocketAddress } from "../address.ts";

/** core.v3.Locality; empty strings where not given. */
export interface Locality {
  readonly region: string;
  readonly zone: string;
  readonly subZone: string;
}

/** core.v3.HealthStatus. UNKNOWN counts as healthy. */
export type HealthStatus = "UNKNOWN" | "HEALTHY" | "UNHEALTHY" | "DRAINING" | "TIMEOUT" | "DEGRADED";

/** endpoint.v3.Endpoint.HealthCheckConfig. */
export interface EndpointHealthCheck {
  /** Asked in place of the endpoint's port; 0 = the check's own. */
  readonly port: number;
  /** The host that checks name; empty = the check's own. */
  readonly hostname: string;
  /** Asked in place of the endpoint's address. */
  readonly address: Address | undefined;
  /** The host counts as well without being asked. */
  readonly disabled: boolean;
}

/** endpoint.v3.LbEndpoint. */
export interface LbEndpoint {
  readonly address: Address;
  /** Endpoint.additional_addresses: tried in turn when the address before does not connect. */
  readonly additionalAddresses: readonly SocketAddress[];
  /** Endpoint.hostname, for auto host rewrite and health checks. */
  readonly hostname: string;
  /** Endpoint.health_check_config, where it changes anything. */
  readonly healthCheck?: EndpointHealthCheck;
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

/** core.v3.Locality. */
export const decodeLocality: Decoder<Locality> = message("envoy.config.core.v3.Locality", (m) => ({
  region: m.field("region", text, ""),
  zone: m.field("zone", text, ""),
  subZone: m.field("sub_zone", text, ""),
}));

/** Where no locality is given. */
export const noLocality: Locality = { region: "", zone: "", subZone: "" };

/** core.v3.HealthStatus. */
export const healthStatus = enumeration({ UNKNOWN: 0, HEALTHY: 1, UNHEALTHY: 2, DRAINING: 3, TIMEOUT: 4, DEGRADED: 5 });
const weight = integer(1, 0xffff_ffff);

const decodeAdditionalAddress = message("envoy.config.endpoint.v3.Endpoint.AdditionalAddress", (m) =>
  m.required("address", decodeIpSocketAddress),
);

const decodeHealthCheckConfig = message("envoy.config.endpoint.v3.Endpoint.HealthCheckConfig", (m): EndpointHealthCheck => ({
  port: m.field("port_value", port, 0),
  hostname: m.field("hostname", text, ""),
  address: m.field("address", decodeAddress, undefined),
  disabled: m.field("disable_active_health_check", bool, false),
}));

const decodeEndpoint = message("envoy.config.endpoint.v3.Endpoint", (m) => ({
  address: m.required("address", decodeAddress),
  additionalAddresses: m.field("additional_addresses", list(decodeAdditionalAddress), []),
  hostname: m.field("hostname", text, ""),
  ...m.maybe("healthCheck", "health_check_config", decodeHealthCheckConfig),
}));

const decodeLbEndpoint: Decoder<LbEndpoint> = message("envoy.config.endpoint.v3.LbEndpoint", (m) => {
  m.refuse("named endpoints; give endpoint", "endpoint_name");
  return {
    ...m.required("endpoint", decodeEndpoint),
    healthStatus: m.field("health_status", healthStatus, "UNKNOWN"),
    weight: m.field("load_balancing_weight", weight, 1),
    metadata: m.field("metadata", decodeMetadata, {}),
  };
});

const decodeLocalityEndpoints: Decoder<LocalityLbEndpoints> = message("envoy.config.endpoint.v3.LocalityLbEndpoints", (m) => {
  m.accept("metadata");
  m.refuse("LEDS; give lb_endpoints", "leds_cluster_locality_config", "load_balancer_endpoints");
  return {
    locality: m.field("locality", decodeLocality, noLocality),
    endpoints: m.field("lb_endpoints", list(decodeLbEndpoint), []),
    weight: m.field("load_balancing_weight", weight, 0),
    priority: m.field("priority", integer(0, 128), 0),
  };
});

const decodeDrop = message("envoy.config.endpoint.v3.ClusterLoadAssignment.Policy.DropOverload", (m) => {
  m.required("category", nonEmpty);
  return m.field("drop_percentage", decodeFractionalPercent, 0);
});

const decodePolicy = message("envoy.config.endpoint.v3.ClusterLoadAssignment.Policy", (m) => ({
  overprovisioningFactor: m.field("overprovisioning_factor", uint32, 140),
  // Envoy accepts one category only.
  dropShare: m.field("drop_overloads", list(decodeDrop, { max: 1 }), [])[0] ?? 0,
}));

/** endpoint.v3.ClusterLoadAssignment. */
export const decodeClusterLoadAssignment: Decoder<ClusterLoadAssignment> = message(
  "envoy.config.endpoint.v3.ClusterLoadAssignment",
  (m) => {
    m.refuse("named endpoints", "named_endpoints");
    const clusterName = m.required("cluster_name", nonEmpty);
    const endpoints = m.field("endpoints", list(decodeLocalityEndpoints), []);
    const highest = Math.max(0, ...endpoints.map((group) => group.priority));
    const used = new Set(endpoints.map((group) => group.priority));
    for (let priority = 0; priority < highest; priority++) {
      if (!used.has(priority)) m.at.error(`priority ${highest} is used, but priority ${priority} is not`, "endpoints");
    }
    return { clusterName, endpoints, ...m.field("policy", decodePolicy, { overprovisioningFactor: 140, dropShare: 0 }) };
  },
);
