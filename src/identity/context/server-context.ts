// One version of a DownstreamTlsContext's material, compiled: a secure context per set of certificates that a server name
// selects, the verifier of client certificates, and whether one is asked for.
import { createHash, X509Certificate } from "node:crypto";
import type { SecureContext } from "node:tls";
import type { Clock } from "../../clock.ts";
import type { DownstreamTlsContext, TlsCertificate } from "../../envoy/tls/tls.ts";
import type { Material } from "./material.ts";
import { createStapleSource } from "./stapling.ts";
import type { StapleSource } from "./stapling.ts";
import { createRootHints } from "../foreign-root.ts";
import type { RootHints } from "../foreign-root.ts";
import { dnsNameMatches } from "../san-matcher.ts";
import { buildSecureContext, fingerprint } from "../secure-context.ts";
import { createVerifier } from "../verifier.ts";
import type { Verifier } from "../verifier.ts";
import { leafNames } from "../x509/certificate-names.ts";
import type { CertificateNames } from "../x509/certificate-names.ts";

/** A secure context and the names of the certificate it presents first. */
export interface PresentedContext {
  readonly context: SecureContext;
  readonly local: CertificateNames;
  /** Answers clients that ask for an OCSP staple; undefined answers none. */
  readonly staples: StapleSource | undefined;
}

/** Compiled server-side material. */
export interface ServerContext {
  readonly material: Material;
  readonly verify: Verifier;
  readonly hints: RootHints;
  /** Ask the client for a certificate. */
  readonly requestCertificate: boolean;
  /** Refuse a client that presents none. */
  readonly requireCertificate: boolean;
  /** The context for a ClientHello's server name (empty = none). */
  present(serverName: string): PresentedContext;
}

/** Compiles; throws what OpenSSL says of unusable key material. */
export function compileServerContext(
  tls: DownstreamTlsContext,
  material: Material,
  clock: Pick<Clock, "wallMs">,
  warn: (message: string) => void,
): ServerContext {
  const { validation } = material;
  const hints = createRootHints(tls.common, material);
  const pinned =
    validation !== undefined &&
    !validation.acceptUntrusted &&
    validation.matchSubjectAltNames.length + validation.verifyCertificateHash.length + validation.verifyCertificateSpki.length > 0;
  const requireCertificate = tls.requireClientCertificate || pinned;
  const requestCertificate = requireCertificate || validation?.trustedCa !== undefined || validation?.acceptUntrusted === true;

  // Tickets die with the context: OpenSSL makes fresh keys for each, and the id ties them to CA, SANs and requirements too.
  const sessionIdContext = createHash("sha256")
    .update(`${fingerprint(tls.common, material)}|${requireCertificate}|${tls.requireSni}`)
    .digest("base64")
    .slice(0, 32);
  const server = { sessionIdContext, sessionTickets: !tls.disableStatelessSessionResumption };
  const build = (certificates: readonly TlsCertificate[]): PresentedContext => {
    const context = buildSecureContext(tls.common, { ...material, certificates }, server, warn);
    const [first, second] = certificates;
    // OpenSSL chooses among several by the client's algorithms, and does not say which in time.
    const staples =
      first === undefined || second !== undefined ? undefined : createStapleSource(context, first, tls.ocspStaplePolicy, clock);
    if (
      second !== undefined &&
      (tls.ocspStaplePolicy !== "LENIENT_STAPLING" || certificates.some(({ ocspStaple }) => ocspStaple !== undefined))
    )
      warn("OCSP responses are not stapled where one server name has certificates of several key types");
    return { context, local: leafNames(first?.certificateChain), staples };
  };

  const selectable = material.certificates.map((certificate) => ({
    certificate,
    names: leafNames(certificate.certificateChain),
    keyType: keyTypeOf(certificate),
  }));
  // OpenSSL holds one certificate per key type; the first of a type is the default, as the first in Envoy's list is.
  const onePerKeyType = (list: typeof selectable): readonly TlsCertificate[] =>
    list.filter((entry, i) => list.findIndex((other) => other.keyType === entry.keyType) === i).map((entry) => entry.certificate);
  const fallback = build(onePerKeyType(selectable));
  if (selectable.length < 2) {
    return { material, verify: createVerifier(validation, warn), hints, requestCertificate, requireCertificate, present: () => fallback };
  }

  // Sets are decided by the certificates, not by the name, so there are at most as many contexts as distinct sets.
  const bySet = new Map<string, PresentedContext>();
  const present = (serverName: string): PresentedContext => {
    if (serverName === "") return fallback;
    const exact = selectable.filter((entry) => entry.names.dnsSans.some((san) => san.toLowerCase() === serverName));
    const matching =
      exact.length > 0 ? exact : selectable.filter((entry) => entry.names.dnsSans.some((san) => dnsNameMatches(serverName, san)));
    if (matching.length === 0) return fallback;
    const key = matching.map((entry) => selectable.indexOf(entry)).join(",");
    const built = bySet.get(key) ?? build(onePerKeyType(matching));
    bySet.set(key, built);
    return built;
  };
  return { material, verify: createVerifier(validation, warn), hints, requestCertificate, requireCertificate, present };
}

function keyTypeOf(certificate: TlsCertificate): string {
  return new X509Certificate(certificate.certificateChain).publicKey.asymmetricKeyType ?? "";
}
