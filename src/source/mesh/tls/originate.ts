// Client-side TLS as a DestinationRule asks for it, with certificates from files or Secrets: modes SIMPLE and MUTUAL.
import { extension, type Json } from "../envoy-json.ts";
import type { ClientTlsSettings } from "../istio/client-tls.ts";
import type { MeshConfig } from "../mesh-config.ts";
import {
  authoritySecret,
  credentialSecret,
  fileAuthoritySecret,
  fileCertificateSecret,
  fileReference,
  kubernetesReference,
} from "./secrets.ts";

/** What TLS to a host needs to know beside the rule. */
export interface OriginatedTarget {
  /** Names that a ServiceEntry says its servers have, for a rule that names none. */
  readonly names: readonly string[];
  /** The cluster speaks HTTP/2, so that is offered. */
  readonly http2: boolean;
}

/** The transport socket of a cluster. */
export function originatedTlsSocket({ tlsDefaults }: MeshConfig, tls: ClientTlsSettings, target: OriginatedTarget): Json {
  return extension("envoy.transport_sockets.tls", "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext", {
    common_tls_context: {
      tls_params: {
        tls_minimum_protocol_version: "TLSv1_2",
        tls_maximum_protocol_version: "TLSv1_3",
        ...(tlsDefaults.cipherSuites.length === 0 ? {} : { cipher_suites: tlsDefaults.cipherSuites }),
        ...(tlsDefaults.ecdhCurves.length === 0 ? {} : { ecdh_curves: tlsDefaults.ecdhCurves }),
      },
      ...(tls.mode === "MUTUAL" ? { tls_certificate_sds_secret_configs: [clientCertificate(tls)] } : {}),
      ...validation(tls, target.names),
      ...(target.http2 ? { alpn_protocols: ["h2"] } : {}),
    },
    ...(tls.sni === "" ? {} : { sni: tls.sni }),
  });
}

/** How the server's name follows each request where the rule gives none; undefined where it gives one. */
export function nameByRequest({ sni, subjectAltNames, insecureSkipVerify }: ClientTlsSettings): Json | undefined {
  if (sni !== "") return undefined;
  return { auto_sni: true, ...(subjectAltNames.length === 0 && !insecureSkipVerify ? { auto_san_validation: true } : {}) };
}

function clientCertificate({ credentialName, clientCertificate: certificate, privateKey }: ClientTlsSettings): Json {
  return credentialName === ""
    ? fileReference(fileCertificateSecret(certificate, privateKey))
    : kubernetesReference(credentialSecret(credentialName));
}

function validation(tls: ClientTlsSettings, serviceNames: readonly string[]): Json {
  const { credentialName, caCertificates, caCrl, insecureSkipVerify, subjectAltNames } = tls;
  // An empty context asks for nothing; with a certificate from a Secret istiod leaves it out.
  if (insecureSkipVerify) return credentialName === "" ? { validation_context: {} } : {};
  const names = (subjectAltNames.length === 0 ? serviceNames : subjectAltNames).map((name) => ({ exact: name }));
  return {
    combined_validation_context: {
      default_validation_context: {
        ...(names.length === 0 ? {} : { match_subject_alt_names: names }),
        ...(caCrl === "" ? {} : { crl: { filename: caCrl } }),
      },
      validation_context_sds_secret_config:
        credentialName === ""
          ? fileReference(fileAuthoritySecret(caCertificates === "" ? "system" : caCertificates))
          : kubernetesReference(authoritySecret(credentialName)),
    },
  };
}
