// TLS contexts, secrets and quiet dependencies for tests of the identity and upstream rooms.
import type { CommonTlsContext, DownstreamTlsContext, Secret, UpstreamTlsContext, ValidationContext } from "../../src/envoy/tls/tls.ts";
import type { Versioned } from "../../src/snapshot/update.ts";
import type { Logger } from "../../src/telemetry/logger.ts";
import type { Issued } from "./certs.ts";

/** A logger that keeps warnings. */
export function recordingLogger(): Logger & { readonly warnings: string[] } {
  const warnings: string[] = [];
  const logger: Logger & { readonly warnings: string[] } = {
    warnings,
    debug: () => {},
    info: () => {},
    warn: (message) => void warnings.push(message),
    error: (message) => void warnings.push(message),
    child: () => logger,
  };
  return logger;
}

/** A validation context with everything off but what is given. */
export function validation(over: Partial<ValidationContext> = {}): ValidationContext {
  return {
    matchSubjectAltNames: [],
    verifyCertificateHash: [],
    verifyCertificateSpki: [],
    allowExpiredCertificate: false,
    acceptUntrusted: false,
    ...over,
  };
}

/** A common context that presents `issued`. */
export function commonTls(issued: Issued | undefined, over: Partial<CommonTlsContext> = {}): CommonTlsContext {
  return {
    cipherSuites: [],
    ecdhCurves: [],
    certificates: issued === undefined ? [] : [{ certificateChain: issued.chain, privateKey: issued.key }],
    certificateSecrets: [],
    alpnProtocols: [],
    ...over,
  };
}

/** A server's context. */
export function downstreamTls(common: CommonTlsContext, over: Partial<DownstreamTlsContext> = {}): DownstreamTlsContext {
  return {
    common,
    requireClientCertificate: false,
    requireSni: false,
    disableStatelessSessionResumption: false,
    ocspStaplePolicy: "LENIENT_STAPLING",
    ...over,
  };
}

/** A client's context. */
export function upstreamTls(common: CommonTlsContext, over: Partial<UpstreamTlsContext> = {}): UpstreamTlsContext {
  return { common, sni: "", allowRenegotiation: false, maxSessionKeys: 1, ...over };
}

/** A secret as published. */
export function versionedSecret(name: string, version: string, secret: Omit<Secret, "name">): Versioned<Secret> {
  return { name, version, value: { name, ...secret } };
}
