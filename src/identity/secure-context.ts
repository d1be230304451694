// Node secure contexts from certificate material and protocol parameters, built once per configuration or secret version.
import { constants, createHash, X509Certificate } from "node:crypto";
import { createSecureContext, getCiphers } from "node:tls";
import type { SecureContext, SecureContextOptions } from "node:tls";
import type { CommonTlsContext, TlsCertificate } from "../envoy/tls/tls.ts";
import type { Material } from "./context/material.ts";

// What Envoy offers and takes where nothing is configured, seen on the wire of 1.40. OpenSSL's own lists are longer, and take key
// exchanges without forward secrecy.
const defaultCurves = "X25519MLKEM768:X25519:P-256";
// For TLS 1.2; the suites of 1.3 stay OpenSSL's.
const defaultCiphers = [
  "ECDHE-ECDSA-AES128-GCM-SHA256",
  "ECDHE-ECDSA-CHACHA20-POLY1305",
  "ECDHE-RSA-AES128-GCM-SHA256",
  "ECDHE-RSA-CHACHA20-POLY1305",
  "ECDHE-ECDSA-AES256-GCM-SHA384",
  "ECDHE-RSA-AES256-GCM-SHA384",
].join(":");

/** What a server context adds; a client leaves it out. */
export interface ServerContextOptions {
  /** Tickets are accepted only by a context with the same id; at most 32 bytes (OpenSSL). */
  readonly sessionIdContext: string;
  readonly sessionTickets: boolean;
}

/**
 * Builds a context. Throws what OpenSSL says of unusable key material.
 * @param warn hears of parameters that OpenSSL does not know and that were left out
 * @param allowRenegotiation whether a server of TLS 1.2 may ask for another handshake
 */
export function buildSecureContext(
  common: CommonTlsContext,
  material: Material,
  server: ServerContextOptions | undefined,
  warn: (message: string) => void,
  allowRenegotiation = false,
): SecureContext {
  const options: SecureContextOptions = {
    // TLS 1.0 and 1.1 only where configured; OpenSSL 3 refuses them above security level 0.
    minVersion: common.minVersion ?? "TLSv1.2",
    maxVersion: common.maxVersion ?? "TLSv1.3",
    // An explicit list keeps Node from loading its 140 bundled roots, which no mesh trusts.
    ca: material.validation?.trustedCa === undefined ? [] : [material.validation.trustedCa],
    // Envoy sets X509_V_FLAG_PARTIAL_CHAIN: an intermediate in trusted_ca is an anchor.
    allowPartialTrustChain: true,
    ...certificateOptions(material.certificates, material.validation?.trustedCa),
    // Node reads one list of a text, but every authority of a chain has its own.
    ...(material.validation?.crl === undefined ? {} : { crl: material.validation.crl.match(pemList) ?? material.validation.crl }),
    ...cipherOptions(common, warn),
    ecdhCurve: common.ecdhCurves.length === 0 ? defaultCurves : knownCurves(common.ecdhCurves, warn),
  };
  // A peer was judged once, by the certificate of its first handshake; BoringSSL takes no second one from a client either.
  const secureOptions = allowRenegotiation ? 0 : constants.SSL_OP_NO_RENEGOTIATION;
  if (server === undefined) return createSecureContext({ ...options, secureOptions });
  return createSecureContext({
    ...options,
    honorCipherOrder: true,
    sessionIdContext: server.sessionIdContext,
    secureOptions: server.sessionTickets ? secureOptions : secureOptions | constants.SSL_OP_NO_TICKET,
  });
}

function certificateOptions(certificates: readonly TlsCertificate[], trustedCa: string | undefined): SecureContextOptions {
  if (certificates.length === 0) return {};
  return {
    cert: certificates.map(({ certificateChain }) => certificateChain + missingIssuer(certificateChain, trustedCa)),
    key: certificates.map((certificate) =>
      certificate.password === undefined ? certificate.privateKey : { pem: certificate.privateKey, passphrase: certificate.password },
    ),
  };
}

