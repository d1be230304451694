// route.v3.RouteConfiguration the way Istio sets it for every listener.
import type { Json } from "../envoy-json.ts";

/** A route configuration of these virtual hosts. */
export function routeConfiguration(name: string, virtualHosts: readonly Json[]): Json {
  return {
    name,
    virtual_hosts: virtualHosts,
    validate_clusters: false,
    // Istio's bound for direct responses written inline.
    max_direct_response_body_size_bytes: 1_048_576,
    ignore_port_in_host_matching: true,
  };
}
