// OCSP staples of a server: when one is shown, and when a handshake fails for want of one, by ocsp_staple_policy.
import { X509Certificate } from "node:crypto";
import { EventEmitter } from "node:events";
import type { SecureContext } from "node:tls";
import type { Clock } from "../../clock.ts";
import type { OcspStaplePolicy, TlsCertificate } from "../../envoy/tls/tls.ts";
import { isAbout, mustStaple, readOcspResponse } from "../x509/ocsp-response.ts";

/** What Node asks for the staple of a handshake; it takes the place of a tls.Server. */
export type StapleSource = EventEmitter;

interface Staple {
  readonly response: Buffer | undefined;
  readonly validUntilMs: number;
  readonly policy: OcspStaplePolicy;
}

/**
 * The source of staples for a context that shows `certificate`; undefined when there is nothing to staple and nothing asks for it.
 * Throws what Envoy refuses: a response that is none or another certificate's, and a required one that is missing.
 */
export function createStapleSource(
  context: SecureContext,
  certificate: TlsCertificate,
  policy: OcspStaplePolicy,
  clock: Pick<Clock, "wallMs">,
): StapleSource | undefined {
  const staple = readStaple(certificate, policy);
  if (staple.response === undefined && staple.policy !== "MUST_STAPLE") return undefined;
  // Node looks at these two when a client asks; a whole server would listen somewhere.
  const source = Object.assign(new EventEmitter(), { _sharedCreds: context });
  source.on("OCSPRequest", (_certificate: unknown, _issuer: unknown, answer: (error: Error | null, response: Buffer | null) => void) => {
    const valid = staple.response !== undefined && clock.wallMs() < staple.validUntilMs;
    if (valid) answer(null, staple.response);
    else if (staple.policy === "LENIENT_STAPLING") answer(null, null);
    else answer(new Error("OCSP staple expired"), null);
  });
  return source;
}

function readStaple({ certificateChain, ocspStaple }: TlsCertificate, configured: OcspStaplePolicy): Staple {
  const leaf = new X509Certificate(certificateChain);
  const policy = mustStaple(leaf.raw) ? "MUST_STAPLE" : configured;
  if (ocspStaple === undefined) {
    if (policy === "MUST_STAPLE") throw new Error("Required OCSP response is missing from TLS context");
    return { response: undefined, validUntilMs: 0, policy };
  }
  const response = Buffer.from(ocspStaple, "base64");
  const read = readOcspResponse(response);
  if (read === undefined) throw new Error("OCSP response is not a successful basic response");
  if (!isAbout(read, leaf.serialNumber)) throw new Error("OCSP response does not match its TLS certificate");
  return { response, validUntilMs: read.nextUpdateMs, policy };
}
