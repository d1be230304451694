// Filter chains towards the proxy's own application. PERMISSIVE takes mesh mTLS and plaintext and passes foreign TLS on untouched,
// STRICT takes mTLS alone, DISABLE plaintext alone.
import type { Json } from "../envoy-json.ts";
import { inboundHttp, tcpProxy } from "../chain/network-filters.ts";
import type { MutualTlsMode } from "../istio/peer-authentication.ts";
import type { NodeView, OwnPort } from "../node-view.ts";
import { isHttp, isHttp2 } from "../registry/protocol.ts";
import { anyMeshAlpn, meshHttpAlpn, meshTcpAlpn, plaintextHttpAlpn } from "../tls/mesh-alpn.ts";
import { serverMutualTls } from "../tls/downstream.ts";

/** Where a set of chains leads. */
export interface ChainTarget {
  readonly cluster: string;
  readonly traffic: "http" | "http2" | "tcp" | "auto";
  readonly mode: MutualTlsMode;
  /** Prefix of the connection manager's statistics. */
  readonly statPrefix: string;
  readonly routeConfig: Json;
  /** Of the application; undefined where it may be any. */
  readonly port: number | undefined;
  /** Fields that every match of the set carries, e.g. a destination port. */
  readonly match: Json;
  /** `metadata` of every chain, or no field. */
  readonly metadata?: Json;
  readonly httpName: string;
  readonly tcpName: string;
}

/** The chains of one target, in istiod's order; matching does not depend on the order. */
export function buildInboundChains(view: NodeView, target: ChainTarget): readonly Json[] {
  const { config } = view.mesh;
  const { traffic } = target;
  const protocol = traffic === "http2" ? "http" : traffic;
  return shapes[protocol][target.mode].map(({ kind, match, terminate }): Json => ({
    filter_chain_match: { ...target.match, ...match },
    filters:
      kind === "http"
        ? [inboundHttp(view, target.port, target.statPrefix, target.routeConfig, traffic === "http2")]
        : [...view.security.tcp, tcpProxy(config, target.cluster)],
    ...(terminate ? { transport_socket: serverMutualTls(config, kind) } : {}),
    ...(target.metadata === undefined ? {} : { metadata: target.metadata }),
    name: kind === "http" ? target.httpName : target.tcpName,
  }));
}

/** What one chain takes, and what becomes of it. */
interface ChainShape {
  readonly kind: "http" | "tcp";
  readonly match: Json;
  /** Ends mTLS here. */
  readonly terminate: boolean;
}

const mutual = (kind: ChainShape["kind"], alpn?: readonly string[]): ChainShape => ({
  kind,
  match: matching("tls", alpn),
  terminate: true,
});
const plain = (kind: ChainShape["kind"], alpn?: readonly string[]): ChainShape => ({
  kind,
  match: matching("raw_buffer", alpn),
  terminate: false,
});
const foreignTls: ChainShape = { kind: "tcp", match: matching("tls"), terminate: false };

function matching(transport: "tls" | "raw_buffer", alpn?: readonly string[]): Json {
  return { transport_protocol: transport, ...(alpn === undefined ? {} : { application_protocols: alpn }) };
}

// A port that takes nothing but mTLS asks for no mesh protocol: whoever has no certificate of the mesh fails the handshake.
const shapes: Readonly<Record<"http" | "tcp" | "auto", Readonly<Record<MutualTlsMode, readonly ChainShape[]>>>> = {
  http: {
    STRICT: [mutual("http")],
    PERMISSIVE: [mutual("http", anyMeshAlpn), plain("http")],
    DISABLE: [plain("http")],
  },
  tcp: {
    STRICT: [mutual("tcp")],
    PERMISSIVE: [mutual("tcp", anyMeshAlpn), foreignTls, plain("tcp")],
    DISABLE: [plain("tcp")],
  },
  auto: {
    STRICT: [mutual("http", meshHttpAlpn), mutual("tcp")],
    PERMISSIVE: [mutual("http", meshHttpAlpn), plain("http", plaintextHttpAlpn), mutual("tcp", meshTcpAlpn), plain("tcp"), foreignTls],
    DISABLE: [plain("http", plaintextHttpAlpn), plain("tcp")],
  },
};

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
