// What is told of a TLS peer after the handshake. Reading a certificate costs microseconds; PEM and chains are made on demand.
import type { X509Certificate } from "node:crypto";
import type { TLSSocket } from "node:tls";
import type { CertificateMark, TlsPeer, TlsPeerDetails } from "../telemetry/stream-info.ts";
import type { KnownCertificate } from "./known-certificate.ts";
import { certificateSha256 } from "./verifier.ts";
import { type CertificateNames, noNames, type SanType } from "./x509/certificate-names.ts";
import { readSessionId } from "./x509/session.ts";

const unknown = { names: noNames };
const noPem = (): string => "";

/**
 * Describes the peer of a finished handshake.
 * @param certificate as this handshake presented it, with its chain
 * @param known what was read from it
 * @param local the names of the certificate this side presented
 */
export function describePeer(
  socket: TLSSocket,
  certificate: X509Certificate | undefined,
  known: KnownCertificate | undefined,
  validated: boolean,
  local: CertificateNames,
): TlsPeer {
  const { names } = known ?? unknown;
  const version = socket.getProtocol() ?? "";
  return {
    version,
    cipher: socket.getCipher().name,
    presented: certificate !== undefined,
    validated: certificate !== undefined && validated,
    uriSans: names.uriSans,
    dnsSans: names.dnsSans,
    subject: names.subject,
    issuer: names.issuer,
    get serialNumber() {
      return known?.serialNumber ?? "";
    },
    get sha256() {
      return known?.sha256 ?? "";
    },
    pem: certificate === undefined ? noPem : () => certificate.toString(),
    chainPem: certificate === undefined ? noPem : () => chainOf(certificate).map(String).join(""),
    localUriSan: local.uriSans[0] ?? "",
    localDnsSans: local.dnsSans,
    localSubject: local.subject,
    sessionId: sessionIdOf(socket, version),
    details: () => detailsOf(certificate, names, local),
  };
}

// TLS 1.3 has no session ids; what fills the field there is for old middleboxes.
function sessionIdOf(socket: TLSSocket, version: string): string {
  const session = version === "TLSv1.3" ? undefined : socket.getSession();
  return session === undefined ? "" : readSessionId(session);
}

function detailsOf(certificate: X509Certificate | undefined, names: CertificateNames, local: CertificateNames): TlsPeerDetails {
  const chain = certificate === undefined ? [] : chainOf(certificate).map(markOf);
  const sansOf = ({ sans }: CertificateNames, type: SanType): readonly string[] =>
    sans.flatMap((san) => (san.type === type ? [san.value] : []));
  return {
    sha1: chain[0]?.sha1 ?? "",
    ipSans: sansOf(names, "IP_ADDRESS"),
    emailSans: sansOf(names, "EMAIL"),
    validFromMs: certificate?.validFromDate.getTime() ?? 0,
    validToMs: certificate?.validToDate.getTime() ?? 0,
    chain,
    local: { uriSans: local.uriSans, ipSans: sansOf(local, "IP_ADDRESS"), emailSans: sansOf(local, "EMAIL") },
  };
}

function markOf(certificate: X509Certificate): CertificateMark {
  return {
    sha256: certificateSha256(certificate),
    sha1: certificate.fingerprint.replaceAll(":", "").toLowerCase(),
    serialNumber: certificate.serialNumber.toLowerCase(),
  };
}

// Longer chains than this are not printed; OpenSSL refuses to verify past 100 anyway.
const maxChain = 16;

function chainOf(leaf: X509Certificate): readonly X509Certificate[] {
  const chain: X509Certificate[] = [];
  let certificate: X509Certificate | undefined = leaf;
  while (certificate !== undefined && chain.length < maxChain) {
    chain.push(certificate);
    const issuer: X509Certificate | undefined = certificate.issuerCertificate;
    certificate = issuer?.fingerprint256 === certificate.fingerprint256 ? undefined : issuer;
  }
  return chain;
}
