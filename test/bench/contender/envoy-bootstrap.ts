// One Envoy v3 bootstrap with a listener for each kind of traffic. isthmus and Envoy run the very same document.
import type { Traffic } from "../benchmark.ts";
import type { MeshCertificate } from "../load/messages.ts";
import { serverName } from "../load/payload.ts";
import type { PortPair } from "./contender.ts";
import { sidecarClusters, sidecarConnectionManager } from "./sidecar-chain.ts";

const extension = "type.googleapis.com/envoy.extensions.filters";

/** Builds the bootstrap as plain JSON; access logs go to `folder`. */
export function envoyBootstrap(folder: string, ports: Readonly<Record<Traffic, PortPair>>, mesh: MeshCertificate): unknown {
  const transport_socket = mutualTls(mesh);
  return {
    static_resources: {
      listeners: [
        listener("http1", ports.http1.listen, [{ filters: [httpConnectionManager("http1")] }]),
        listener("tcp-rtt", ports["tcp-rtt"].listen, [{ filters: [tcpProxy("tcp-rtt")] }]),
        listener("tcp-bulk", ports["tcp-bulk"].listen, [{ filters: [tcpProxy("tcp-bulk")] }]),
        {
          ...listener("sni-bulk", ports["sni-bulk"].listen, [
            { filter_chain_match: { server_names: [serverName] }, filters: [tcpProxy("sni-bulk")] },
          ]),
          listener_filters: [
            {
              name: "envoy.filters.listener.tls_inspector",
              typed_config: { "@type": `${extension}.listener.tls_inspector.v3.TlsInspector` },
            },
          ],
        },
        listener("tls-request", ports["tls-request"].listen, [{ transport_socket, filters: [httpConnectionManager("tls-request")] }]),
        listener("tls-handshake", ports["tls-handshake"].listen, [{ transport_socket, filters: [httpConnectionManager("tls-handshake")] }]),
        listener("tls-download", ports["tls-download"].listen, [{ transport_socket, filters: [tcpProxy("tls-download")] }]),
        listener("tls-upload", ports["tls-upload"].listen, [{ transport_socket, filters: [tcpProxy("tls-upload")] }]),
        listener("http-chain", ports["http-chain"].listen, [{ filters: [sidecarConnectionManager(folder)] }]),
        listener("http2", ports.http2.listen, [{ filters: [httpConnectionManager("http2", "HTTP2")] }]),
        listener("grpc", ports.grpc.listen, [{ filters: [httpConnectionManager("grpc", "HTTP2")] }]),
      ],
      clusters: [...plainClusters(ports), ...sidecarClusters(ports["http-chain"])],
    },
  };
}

function plainClusters(ports: Readonly<Record<Traffic, PortPair>>): unknown[] {
  return Object.entries(ports).map(([name, { upstream }]) => ({
    name,
    type: "STATIC",
    connect_timeout: "5s",
    // A run opens all of its connections at once; the default limits are for another kind of test.
    circuit_breakers: { thresholds: [{ max_connections: 4096, max_pending_requests: 4096, max_requests: 4096 }] },
    load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: [{ endpoint: { address: address(upstream) } }] }] },
    ...(name === "http2" || name === "grpc" ? explicitHttp2 : {}),
  }));
}

const explicitHttp2 = {
  typed_extension_protocol_options: {
    "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
      "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
      explicit_http_config: { http2_protocol_options: {} },
    },
  },
};

function listener(name: string, port: number, filterChains: readonly unknown[]): Record<string, unknown> {
  return { name, address: address(port), filter_chains: filterChains };
}

function address(port: number): unknown {
  return { socket_address: { address: "127.0.0.1", port_value: port } };
}

function mutualTls({ certificate, key, root }: MeshCertificate): unknown {
  return {
    name: "envoy.transport_sockets.tls",
    typed_config: {
      "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
      require_client_certificate: true,
      common_tls_context: {
        tls_params: { tls_minimum_protocol_version: "TLSv1_3", tls_maximum_protocol_version: "TLSv1_3" },
        tls_certificates: [{ certificate_chain: { inline_string: certificate }, private_key: { inline_string: key } }],
        validation_context: { trusted_ca: { inline_string: root } },
      },
    },
  };
}

function tcpProxy(cluster: string): unknown {
  return {
    name: "envoy.filters.network.tcp_proxy",
    typed_config: { "@type": `${extension}.network.tcp_proxy.v3.TcpProxy`, stat_prefix: cluster, cluster },
  };
}

function httpConnectionManager(cluster: string, codec: "HTTP1" | "HTTP2" = "HTTP1"): unknown {
  return {
    name: "envoy.filters.network.http_connection_manager",
    typed_config: {
      "@type": `${extension}.network.http_connection_manager.v3.HttpConnectionManager`,
      stat_prefix: cluster,
      codec_type: codec,
      route_config: {
        name: cluster,
        virtual_hosts: [{ name: "all", domains: ["*"], routes: [{ match: { prefix: "/" }, route: { cluster } }] }],
      },
      http_filters: [{ name: "envoy.filters.http.router", typed_config: { "@type": `${extension}.http.router.v3.Router` } }],
    },
  };
}
