// What is told of a TLS peer after the handshake. Reading a certificate costs microseconds; PEM and chains are made on demand.
import type { X509Certificate } from "node:crypto";
import type { TLSSocket } from "node:tls";
import type { TlsPeer } from "../telemetry/stream-info.ts";
import { certificateSha256 } from "./verifier.ts";
import type { CertificateNames } from "./x509/certificate-names.ts";

const noPem = (): string => "";

/** Describes the peer of a finished handshake. `local` are the names of the certificate this side presented. */
export function describePeer(
  socket: TLSSocket,
  certificate: X509Certificate | undefined,
  names: CertificateNames,
  validated: boolean,
  local: CertificateNames,
): TlsPeer {
  return {
    version: socket.getProtocol() ?? "",
    cipher: socket.getCipher().name,
    presented: certificate !== undefined,
    validated: certificate !== undefined && validated,
    uriSans: names.uriSans,
    dnsSans: names.dnsSans,
    subject: names.subject,
    issuer: names.issuer,
    serialNumber: certificate?.serialNumber.toLowerCase() ?? "",
    sha256: certificate === undefined ? "" : certificateSha256(certificate),
    pem: certificate === undefined ? noPem : () => certificate.toString(),
    chainPem: certificate === undefined ? noPem : () => chainPem(certificate),
    localUriSan: local.uriSans[0] ?? "",
    localDnsSans: local.dnsSans,
    localSubject: local.subject,
  };
}

// Longer chains than this are not printed; OpenSSL refuses to verify past 100 anyway.
const maxChain = 16;

function chainPem(leaf: X509Certificate): string {
  let pem = "";
  let certificate: X509Certificate | undefined = leaf;
  for (let i = 0; certificate !== undefined && i < maxChain; i++) {
    pem += certificate.toString();
    const issuer: X509Certificate | undefined = certificate.issuerCertificate;
    certificate = issuer?.fingerprint256 === certificate.fingerprint256 ? undefined : issuer;
  }
  return pem;
}
