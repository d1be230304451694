// Decides whether a peer's certificate is acceptable: the chain as OpenSSL judged it, then SANs, hashes and dates. Compiled
// once per validation context. An empty verdict of OpenSSL is never assumed: no way to ask means refused.
import { createHash } from "node:crypto";
import type { X509Certificate } from "node:crypto";
import type { TLSSocket } from "node:tls";
import type { ValidationContext } from "../envoy/tls/tls.ts";
import { chainFailure } from "./failure-reason.ts";
import type { VerifyFailure } from "./failure-reason.ts";
import { compileSanMatchers, hasName } from "./san-matcher.ts";
import type { CertificateNames } from "./x509/certificate-names.ts";

/** A judged peer. */
export type Verdict = { readonly ok: true; readonly validated: boolean } | { readonly ok: false; readonly failure: VerifyFailure };

/** Judges the peer of a finished handshake that presented `certificate`. */
export type Verifier = (
  socket: TLSSocket,
  certificate: X509Certificate,
  names: CertificateNames,
  nowWallMs: number,
  /** Names of which the certificate must have one, beside the context's matchers; none asks for nothing. */
  verifyNames?: readonly string[],
) => Verdict;

const accepted = (validated: boolean): Verdict => ({ ok: true, validated });
const refused = (failure: VerifyFailure): Verdict => ({ ok: false, failure });

/** Compiles a validation context; without one every certificate is accepted unvalidated, as Envoy does. `warn` hears of what cannot be honoured. */
export function createVerifier(validation: ValidationContext | undefined, warn: (message: string) => void): Verifier {
  if (validation === undefined)
    return (_socket, _certificate, names, _now, verifyNames = []) =>
      hasAny(names, verifyNames) ? accepted(verifyNames.length > 0) : refused(namesFailure(names, verifyNames));
  // OpenSSL under Node reports one verify error only, and an ignored expiry could hide an unknown issuer behind it.
  if (validation.allowExpiredCertificate) warn("allow_expired_certificate is not honoured: expired certificates are refused");
  const sanMatches = compileSanMatchers(validation.matchSubjectAltNames, warn);
  const hashes = new Set(validation.verifyCertificateHash.map((hash) => hash.toLowerCase().replaceAll(":", "")));
  const spkis = new Set(validation.verifyCertificateSpki);
  const checksChain = validation.trustedCa !== undefined;
  const checksSan = validation.matchSubjectAltNames.length > 0;
  const checksPin = hashes.size > 0 || spkis.size > 0;
  // Envoy: without a CA something else has to vouch for the peer; a context that asks for nothing vouches for nobody.
  const checksAnything = checksChain || checksSan || checksPin;

  const judge: Verifier = (socket, certificate, names, nowWallMs, verifyNames = []) => {
    if (checksChain) {
      const code = chainVerdict(socket);
      if (code !== undefined) return refused(chainFailure(code));
      // A resumed session carries the old verdict; the certificate may have expired since.
      if (socket.isSessionReused() && certificate.validToDate.getTime() < nowWallMs) return refused(chainFailure("CERT_HAS_EXPIRED"));
    }
    if (!hasAny(names, verifyNames)) return refused(namesFailure(names, verifyNames));
    if (checksSan && !sanMatches(names))
      return refused({ detail: `SAN matcher, certificate SANs are [${sansOf(names)}]`, alert: 46, kind: "san" });
    if (checksPin && !hashes.has(certificateSha256(certificate)) && !spkis.has(spkiSha256(certificate))) {
      return refused({ detail: "cert hash and spki", alert: 114, kind: "cert_hash" });
    }
    return accepted(checksAnything || verifyNames.length > 0);
  };
  if (!validation.acceptUntrusted) return judge;
  return (socket, certificate, names, nowWallMs, verifyNames) => {
    const verdict = judge(socket, certificate, names, nowWallMs, verifyNames);
    return accepted(verdict.ok && verdict.validated);
  };
}

const sansOf = ({ sans }: CertificateNames): string => sans.map((san) => san.value).join(", ");

const hasAny = (names: CertificateNames, wanted: readonly string[]): boolean =>
  wanted.length === 0 || wanted.some((name) => hasName(names, name));

function namesFailure(names: CertificateNames, wanted: readonly string[]): VerifyFailure {
  const detail = `verify SAN list, expected SANs: [${wanted.join(", ")}], certificate SANs: [${sansOf(names)}]`;
  return { detail, alert: 46, kind: "san" };
}

/** Lower-case hex SHA-256 of the DER certificate. */
export function certificateSha256(certificate: X509Certificate): string {
  return certificate.fingerprint256.replaceAll(":", "").toLowerCase();
}

function spkiSha256(certificate: X509Certificate): string {
  return createHash("sha256")
    .update(certificate.publicKey.export({ type: "spki", format: "der" }))
    .digest("base64");
}

// Node exposes OpenSSL's verdict on `authorized` for sockets of tls.Server and tls.connect only; a TLSSocket around an
// accepted socket keeps it in its handle.
function chainVerdict(socket: TLSSocket): string | undefined {
  const handle = (socket as { _handle?: { verifyError?(): { code?: string } | null | undefined } | null })._handle;
  if (typeof handle?.verifyError !== "function") return "UNSPECIFIED";
  const error = handle.verifyError();
  return error === null || error === undefined ? undefined : (error.code ?? "UNSPECIFIED");
}
