// `/certs`: every certificate in use, with what is left of its life. Keys are not read.
import { X509Certificate } from "node:crypto";
import type { Resources } from "../envoy/bootstrap.ts";
import type {
  CommonTlsContext,
  DownstreamTransportSocket,
  TlsCertificate,
  UpstreamTransportSocket,
  ValidationContext,
} from "../envoy/tls/tls.ts";

const dayMs = 86_400_000;
const pem = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g;

/** Envoy's admin.v3.Certificates. */
export function certsJson(resources: Resources, nowMs: number): unknown {
  const found: unknown[] = [];
  const seen = new Set<string>();
  const add = (source: string, certificate: TlsCertificate | undefined, validation: ValidationContext | undefined): void => {
    const chain = certificate?.certificateChain ?? "";
    const ca = validation?.trustedCa ?? "";
    // The same secret is used by every cluster of a mesh; once is enough.
    if ((chain === "" && ca === "") || seen.has(chain + ca)) return;
    seen.add(chain + ca);
    found.push({ ca_cert: details(source, ca, nowMs), cert_chain: details(source, chain, nowMs) });
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
  return { certificates: found };
}

function details(path: string, bundle: string, nowMs: number): unknown[] {
  return (bundle.match(pem) ?? []).flatMap((text) => {
    const certificate = parse(text);
    if (!certificate) return [];
    const expires = certificate.validToDate.getTime();
    return [
      {
        path,
        serial_number: certificate.serialNumber.toLowerCase(),
        subject_alt_names: alternativeNames(certificate.subjectAltName),
        days_until_expiration: String(Math.max(0, Math.floor((expires - nowMs) / dayMs))),
        valid_from: certificate.validFromDate.toISOString(),
        expiration_time: certificate.validToDate.toISOString(),
      },
    ];
  });
}

function parse(text: string): X509Certificate | undefined {
  try {
    return new X509Certificate(text);
  } catch {
    // A bundle may hold something OpenSSL does not read; transports have refused or skipped it where it mattered.
    return undefined;
  }
}

// Node gives `DNS:a, URI:spiffe://b`; names of other kinds are left out as in Envoy.
function alternativeNames(text: string | undefined): unknown[] {
  return (text ?? "").split(", ").flatMap((entry): unknown[] => {
    if (entry.startsWith("DNS:")) return [{ dns: entry.slice(4) }];
    if (entry.startsWith("URI:")) return [{ uri: entry.slice(4) }];
    return entry.startsWith("IP Address:") ? [{ ip_address: entry.slice(11) }] : [];
  });
}