const pemList = /-----BEGIN X509 CRL-----[^-]+-----END X509 CRL-----/g;
const pemCertificate = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

// OpenSSL completes a chain of one certificate from the trusted ones, by a verification in every handshake. Completed here, the
// same goes over the wire, and about 0.1 ms a handshake is saved. (Node cannot set SSL_MODE_NO_AUTO_CHAIN.)
function missingIssuer(chain: string, trustedCa: string | undefined): string {
  const [leaf, ...above] = chain.match(pemCertificate) ?? [];
  if (leaf === undefined || above.length > 0 || trustedCa === undefined) return "";
  try {
    const certificate = new X509Certificate(leaf);
    const issuer = trustedCa.match(pemCertificate)?.find((pem) => {
      const candidate = new X509Certificate(pem);
      return certificate.checkIssued(candidate) && certificate.verify(candidate.publicKey);
    });
    return issuer === undefined || certificate.checkIssued(certificate) ? "" : `\n${issuer}\n`;
  } catch {
    return ""; // OpenSSL says what is wrong with it when the context is made
  }
}

function cipherOptions(common: CommonTlsContext, warn: (message: string) => void): SecureContextOptions {
  const legacy = common.minVersion === "TLSv1" || common.minVersion === "TLSv1.1";
  if (common.cipherSuites.length === 0) return { ciphers: legacy ? "DEFAULT:@SECLEVEL=0" : defaultCiphers };
  const known = new Set(getCiphers());
  // BoringSSL's equal-preference groups `[A|B]` have no OpenSSL form; their order is kept.
  const wanted = common.cipherSuites.flatMap((entry) => entry.replaceAll(/[[\]]/g, "").split("|"));
  const usable = wanted.filter((name) => known.has(name.toLowerCase()));
  const unknown = wanted.filter((name) => !known.has(name.toLowerCase()));
  if (unknown.length > 0) warn(`cipher suites not known to OpenSSL were left out: ${unknown.join(", ")}`);
  if (usable.length === 0) throw new Error("none of the configured cipher suites is known to OpenSSL");
  return { ciphers: (legacy ? [...usable, "@SECLEVEL=0"] : usable).join(":") };
}

function knownCurves(curves: readonly string[], warn: (message: string) => void): string {
  const usable = curves.filter((curve) => {
    try {
      createSecureContext({ ca: [], ecdhCurve: curve });
      return true;
    } catch {
      warn(`curve not known to OpenSSL was left out: ${curve}`);
      return false;
    }
  });
  if (usable.length === 0) throw new Error("none of the configured curves is known to OpenSSL");
  return usable.join(":");
}

/**
 * Client contexts shared by every cluster of a worker that has the same material: thousands of clusters differ in SNI, ALPN
 * and SANs, which belong to a connection, while a context costs a parse of keys and roots. Contexts nobody holds are let go.
 */
export class SecureContextCache {
  readonly #contexts = new Map<string, WeakRef<SecureContext>>();

  /** The context for this material, built when it is not there. */
  get(common: CommonTlsContext, material: Material, allowRenegotiation: boolean, warn: (message: string) => void): SecureContext {
    const key = `${fingerprint(common, material)}${allowRenegotiation ? " renegotiates" : ""}`;
    const held = this.#contexts.get(key)?.deref();
    if (held !== undefined) return held;
    for (const [other, context] of this.#contexts) if (context.deref() === undefined) this.#contexts.delete(other);
    const context = buildSecureContext(common, material, undefined, warn, allowRenegotiation);
    this.#contexts.set(key, new WeakRef(context));
    return context;
  }
}

/** A digest of everything that goes into a context. */
export function fingerprint(common: CommonTlsContext, material: Material): string {
  const { validation } = material;
  return createHash("sha256")
    .update(
      JSON.stringify([common.minVersion, common.maxVersion, common.cipherSuites, common.ecdhCurves, material.certificates, validation]),
    )
    .digest("base64");
}
