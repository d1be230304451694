// TLS failures in the words of Envoy's transport failure reason (BoringSSL's library and reason codes), because people and
// tools match on them in access logs. OpenSSL names the same failures differently here and there; the table is below.

/** The verdict of certificate verification on a peer. */
export type VerifyFailure = {
  /** What Envoy logs after `verify cert failed: `. */
  readonly detail: string;
  /** The TLS alert that says it (RFC 8446 section 6.2). */
  readonly alert: number;
  /** Which `ssl.fail_verify_*` counter it belongs to. */
  readonly kind: "error" | "san" | "cert_hash";
};

// BoringSSL packs a library number into the top byte: 16 is SSL, 2 is the system (errno).
const sslLibrary = 16 * 0x1000000;
const systemLibrary = 2 * 0x1000000;

// Reason numbers of BoringSSL's ssl.h; alerts received from the peer are 1000 + alert number.
const reasons: Readonly<Record<string, number>> = {
  BAD_DECRYPT: 109,
  CERTIFICATE_VERIFY_FAILED: 125,
  DECRYPTION_FAILED_OR_BAD_RECORD_MAC: 133,
  DECODE_ERROR: 128,
  EXCESSIVE_MESSAGE_SIZE: 150,
  HTTP_REQUEST: 155,
  INVALID_ALPN_PROTOCOL: 256,
  NO_SHARED_CIPHER: 186,
  NO_SHARED_GROUP: 266,
  PEER_DID_NOT_RETURN_A_CERTIFICATE: 192,
  UNEXPECTED_MESSAGE: 226,
  UNEXPECTED_RECORD: 227,
  UNSUPPORTED_PROTOCOL: 240,
  WRONG_VERSION_NUMBER: 247,
  SSLV3_ALERT_UNEXPECTED_MESSAGE: 1010,
  SSLV3_ALERT_BAD_RECORD_MAC: 1020,
  SSLV3_ALERT_HANDSHAKE_FAILURE: 1040,
  SSLV3_ALERT_BAD_CERTIFICATE: 1042,
  SSLV3_ALERT_UNSUPPORTED_CERTIFICATE: 1043,
  SSLV3_ALERT_CERTIFICATE_REVOKED: 1044,
  SSLV3_ALERT_CERTIFICATE_EXPIRED: 1045,
  SSLV3_ALERT_CERTIFICATE_UNKNOWN: 1046,
  SSLV3_ALERT_ILLEGAL_PARAMETER: 1047,
  TLSV1_ALERT_UNKNOWN_CA: 1048,
  TLSV1_ALERT_ACCESS_DENIED: 1049,
  TLSV1_ALERT_DECODE_ERROR: 1050,
  TLSV1_ALERT_DECRYPT_ERROR: 1051,
  TLSV1_ALERT_PROTOCOL_VERSION: 1070,
  TLSV1_ALERT_INSUFFICIENT_SECURITY: 1071,
  TLSV1_ALERT_INTERNAL_ERROR: 1080,
  TLSV1_UNRECOGNIZED_NAME: 1112,
  TLSV1_ALERT_CERTIFICATE_REQUIRED: 1116,
  TLSV1_ALERT_NO_APPLICATION_PROTOCOL: 1120,
};

// What Envoy itself adds to BoringSSL's words.
const explanations: Readonly<Record<string, string>> = {
  PEER_DID_NOT_RETURN_A_CERTIFICATE: ":peer did not provide required client certificate",
};

