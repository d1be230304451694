// Fields that clusters of every direction share.
import type { Json } from "../envoy-json.ts";
import type { Subset } from "../istio/destination-rule.ts";
import type { DestinationRule } from "../istio/destination-rules.ts";
import { isHttp2 } from "../registry/protocol.ts";
import type { MeshService, ServicePort } from "../registry/service.ts";

/** Istio lifts Envoy's circuit breakers unless a DestinationRule sets them. */
export const noCircuitBreakers: Json = {
  thresholds: [{ max_connections: 0xffff_ffff, max_pending_requests: 0xffff_ffff, max_requests: 0xffff_ffff, max_retries: 0xffff_ffff }],
};

const httpOptionsName = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

/** `typed_extension_protocol_options` with one entry. */
export function httpProtocolOptions(options: Json): Json {
  return { [httpOptionsName]: { "@type": `type.googleapis.com/${httpOptionsName}`, ...options } };
}

/** The upstream speaks the version of HTTP that the caller speaks. */
export const downstreamProtocol: Json = { use_downstream_protocol_config: { http_protocol_options: {}, http2_protocol_options: {} } };

/** How a cluster speaks HTTP: HTTP/2 by name, the caller's version when it was sniffed, else HTTP/1.1. */
export function upstreamProtocol(port: ServicePort): { readonly typed_extension_protocol_options?: Json } {
  if (isHttp2(port.protocol))
    return { typed_extension_protocol_options: httpProtocolOptions({ explicit_http_config: { http2_protocol_options: {} } }) };
  if (port.protocol === "AUTO") return { typed_extension_protocol_options: httpProtocolOptions(downstreamProtocol) };
  return {};
}

/** Cluster metadata: the services behind it, and the rule and subset that shaped it. */
export function clusterMetadata(services: readonly MeshService[], rule?: DestinationRule, subset?: Subset): Json {
  const { name, namespace } = rule?.meta ?? { name: "", namespace: "" };
  return {
    filter_metadata: {
      istio: {
        services: services.map((each) => ({ host: each.hostname, name: each.name, namespace: each.namespace })),
        ...(services.some((each) => each.meshExternal) ? { external: true } : {}),
        ...(rule === undefined ? {} : { config: `/apis/networking.istio.io/v1/namespaces/${namespace}/destination-rule/${name}` }),
        ...(subset === undefined ? {} : { subset: subset.name }),
      },
    },
  };
}
