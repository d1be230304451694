// Server-side mTLS of inbound filter chains.
import { extension, type Json } from "../envoy-json.ts";
import type { MeshConfig } from "../mesh-config.ts";
import { trustedRoots, workloadCertificate } from "./secrets.ts";

// Istio's list for the server side; the last two are for old clients without forward secrecy.
const defaultCipherSuites: readonly string[] = [
  "ECDHE-ECDSA-AES256-GCM-SHA384",
  "ECDHE-RSA-AES256-GCM-SHA384",
  "ECDHE-ECDSA-AES128-GCM-SHA256",
  "ECDHE-RSA-AES128-GCM-SHA256",
  "AES256-GCM-SHA384",
  "AES128-GCM-SHA256",
];

/** Terminates mesh mTLS; the peer must show a certificate of a trusted domain. */
export function serverMutualTls(config: MeshConfig, traffic: "http" | "tcp"): Json {
  const domains = [config.trustDomain, ...config.trustDomainAliases];
  return extension("envoy.transport_sockets.tls", "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext", {
    common_tls_context: {
      tls_params: {
        tls_minimum_protocol_version: config.meshMtls.minVersion === "TLSV1_3" ? "TLSv1_3" : "TLSv1_2",
        tls_maximum_protocol_version: "TLSv1_3",
        cipher_suites: config.meshMtls.cipherSuites.length === 0 ? defaultCipherSuites : config.meshMtls.cipherSuites,
      },
      tls_certificate_sds_secret_configs: [workloadCertificate],
      combined_validation_context: {
        default_validation_context: { match_subject_alt_names: domains.map((domain) => ({ prefix: `spiffe://${domain}/` })) },
        validation_context_sds_secret_config: trustedRoots,
      },
      alpn_protocols: traffic === "http" ? ["h2", "http/1.1"] : ["istio-peer-exchange", "h2", "http/1.1"],
    },
    require_client_certificate: true,
  });
}
