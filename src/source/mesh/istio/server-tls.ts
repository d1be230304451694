// ServerTLSSettings of a Gateway server: what is done with TLS, with which certificates, and who may connect.
import type { Fields } from "../object/fields.ts";
import { readCipherSuites } from "./tls-parameters.ts";

/** What a gateway does with TLS. */
export type ServerTlsMode = "SIMPLE" | "MUTUAL" | "OPTIONAL_MUTUAL" | "ISTIO_MUTUAL" | "PASSTHROUGH" | "AUTO_PASSTHROUGH";

const modes: readonly ServerTlsMode[] = ["SIMPLE", "MUTUAL", "OPTIONAL_MUTUAL", "ISTIO_MUTUAL", "PASSTHROUGH", "AUTO_PASSTHROUGH"];

/** Certificates as files of the gateway's own machine. */
export interface ServerCertificateFiles {
  readonly certificate: string;
  readonly privateKey: string;
  /** Empty in mode SIMPLE. */
  readonly authorities: string;
  /** `caCrl`: revocation lists, of which a client's certificate may be in none; empty asks for none. */
  readonly revocations: string;
}

/** Versions of TLS, oldest first. */
const tlsVersions = ["TLSV1_0", "TLSV1_1", "TLSV1_2", "TLSV1_3"] as const;

/** One of them. */
export type ServerTlsVersion = (typeof tlsVersions)[number];

/** ServerTLSSettings. */
export interface ServerTls {
  readonly mode: ServerTlsMode;
  /** Secrets of the gateway's own namespace, certificates of different key types; empty where files or the mesh provide. */
  readonly credentialNames: readonly string[];
  /** The field that named them, for messages. */
  readonly credentialField: "credentialName" | "credentialNames";
  /** A secret with nothing but authorities, in place of the credential's own; empty when not given. */
  readonly authorityCredential: string;
  readonly files?: ServerCertificateFiles;
  /** Names a client's certificate may have; empty accepts any. */
  readonly subjectAltNames: readonly string[];
  /** base64 SHA-256 hashes of the public keys a client may have. */
  readonly certificateSpki: readonly string[];
  /** Hexadecimal SHA-256 hashes of the certificates a client may have. */
  readonly certificateHash: readonly string[];
  /** Undefined leaves Envoy's default: 1.2. */
  readonly minVersion?: ServerTlsVersion;
  /** Undefined leaves Envoy's default: 1.3. */
  readonly maxVersion?: ServerTlsVersion;
  /** OpenSSL's names, for TLS 1.2 and older; empty leaves Envoy's default. */
  readonly cipherSuites: readonly string[];
  /** Requests that were not made with https are sent there. */
  readonly httpsRedirect: boolean;
}

/** True when TLS ends at the gateway. */
export function terminatesTls(tls: ServerTls | undefined): tls is ServerTls {
  return tls !== undefined && tls.mode !== "PASSTHROUGH" && tls.mode !== "AUTO_PASSTHROUGH";
}

/** True when a client is asked for a certificate. */
export function asksForCertificate({ mode }: ServerTls): boolean {
  return mode === "MUTUAL" || mode === "OPTIONAL_MUTUAL" || mode === "ISTIO_MUTUAL";
}

/** Reads `tls` of a server. What Istio's validation refuses is an error here too. */
export function readServerTls(tls: Fields): ServerTls {
  const mode = tls.oneOf("mode", modes) ?? "PASSTHROUGH";
  const several = tls.strings("credentialNames");
  const one = tls.string("credentialName") ?? "";
  if (several.length > 0 && one !== "") tls.error("credentialNames", "is given beside credentialName, expected one of them");
  const settings: ServerTls = {
    mode,
    credentialNames: several.length > 0 ? several : one === "" ? [] : [one],
    credentialField: several.length > 0 ? "credentialNames" : "credentialName",
    authorityCredential: tls.string("caCertCredentialName") ?? "",
    ...readFiles(tls),
    subjectAltNames: tls.strings("subjectAltNames"),
    certificateSpki: tls.strings("verifyCertificateSpki"),
    certificateHash: tls.strings("verifyCertificateHash"),
    ...readVersions(tls),
    cipherSuites: readCipherSuites(tls),
    httpsRedirect: tls.boolean("httpsRedirect") ?? false,
  };
  checkSources(tls, settings);
  tls.finish();
  return settings;
}

function readFiles(tls: Fields): { readonly files?: ServerCertificateFiles } {
  const certificate = tls.string("serverCertificate") ?? "";
  const privateKey = tls.string("privateKey") ?? "";
  const authorities = tls.string("caCertificates") ?? "";
  const revocations = tls.string("caCrl") ?? "";
  return certificate === "" && privateKey === "" && authorities === ""
    ? {}
    : { files: { certificate, privateKey, authorities, revocations } };
}

function readVersions(tls: Fields): { readonly minVersion?: ServerTlsVersion; readonly maxVersion?: ServerTlsVersion } {
  const words = ["TLS_AUTO", ...tlsVersions] as const;
  const read = (key: string): ServerTlsVersion | undefined => {
    const word = tls.oneOf(key, words);
    return word === "TLS_AUTO" ? undefined : word;
  };
  const minVersion = read("minProtocolVersion");
  const maxVersion = read("maxProtocolVersion");
  if (minVersion !== undefined && maxVersion !== undefined && tlsVersions.indexOf(minVersion) > tlsVersions.indexOf(maxVersion))
    tls.error("minProtocolVersion", `is ${minVersion}, above maxProtocolVersion ${maxVersion}`);
  return { ...(minVersion === undefined ? {} : { minVersion }), ...(maxVersion === undefined ? {} : { maxVersion }) };
}

function checkSources(tls: Fields, settings: ServerTls): void {
  const { mode, files } = settings;
  const given = (keys: readonly string[]): readonly string[] => keys.filter((key) => tls.has(key));
  const fileFields = ["serverCertificate", "privateKey", "caCertificates", "caCrl"];
  const credentialFields = ["credentialName", "credentialNames", "caCertCredentialName"];
  if (mode === "ISTIO_MUTUAL") {
    for (const key of given([...fileFields, ...credentialFields]))
      tls.error(key, "is given in mode ISTIO_MUTUAL, which takes the workload's own certificate");
    return;
  }
  if (!terminatesTls(settings)) {
    const unused = ["subjectAltNames", "verifyCertificateSpki", "verifyCertificateHash"];
    const parameters = ["minProtocolVersion", "maxProtocolVersion", "cipherSuites"];
    for (const key of given([...fileFields, ...credentialFields, ...unused, ...parameters]))
      tls.warn(key, `has no effect: TLS does not end here in mode ${mode}`);
    return;
  }
  const asks = asksForCertificate(settings);
  if (!asks) {
    // Envoy refuses such a listener: names in a certificate that no authority vouches for prove nothing.
    for (const key of given(["subjectAltNames", "verifyCertificateSpki", "verifyCertificateHash"]))
      tls.error(key, `is given in mode ${mode}, which does not verify clients, expected MUTUAL`);
  }
  if (settings.credentialNames.length > 0) {
    // Istio leaves such a list out, which would let in who was shut out.
    if (tls.has("caCrl")) tls.error("caCrl", "is given beside credentialName, expected the list as ca.crl in its Secret");
    return;
  }
  const missing = (key: string): void => tls.error(key, `is missing, expected it in mode ${mode} without credentialName`);
  if (files === undefined || files.certificate === "") missing("serverCertificate");
  if (files === undefined || files.privateKey === "") missing("privateKey");
  if (asks && (files === undefined || files.authorities === "")) missing("caCertificates");
}
