// What is read from a peer's certificate, kept for the next handshake of the same one: a workload connects again and again.
import type { X509Certificate } from "node:crypto";
import { certificateSha256 } from "./verifier.ts";
import { type CertificateNames, readCertificateNames } from "./x509/certificate-names.ts";

/** A certificate and what it says; digests are made when somebody asks. */
export class KnownCertificate {
  readonly certificate: X509Certificate;
  readonly names: CertificateNames;
  #sha256: string | undefined;
  #serialNumber: string | undefined;

  constructor(certificate: X509Certificate, der: Buffer) {
    this.certificate = certificate;
    this.names = readCertificateNames(der);
  }

  /** Lower-case hexadecimal, of the DER. */
  get sha256(): string {
    return (this.#sha256 ??= certificateSha256(this.certificate));
  }

  /** Lower-case hexadecimal. */
  get serialNumber(): string {
    return (this.#serialNumber ??= this.certificate.serialNumber.toLowerCase());
  }
}

/** How many are kept; past it the oldest goes. */
const maxKept = 256;

/** Those of one TLS context. A certificate is known again by all of its bytes. */
export class KnownCertificates {
  readonly #byDer = new Map<string, KnownCertificate>();

  /** What is known of the certificate that a handshake presented. The chain it came with may differ from time to time. */
  read(certificate: X509Certificate): KnownCertificate {
    const der = certificate.raw;
    const key = der.toString("latin1");
    const kept = this.#byDer.get(key);
    if (kept !== undefined) return kept;
    const known = new KnownCertificate(certificate, der);
    if (this.#byDer.size >= maxKept)
      for (const oldest of this.#byDer.keys()) {
        this.#byDer.delete(oldest);
        break;
      }
    this.#byDer.set(key, known);
    return known;
  }
}
