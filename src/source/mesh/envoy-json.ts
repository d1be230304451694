// The shape of what a translation yields: Envoy v3 resources as plain JSON, in istiod's words, and the pieces all share.

/** A resource or a part of one. */
export type Json = { readonly [key: string]: unknown };

/** Resources of one type, as istiod answers a request for it. */
export interface ResourceList {
  readonly type_url: string;
  readonly resources: readonly Json[];
}

/** Everything one node is served. */
export interface Translation {
  readonly cds: ResourceList;
  readonly eds: ResourceList;
  readonly lds: ResourceList;
  readonly rds: ResourceList;
  /** One unnamed name table, or nothing for a node that captures no DNS. */
  readonly nds: ResourceList;
}

/** Type URLs by discovery service. */
export const typeUrls = {
  cds: "type.googleapis.com/envoy.config.cluster.v3.Cluster",
  eds: "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
  lds: "type.googleapis.com/envoy.config.listener.v3.Listener",
  rds: "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
  nds: "type.googleapis.com/istio.networking.nds.v1.NameTable",
} as const;

/** A named extension with its packed config. */
export function extension(name: string, type: string, config: Json = {}): Json {
  return { name, typed_config: { "@type": `type.googleapis.com/${type}`, ...config } };
}

/** core.v3.Address of an IP address (or, for DNS clusters, a host name) and port. */
export function socketAddress(address: string, port: number): Json {
  return { socket_address: { address, port_value: port } };
}

/** A config source that says: from the same stream. */
export const adsSource: Json = { ads: {}, initial_fetch_timeout: "0s", resource_api_version: "V3" };
