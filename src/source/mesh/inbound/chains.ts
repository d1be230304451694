// Filter chains towards the proxy's own application, PERMISSIVE: mesh mTLS, plaintext, and foreign TLS passed on untouched.
import type { Json } from "../envoy-json.ts";
import { inboundHttp, tcpProxy } from "../chain/network-filters.ts";
import type { MeshConfig } from "../mesh-config.ts";
import type { OwnPort } from "../node-view.ts";
import { isHttp, isHttp2 } from "../registry/protocol.ts";
import { anyMeshAlpn, meshHttpAlpn, meshTcpAlpn, plaintextHttpAlpn } from "../tls/mesh-alpn.ts";
import { serverMutualTls } from "../tls/downstream.ts";

/** Where a set of chains leads. */
export interface ChainTarget {
  readonly cluster: string;
  readonly traffic: "http" | "http2" | "tcp" | "auto";
  /** Prefix of the connection manager's statistics. */
  readonly statPrefix: string;
  readonly routeConfig: Json;
  /** Fields that every match of the set carries, e.g. a destination port. */
  readonly match: Json;
  /** `metadata` of every chain, or no field. */
  readonly metadata?: Json;
  readonly httpName: string;
  readonly tcpName: string;
}

const tls = "tls";
const raw = "raw_buffer";

/** The chains of one target, in istiod's order; matching does not depend on the order. */
export function buildInboundChains(config: MeshConfig, target: ChainTarget): readonly Json[] {
  const chain = (kind: "http" | "tcp", match: Json, terminate: boolean): Json => ({
    filter_chain_match: { ...target.match, ...match },
    filters: [
      kind === "http"
        ? inboundHttp(config, target.statPrefix, target.routeConfig, target.traffic === "http2")
        : tcpProxy(config, target.cluster),
    ],
    ...(terminate ? { transport_socket: serverMutualTls(config, kind) } : {}),
    ...(target.metadata === undefined ? {} : { metadata: target.metadata }),
    name: kind === "http" ? target.httpName : target.tcpName,
  });
  const withAlpn = (transport: string, alpn: readonly string[]): Json => ({ transport_protocol: transport, application_protocols: alpn });
  switch (target.traffic) {
    case "http":
    case "http2":
      return [chain("http", withAlpn(tls, anyMeshAlpn), true), chain("http", { transport_protocol: raw }, false)];
    case "tcp":
      return [
        chain("tcp", withAlpn(tls, anyMeshAlpn), true),
        chain("tcp", { transport_protocol: tls }, false),
        chain("tcp", { transport_protocol: raw }, false),
      ];
    case "auto":
      return [
        chain("http", withAlpn(tls, meshHttpAlpn), true),
        chain("http", withAlpn(raw, plaintextHttpAlpn), false),
        chain("tcp", withAlpn(tls, meshTcpAlpn), true),
        chain("tcp", { transport_protocol: raw }, false),
        chain("tcp", { transport_protocol: tls }, false),
      ];
  }
}

/** What an own port speaks. */
export function trafficOf(own: OwnPort): ChainTarget["traffic"] {
  const { protocol } = own.port;
  if (isHttp(protocol)) return isHttp2(protocol) ? "http2" : "http";
  return protocol === "AUTO" ? "auto" : "tcp";
}

/** The route configuration in front of an application: one route to one cluster. gRPC callers retry by themselves, so it does not. */
export function inboundRoutes(cluster: string, port: number, operation: string, retries = true): Json {
  return {
    name: cluster,
    virtual_hosts: [
      {
        name: `inbound|http|${port}`,
        domains: ["*"],
        routes: [
          {
            name: "default",
            match: { prefix: "/" },
            route: {
              cluster,
              timeout: "0s",
              // Safe for any method: a request reset before it was sent has not been seen by the application.
              ...(retries ? { retry_policy: { retry_on: "reset-before-request", num_retries: 2 } } : {}),
              max_stream_duration: { max_stream_duration: "0s", grpc_timeout_header_max: "0s" },
            },
            decorator: { operation },
          },
        ],
      },
    ],
    validate_clusters: false,
  };
}
