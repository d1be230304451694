// Fields that clusters of every direction share.
import type { Json } from "../envoy-json.ts";
import type { Subset } from "../istio/destination-rule.ts";
import type { ConnectionPool } from "../istio/connection-pool.ts";
import type { DestinationRule } from "../istio/destination-rules.ts";
import { commonHttpOptions } from "../policy/connection-pool.ts";
import { isHttp2 } from "../registry/protocol.ts";
import type { MeshService, ServicePort } from "../registry/service.ts";

const httpOptionsName = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

/** `typed_extension_protocol_options` with one entry. */
export function httpProtocolOptions(options: Json): Json {
  return { [httpOptionsName]: { "@type": `type.googleapis.com/${httpOptionsName}`, ...options } };
}

/** The upstream speaks the version of HTTP that the caller speaks. */
export const downstreamProtocol: Json = { use_downstream_protocol_config: { http_protocol_options: {}, http2_protocol_options: {} } };

/** Who calls, as far as the protocol of a cluster depends on it. */
export interface ProtocolCaller {
  readonly upgrades: boolean;
  /** A gateway does not sniff, so at a port whose protocol is open it has no caller's version to follow. */
  readonly sniffs: boolean;
}

/** True when a cluster speaks HTTP/2 whatever its caller speaks: by its port's name, or because HTTP/1.1 is upgraded. */
export function speaksHttp2(port: ServicePort, pool: ConnectionPool | undefined, caller: ProtocolCaller): boolean {
  if (pool?.useClientProtocol) return false;
  if (isHttp2(port.protocol)) return true;
  if (port.protocol === "AUTO" && caller.sniffs) return false;
  // A rule's word counts at every port, the mesh's only where HTTP is spoken by name.
  return pool?.h2Upgrade ?? (caller.upgrades && port.protocol === "HTTP");
}

/** How a cluster of other services speaks HTTP; undefined for HTTP/1.1. */
export function outboundProtocol(port: ServicePort, pool: ConnectionPool | undefined, caller: ProtocolCaller): Json | undefined {
  if (speaksHttp2(port, pool, caller)) return explicitHttp2(pool);
  return pool?.useClientProtocol || (port.protocol === "AUTO" && caller.sniffs) ? downstreamProtocol : undefined;
}

/** How the cluster of an own port speaks HTTP: nothing is upgraded here. */
export function inboundProtocol(port: ServicePort, pool: ConnectionPool | undefined): Json | undefined {
  if (pool?.useClientProtocol || port.protocol === "AUTO") return downstreamProtocol;
  return isHttp2(port.protocol) ? explicitHttp2(pool) : undefined;
}

function explicitHttp2(pool: ConnectionPool | undefined): Json {
  const streams = pool?.maxConcurrentStreams ?? 0;
  return { explicit_http_config: { http2_protocol_options: streams === 0 ? {} : { max_concurrent_streams: streams } } };
}

/**
 * The options of a cluster that speaks `protocol`, with what its pool says about HTTP connections.
 * @param byRequest how the server's name follows the request
 */
export function protocolFields(protocol: Json | undefined, pool: ConnectionPool | undefined, byRequest?: Json): Json {
  const common = commonHttpOptions(pool);
  if (protocol === undefined && common === undefined && byRequest === undefined) return {};
  const options = {
    ...(common === undefined ? {} : { common_http_protocol_options: common }),
    ...(byRequest === undefined ? {} : { upstream_http_protocol_options: byRequest }),
    // Envoy asks for a protocol beside any other option.
    ...(protocol ?? { explicit_http_config: { http_protocol_options: {} } }),
  };
  return { typed_extension_protocol_options: httpProtocolOptions(options) };
}

/**
 * Cluster metadata: the services behind it, and the rule and subset that shaped it.
 * @param ownTls the rule asks for TLS that is not the mesh's, so the protocols of the mesh are not offered
 */
export function clusterMetadata(services: readonly MeshService[], rule?: DestinationRule, subset?: Subset, ownTls = false): Json {
  const { name, namespace } = rule?.meta ?? { name: "", namespace: "" };
  return {
    filter_metadata: {
      istio: {
        services: services.map((each) => ({ host: each.hostname, name: each.name, namespace: each.namespace })),
        ...(subset === undefined && services.some((each) => each.meshExternal) ? { external: true } : {}),
        ...(ownTls ? { alpn_override: "false" } : {}),
        ...(rule === undefined ? {} : { config: `/apis/networking.istio.io/v1/namespaces/${namespace}/destination-rule/${name}` }),
        ...(subset === undefined ? {} : { subset: subset.name }),
      },
    },
  };
}
