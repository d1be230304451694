// TLS that ends at a gateway: which certificate it shows, what it asks of the client, and by which secrets both come.
import { extension, type Json } from "../envoy-json.ts";
import { asksForCertificate, type ServerTls, type ServerTlsVersion } from "../istio/server-tls.ts";
import type { MeshTlsParameters } from "../istio/tls-parameters.ts";
import type { MeshConfig } from "../mesh-config.ts";
import {
  authoritySecret,
  credentialSecret,
  fileAuthoritySecret,
  fileCertificateSecret,
  fileReference,
  kubernetesReference,
  trustedRoots,
  workloadCertificate,
} from "./secrets.ts";

/** The transport socket of a terminating server. */
export function gatewayTlsSocket({ tlsDefaults }: MeshConfig, tls: ServerTls, traffic: "http" | "tcp"): Json {
  const mesh = tls.mode === "ISTIO_MUTUAL";
  const protocols = ["h2", "http/1.1"];
  return extension("envoy.transport_sockets.tls", "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext", {
    common_tls_context: {
      // Istio leaves the parameters of mesh certificates to Envoy.
      ...(mesh ? {} : parameters(tls, tlsDefaults)),
      tls_certificate_sds_secret_configs: certificates(tls),
      ...(asksForCertificate(tls) ? validation(tls) : {}),
      alpn_protocols: mesh && traffic === "tcp" ? ["istio-peer-exchange", ...protocols] : protocols,
    },
    require_client_certificate: tls.mode === "MUTUAL" || mesh,
  });
}

const versions: Readonly<Record<ServerTlsVersion, string>> = {
  TLSV1_0: "TLSv1_0",
  TLSV1_1: "TLSv1_1",
  TLSV1_2: "TLSv1_2",
  TLSV1_3: "TLSv1_3",
};

function parameters(tls: ServerTls, defaults: MeshTlsParameters): Json {
  const { maxVersion } = tls;
  const minVersion = tls.minVersion ?? defaults.minVersion;
  const cipherSuites = tls.cipherSuites.length === 0 ? defaults.cipherSuites : tls.cipherSuites;
  const params = {
    ...(minVersion === undefined ? {} : { tls_minimum_protocol_version: versions[minVersion] }),
    ...(maxVersion === undefined ? {} : { tls_maximum_protocol_version: versions[maxVersion] }),
    ...(cipherSuites.length === 0 ? {} : { cipher_suites: cipherSuites }),
    ...(defaults.ecdhCurves.length === 0 ? {} : { ecdh_curves: defaults.ecdhCurves }),
  };
  return Object.keys(params).length === 0 ? {} : { tls_params: params };
}

function certificates({ mode, credentialNames, files }: ServerTls): readonly Json[] {
  if (mode === "ISTIO_MUTUAL") return [workloadCertificate];
  if (credentialNames.length > 0) return credentialNames.map((name) => kubernetesReference(credentialSecret(name)));
  return [fileReference(fileCertificateSecret(files?.certificate ?? "", files?.privateKey ?? ""))];
}

function validation(tls: ServerTls): Json {
  const { revocations = "" } = tls.files ?? {};
  const names = tls.subjectAltNames.map((name) => ({ exact: name }));
  return {
    combined_validation_context: {
      default_validation_context: {
        ...(tls.certificateSpki.length === 0 ? {} : { verify_certificate_spki: tls.certificateSpki }),
        ...(tls.certificateHash.length === 0 ? {} : { verify_certificate_hash: tls.certificateHash }),
        ...(names.length === 0 ? {} : { match_subject_alt_names: names }),
        ...(revocations === "" ? {} : { crl: { filename: revocations } }),
      },
      validation_context_sds_secret_config: authorities(tls),
    },
  };
}

function authorities({ mode, credentialNames, authorityCredential, files }: ServerTls): Json {
  if (mode === "ISTIO_MUTUAL") return trustedRoots;
  if (authorityCredential !== "") return kubernetesReference(credentialSecret(authorityCredential));
  const [credential] = credentialNames;
  if (credential !== undefined) return kubernetesReference(authoritySecret(credential));
  return fileReference(fileAuthoritySecret(files?.authorities ?? ""));
}
