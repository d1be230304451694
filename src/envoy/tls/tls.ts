// Envoy TLS contexts and secrets (extensions.transport_sockets.tls.v3), narrowed. Key material is carried as PEM text,
// already read from files by the source, so that workers touch no files.
import type { StringMatcher } from "../string-matcher.ts";

/** TLS protocol versions, in Node's words. */
export type TlsVersion = "TLSv1" | "TLSv1.1" | "TLSv1.2" | "TLSv1.3";

/** A certificate chain and its key, PEM. Never log `privateKey`. */
export interface TlsCertificate {
  readonly certificateChain: string;
  readonly privateKey: string;
  readonly password?: string;
  /** DER OCSP response to staple, base64. */
  readonly ocspStaple?: string;
}

/** Which SAN kind a matcher looks at; `any` is the deprecated untyped `match_subject_alt_names`. */
export interface SanMatcher {
  readonly sanType: "DNS" | "URI" | "EMAIL" | "IP_ADDRESS" | "any";
  readonly matcher: StringMatcher;
}

/** CertificateValidationContext. */
export interface ValidationContext {
  /** PEM bundle; absent means the peer's certificate is not verified (Envoy's behaviour). */
  readonly trustedCa?: string;
  readonly crl?: string;
  readonly matchSubjectAltNames: readonly SanMatcher[];
  /** Lower-case hex SHA-256 of the DER certificate. */
  readonly verifyCertificateHash: readonly string[];
  /** base64 SHA-256 of the SPKI. */
  readonly verifyCertificateSpki: readonly string[];
  readonly allowExpiredCertificate: boolean;
  /** trust_chain_verification: ACCEPT_UNTRUSTED. */
  readonly acceptUntrusted: boolean;
}

/** CommonTlsContext, after inline parts and SDS references are told apart. */
export interface CommonTlsContext {
  readonly minVersion?: TlsVersion;
  readonly maxVersion?: TlsVersion;
  /** OpenSSL names, TLS <= 1.2. */
  readonly cipherSuites: readonly string[];
  readonly ecdhCurves: readonly string[];
  readonly certificates: readonly TlsCertificate[];
  /** Names of SDS secrets with certificates, e.g. `default`. */
  readonly certificateSecrets: readonly string[];
  readonly validation?: ValidationContext;
  /** Name of the SDS secret with the validation context, e.g. `ROOTCA`; merged over `validation` (combined_validation_context). */
  readonly validationSecret?: string;
  readonly alpnProtocols: readonly string[];
}

/** UpstreamTlsContext. */
export interface UpstreamTlsContext {
  readonly common: CommonTlsContext;
  /** Empty: no SNI is sent. */
  readonly sni: string;
  readonly allowRenegotiation: boolean;
  readonly maxSessionKeys: number;
}

/** When a server shows OCSP staples: where it can, never an expired one, or always. */
export type OcspStaplePolicy = "LENIENT_STAPLING" | "STRICT_STAPLING" | "MUST_STAPLE";

/** DownstreamTlsContext. */
export interface DownstreamTlsContext {
  readonly common: CommonTlsContext;
  readonly requireClientCertificate: boolean;
  readonly requireSni: boolean;
  readonly disableStatelessSessionResumption: boolean;
  readonly ocspStaplePolicy: OcspStaplePolicy;
}

/** A transport socket on the upstream side. */
export type UpstreamTransportSocket = { readonly kind: "raw_buffer" } | { readonly kind: "tls"; readonly tls: UpstreamTlsContext };

/** A transport socket on the downstream side. */
export type DownstreamTransportSocket = { readonly kind: "raw_buffer" } | { readonly kind: "tls"; readonly tls: DownstreamTlsContext };

/** An SDS secret by name, material inline. */
export interface Secret {
  readonly name: string;
  readonly certificate?: TlsCertificate;
  readonly validation?: ValidationContext;
}
