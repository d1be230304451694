// Whether a chain of certificates leads to a root we trust, with a reason for each way it does not. For tools: connections
// are verified by node:tls.
import type { KeyObject, X509Certificate } from "node:crypto";
import type { Issue } from "../../error.ts";
import { describeCertificate, pathLength, readKeyUsage } from "./describe.ts";

/** What is to be verified. */
export interface ChainToVerify {
  /** From the certificate in question upwards; the root may be its last. */
  readonly chain: readonly X509Certificate[];
  readonly roots: readonly X509Certificate[];
  /** The present, in milliseconds since the epoch. */
  readonly nowMs: number;
  /** The private key that is to belong to the first certificate. */
  readonly key?: KeyObject;
  /** The URI that is to be among the first certificate's names. */
  readonly identity?: string;
}

/** Every fault of the chain, `path` being the place in it; none when it is good. */
export function verifyChain({ chain, roots, nowMs, key, identity }: ChainToVerify): readonly Issue[] {
  const issues: Issue[] = [];
  const fault = (position: number, message: string): void => void issues.push({ severity: "error", path: [position], message });
  const isRoot = (certificate: X509Certificate): boolean => roots.some((root) => root.fingerprint256 === certificate.fingerprint256);

  const first = chain[0];
  if (!first) return [{ severity: "error", path: [], message: "the chain is empty" }];
  if (key && !first.checkPrivateKey(key)) fault(0, "the private key belongs to another certificate");
  if (identity !== undefined && !describeCertificate(first).uris.includes(identity)) {
    fault(0, `the identity is ${describeCertificate(first).uris.join(", ") || "missing"}, expected ${identity}`);
  }
  for (const [i, certificate] of chain.entries()) {
    checkDates(certificate, nowMs, (message) => fault(i, message));
    if (isRoot(certificate)) return issues;
    const issuers = chain.slice(i + 1, i + 2);
    const issuer = [...issuers, ...roots].find((candidate) => isIssuedBy(certificate, candidate));
    if (!issuer) {
      fault(i, `no certificate of the chain or the roots issued it: issuer ${describeCertificate(certificate).issuer || "empty"}`);
      return issues;
    }
    const place = chain.indexOf(issuer);
    checkAuthority(issuer, i, (message) => fault(place < 0 ? i : place, message));
    if (place < 0) {
      checkDates(issuer, nowMs, (message) => fault(i, `the root ${message}`));
      return issues;
    }
  }
  fault(chain.length - 1, "the chain does not end at a trusted root");
  return issues;
}

/** Name and signature only: OpenSSL's `checkIssued` also looks at usages, for which checkAuthority has a reason to give. */
function isIssuedBy(certificate: X509Certificate, issuer: X509Certificate): boolean {
  return (certificate.issuer ?? "") === (issuer.subject ?? "") && certificate.verify(issuer.publicKey);
}

function checkDates(certificate: X509Certificate, nowMs: number, fault: (message: string) => void): void {
  if (certificate.validFromDate.getTime() > nowMs) fault(`is not valid before ${certificate.validFromDate.toISOString()}`);
  if (certificate.validToDate.getTime() < nowMs) fault(`expired at ${certificate.validToDate.toISOString()}`);
}

/** @param below how many CAs lie between the issuer and the end of the chain (RFC 5280, section 4.2.1.9) */
function checkAuthority(issuer: X509Certificate, below: number, fault: (message: string) => void): void {
  if (!issuer.ca) fault("issued a certificate without being a CA");
  else if (!readKeyUsage(issuer).includes("keyCertSign")) fault("issued a certificate without the key usage keyCertSign");
  const limit = pathLength(issuer);
  if (limit !== null && below > limit) fault(`has ${below} CAs below it, its path length allows ${limit}`);
}
