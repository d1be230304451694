// Client-side TLS of outbound clusters: mesh mTLS where the endpoint takes it, or always, or never.
import { extension, type Json } from "../envoy-json.ts";
import { meshTcpAlpn } from "./mesh-alpn.ts";
import { trustedRoots, workloadCertificate } from "./secrets.ts";

/** What mesh mTLS to a service needs to know. */
export interface MutualTlsTarget {
  readonly sni: string;
  /** SPIFFE ids the peer may have; none accepts every workload of the trusted roots. */
  readonly identities: readonly string[];
  /** The cluster speaks HTTP/2, so h2 is offered as well. */
  readonly http2: boolean;
}

/** Mesh mTLS as the cluster's transport socket. */
export function mutualTlsSocket(target: MutualTlsTarget): Json {
  return extension("envoy.transport_sockets.tls", "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext", {
    common_tls_context: {
      tls_params: { tls_minimum_protocol_version: "TLSv1_2", tls_maximum_protocol_version: "TLSv1_3" },
      tls_certificate_sds_secret_configs: [workloadCertificate],
      combined_validation_context: {
        default_validation_context:
          target.identities.length === 0 ? {} : { match_subject_alt_names: target.identities.map((identity) => ({ exact: identity })) },
        validation_context_sds_secret_config: trustedRoots,
      },
      alpn_protocols: target.http2 ? [...meshTcpAlpn, "h2"] : meshTcpAlpn,
    },
    sni: target.sni,
  });
}

/** Auto mTLS: the endpoint's own metadata decides, connection by connection. */
export function autoMutualTls(target: MutualTlsTarget): readonly Json[] {
  return [
    { name: "tlsMode-istio", match: { tlsMode: "istio" }, transport_socket: mutualTlsSocket(target) },
    {
      name: "tlsMode-disabled",
      match: {},
      transport_socket: extension("envoy.transport_sockets.raw_buffer", "envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer"),
    },
  ];
}
