// References to certificates and roots, as istiod writes them: SDS by name, from the agent for the workload's own and for files,
// from the control plane for Kubernetes Secrets.
import type { Json } from "../envoy-json.ts";

const agentApi: Json = {
  api_config_source: {
    api_type: "GRPC",
    transport_api_version: "V3",
    grpc_services: [{ envoy_grpc: { cluster_name: "sds-grpc" } }],
    set_node_on_first_message_only: true,
  },
};
const fromAgent: Json = { ...agentApi, initial_fetch_timeout: "0s", resource_api_version: "V3" };
const filesFromAgent: Json = { ...agentApi, resource_api_version: "V3" };
const fromControlPlane: Json = { ads: {}, resource_api_version: "V3" };

/** The workload certificate, secret `default`. */
export const workloadCertificate: Json = { name: "default", sds_config: fromAgent };

/** The trusted roots, secret `ROOTCA`. */
export const trustedRoots: Json = { name: "ROOTCA", sds_config: fromAgent };

const kubernetes = "kubernetes://";

/** The name of the secret that holds a credential's certificate. */
export function credentialSecret(credential: string): string {
  return credential.startsWith(kubernetes) ? credential : `${kubernetes}${credential}`;
}

/** The name of the secret that holds its authorities. */
export function authoritySecret(credential: string): string {
  return `${credentialSecret(credential)}-cacert`;
}

/** The name of the secret for a certificate and key in files. */
export function fileCertificateSecret(certificate: string, privateKey: string): string {
  return `file-cert:${certificate}~${privateKey}`;
}

/** The name of the secret for authorities in a file. */
export function fileAuthoritySecret(authorities: string): string {
  return `file-root:${authorities}`;
}

/** What the name of a secret says about where it comes from; undefined for the workload's own. */
export type SecretOrigin =
  | { readonly kind: "file-certificate"; readonly certificate: string; readonly privateKey: string }
  | { readonly kind: "file-authorities"; readonly path: string }
  | { readonly kind: "kubernetes"; readonly credential: string };

/** Reads a name that one of the functions above made. */
export function secretOrigin(name: string): SecretOrigin | undefined {
  if (name.startsWith(kubernetes)) return { kind: "kubernetes", credential: name.slice(kubernetes.length) };
  if (name.startsWith("file-root:")) return { kind: "file-authorities", path: name.slice("file-root:".length) };
  if (!name.startsWith("file-cert:")) return undefined;
  const [certificate = "", privateKey = ""] = name.slice("file-cert:".length).split("~");
  return { kind: "file-certificate", certificate, privateKey };
}

/** A reference to a Kubernetes Secret by its secret's name. */
export function kubernetesReference(name: string): Json {
  return { name, sds_config: fromControlPlane };
}

/** A reference to files by their secret's name. */
export function fileReference(name: string): Json {
  return { name, sds_config: filesFromAgent };
}
