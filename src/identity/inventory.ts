// Every certificate of a configuration, parsed once: for /certs, for the gauge of what is left of their lives, and for warnings.
import { X509Certificate } from "node:crypto";
import type { Resources } from "../envoy/bootstrap.ts";
import type {
  CommonTlsContext,
  DownstreamTransportSocket,
  TlsCertificate,
  UpstreamTransportSocket,
  ValidationContext,
} from "../envoy/tls/tls.ts";

/** What one secret, listener or cluster has: a chain to present, authorities to trust, or both. */
export interface CertificateEntry {
  /** `secret default`, `listener NAME`, `cluster NAME`: the first place it is used at. */
  readonly source: string;
  /** The certificate presented, then those above it. */
  readonly chain: readonly X509Certificate[];
  readonly authorities: readonly X509Certificate[];
}

const block = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g;

// By configuration object: those stay the same while nothing about them changes.
const parsed = new WeakMap<TlsCertificate | ValidationContext, readonly X509Certificate[]>();

/** Lists them, each once however many places use it. */
export function listCertificates(resources: Resources): readonly CertificateEntry[] {
  const found: CertificateEntry[] = [];
  const seen = new Set<string>();
  const add = (source: string, certificate: TlsCertificate | undefined, validation: ValidationContext | undefined): void => {
    const chain = certificate?.certificateChain ?? "";
    const authorities = validation?.trustedCa ?? "";
    // The same secret is used by every cluster of a mesh; once is enough.
    if ((chain === "" && authorities === "") || seen.has(chain + authorities)) return;
    seen.add(chain + authorities);
    found.push({
      source,
      chain: certificate ? parse(certificate, chain) : [],
      authorities: validation ? parse(validation, authorities) : [],
    });
  };
  const addContext = (source: string, context: CommonTlsContext): void => {
    for (const certificate of context.certificates) add(source, certificate, undefined);
    add(source, undefined, context.validation);
  };
  const addSocket = (source: string, socket: DownstreamTransportSocket | UpstreamTransportSocket): void => {
    if (socket.kind === "tls") addContext(source, socket.tls.common);
  };
  for (const secret of resources.secrets) add(`secret ${secret.name}`, secret.certificate, secret.validation);
  for (const listener of resources.listeners) {
    const chains = listener.defaultFilterChain ? [...listener.filterChains, listener.defaultFilterChain] : listener.filterChains;
    for (const chain of chains) addSocket(`listener ${listener.name}`, chain.transportSocket);
  }
  for (const cluster of resources.clusters) {
    addSocket(`cluster ${cluster.name}`, cluster.transportSocket);
    for (const match of cluster.transportSocketMatches) addSocket(`cluster ${cluster.name}`, match.transportSocket);
  }
  return found;
}

function parse(owner: TlsCertificate | ValidationContext, bundle: string): readonly X509Certificate[] {
  const known = parsed.get(owner);
  if (known) return known;
  const certificates = (bundle.match(block) ?? []).flatMap((text) => {
    try {
      const certificate = new X509Certificate(text);
      // OpenSSL reads dates late.
      return Number.isNaN(certificate.validToDate.getTime()) ? [] : [certificate];
    } catch {
      // A bundle may hold something OpenSSL does not read; transports have refused or skipped it where it mattered.
      return [];
    }
  });
  parsed.set(owner, certificates);
  return certificates;
}

/** Who a certificate is for: its first URI, else its first DNS name, else its subject on one line. */
export function nameOf(certificate: X509Certificate): string {
  const names = (certificate.subjectAltName ?? "").split(", ");
  const uri = names.find((name) => name.startsWith("URI:"))?.slice(4);
  const dns = names.find((name) => name.startsWith("DNS:"))?.slice(4);
  return uri ?? (certificate.ca ? undefined : dns) ?? (certificate.subject ?? "").split("\n").join(", ");
}