// OpenSSL verify codes (as Node names them) to BoringSSL's text and the alert that belongs to each. OpenSSL goes on after
// the first error and reports the last; where it ends in UNABLE_TO_VERIFY_LEAF_SIGNATURE, BoringSSL had stopped at the missing issuer.
const verifyTexts: Readonly<Record<string, readonly [text: string, depth: number, alert: number]>> = {
  UNABLE_TO_GET_ISSUER_CERT: ["unable to get issuer certificate", 1, 48],
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: ["unable to get local issuer certificate", 0, 48],
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: ["unable to get local issuer certificate", 0, 48],
  DEPTH_ZERO_SELF_SIGNED_CERT: ["self signed certificate", 0, 48],
  SELF_SIGNED_CERT_IN_CHAIN: ["self signed certificate in certificate chain", 1, 48],
  CERT_HAS_EXPIRED: ["certificate has expired", 0, 45],
  CERT_NOT_YET_VALID: ["certificate is not yet valid", 0, 42],
  CERT_REVOKED: ["certificate revoked", 0, 44],
  UNABLE_TO_GET_CRL: ["unable to get certificate CRL", 0, 48],
  CRL_HAS_EXPIRED: ["CRL has expired", 0, 45],
  CERT_SIGNATURE_FAILURE: ["certificate signature failure", 0, 51],
  INVALID_PURPOSE: ["unsupported certificate purpose", 0, 43],
  INVALID_CA: ["invalid CA certificate", 1, 48],
  PATH_LENGTH_EXCEEDED: ["path length constraint exceeded", 1, 48],
  CERT_CHAIN_TOO_LONG: ["certificate chain too long", 0, 48],
};

/** The failure behind a verify code of OpenSSL. */
export function chainFailure(code: string): VerifyFailure {
  const [text, depth, alert] = verifyTexts[code] ?? [code.toLowerCase().replaceAll("_", " "), 0, 46];
  const said = /CRL|REVOKED/.test(code) ? `certificate revocation check against provided CRLs failed: ${text}` : text;
  return { detail: `X509_verify_cert: certificate verification error at depth ${depth}: ${said}`, alert, kind: "error" };
}

/** Envoy's transport failure reason for a peer certificate that was refused, and behind it `hint`, which is ours. */
export function verifyFailureReason(failure: VerifyFailure, hint?: string): string {
  return hinted(
    `TLS_error:|${sslLibrary + 125}:SSL routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED:verify cert failed: ${failure.detail}:TLS_error_end`,
    hint,
  );
}

/** A reason with what we have to add. */
export function hinted(reason: string, hint: string | undefined): string {
  return hint === undefined ? reason : `${reason} (${hint})`;
}

/** Envoy's transport failure reason for a connection that the peer reset during the handshake. */
const resetReason = `TLS_error:|${systemLibrary + 104}:system library:OPENSSL_internal:Connection reset by peer:TLS_error_end`;

/** Envoy's transport failure reason for a ClientHello beyond 16 KB. */
export const helloTooLargeReason = `TLS_error:|${sslLibrary + 150}:SSL routines:OPENSSL_internal:EXCESSIVE_MESSAGE_SIZE:TLS_error_end`;

/** Envoy's transport failure reason for a server_name that is no name. */
export const malformedNameReason = `TLS_error:|${sslLibrary + 149}:SSL routines:OPENSSL_internal:ERROR_PARSING_EXTENSION:TLS_error_end`;

/** Envoy's transport failure reason while a secret has not arrived. */
export const secretMissingReason = "TLS error: Secret is not supplied by SDS";

/** Envoy's transport failure reason for an error of a handshake, or undefined when the peer just closed. */
export function tlsErrorReason(error: NodeJS.ErrnoException): string | undefined {
  const code = error.code ?? "";
  // Node reports both a reset and an end of stream before the handshake was done as ECONNRESET; only the system's has an errno.
  if (code === "ECONNRESET") return error.syscall === undefined ? undefined : resetReason;
  if (!code.startsWith("ERR_SSL_")) return `TLS_error:|${error.message}:TLS_error_end`;
  const name = code
    .slice("ERR_SSL_".length)
    .replace("SSL/TLS_ALERT_", "SSLV3_ALERT_")
    .replace(/^TLSV13_ALERT_/, "TLSV1_ALERT_");
  const number = reasons[name];
  const more = explanations[name] ?? "";
  return number === undefined
    ? `TLS_error:|SSL routines:OPENSSL_internal:${name}:TLS_error_end`
    : `TLS_error:|${sslLibrary + number}:SSL routines:OPENSSL_internal:${name}${more}:TLS_error_end`;
}

const told = new WeakMap<Error, string>();

/** Keeps the reason behind an error that a connection ends with after its handshake, for whoever owns it then. */
export function tellReason(error: Error, reason: string): void {
  told.set(error, reason);
}

/** The reason kept for an error: in TLS 1.3 a server refuses a client's certificate when that takes itself for connected. */
export function toldReason(error: Error): string | undefined {
  return told.get(error);
}
