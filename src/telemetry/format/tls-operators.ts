// The command operators of TLS connections: who the peer is, what this side showed, and what was agreed on, downstream and upstream.
import { oneLine } from "./escape.ts";
import type { CompileOperator, Read } from "./operator.ts";
import { compileDatePattern, defaultDatePattern } from "./strftime.ts";
import type { StreamInfo, TlsPeer } from "../stream-info.ts";

type Side = (info: StreamInfo) => TlsPeer | undefined;

const text =
  (side: Side, read: (peer: TlsPeer) => string): CompileOperator =>
  (argument) => {
    if (argument !== undefined) return { error: "takes no argument" };
    return (info) => {
      const tls = side(info);
      return tls === undefined ? undefined : oneLine(read(tls)) || undefined;
    };
  };

// Like START_TIME: an argument is a date pattern.
const date =
  (side: Side, read: (peer: TlsPeer) => number): CompileOperator =>
  (argument) => {
    const compiled = compileDatePattern(argument === undefined || argument === "" ? defaultDatePattern : argument);
    if (typeof compiled !== "function") return compiled;
    const format: Read = (info) => {
      const tls = side(info);
      return tls === undefined || !tls.presented ? undefined : compiled(read(tls));
    };
    return format;
  };

const joined = (values: readonly string[]): string => values.join(",");

function family(prefix: "DOWNSTREAM" | "UPSTREAM", side: Side): Readonly<Record<string, CompileOperator>> {
  const texts: Readonly<Record<string, (peer: TlsPeer) => string>> = {
    PEER_URI_SAN: (p) => joined(p.uriSans),
    PEER_DNS_SAN: (p) => joined(p.dnsSans),
    PEER_IP_SAN: (p) => joined(p.details().ipSans),
    PEER_EMAIL_SAN: (p) => joined(p.details().emailSans),
    PEER_SUBJECT: (p) => p.subject,
    PEER_ISSUER: (p) => p.issuer,
    PEER_SERIAL: (p) => p.serialNumber,
    PEER_FINGERPRINT_256: (p) => p.sha256,
    PEER_FINGERPRINT_1: (p) => p.details().sha1,
    PEER_CERT: (p) => encodeURIComponent(p.pem()),
    PEER_CHAIN_FINGERPRINTS_256: (p) => joined(p.details().chain.map((each) => each.sha256)),
    PEER_CHAIN_FINGERPRINTS_1: (p) => joined(p.details().chain.map((each) => each.sha1)),
    PEER_CHAIN_SERIALS: (p) => joined(p.details().chain.map((each) => each.serialNumber)),
    PEER_ISSUER_FINGERPRINT_256: (p) => p.details().chain[1]?.sha256 ?? "",
    PEER_ISSUER_SERIAL: (p) => p.details().chain[1]?.serialNumber ?? "",
    LOCAL_URI_SAN: (p) => joined(p.details().local.uriSans),
    LOCAL_DNS_SAN: (p) => joined(p.localDnsSans),
    LOCAL_IP_SAN: (p) => joined(p.details().local.ipSans),
    LOCAL_EMAIL_SAN: (p) => joined(p.details().local.emailSans),
    LOCAL_SUBJECT: (p) => p.localSubject,
    TLS_VERSION: (p) => p.version,
    TLS_CIPHER: (p) => p.cipher,
    TLS_SESSION_ID: (p) => p.sessionId,
  };
  return {
    ...Object.fromEntries(Object.entries(texts).map(([name, read]) => [`${prefix}_${name}`, text(side, read)])),
    [`${prefix}_PEER_CERT_V_START`]: date(side, (p) => p.details().validFromMs),
    [`${prefix}_PEER_CERT_V_END`]: date(side, (p) => p.details().validToMs),
  };
}

/** Operators by name. */
export const tlsOperators: Readonly<Record<string, CompileOperator>> = {
  ...family("DOWNSTREAM", (info) => info.connection.tls),
  ...family("UPSTREAM", (info) => info.upstreamTls),
};
