// What a certificate says, for people and programs. Reading only: whether to believe it is verify.ts.
import { X509Certificate, type KeyObject } from "node:crypto";
import type { Result } from "../../error.ts";
import { children, findExtension, fromDer, keyUsages, octets, oid, type KeyUsage } from "./certificate.ts";

/** A certificate's content, JSON-able. */
export interface CertificateDescription {
  /** `O=Istio, CN=Root CA`; empty for a workload. */
  readonly subject: string;
  readonly issuer: string;
  /** Hexadecimal. */
  readonly serialNumber: string;
  /** ISO 8601. */
  readonly notBefore: string;
  readonly notAfter: string;
  readonly uris: readonly string[];
  readonly dnsNames: readonly string[];
  readonly ipAddresses: readonly string[];
  readonly isCa: boolean;
  /** CAs allowed below; null: not limited, or not a CA. */
  readonly pathLength: number | null;
  readonly keyUsage: readonly KeyUsage[];
  readonly extendedKeyUsage: readonly string[];
  /** `EC prime256v1`, `RSA 2048`. */
  readonly publicKey: string;
  readonly fingerprintSha256: string;
  /** Hexadecimal, null when absent. */
  readonly subjectKeyId: string | null;
  readonly authorityKeyId: string | null;
}

const BLOCK = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g;
const CERTIFICATES_LIMIT = 64;

/** The certificates of a PEM text in their order; text between them, and blocks of other kinds, are passed over. */
export function parseChain(pem: string): Result<readonly X509Certificate[]> {
  const refuse = (message: string): Result<readonly X509Certificate[]> => ({
    ok: false,
    issues: [{ severity: "error", path: [], message }],
  });
  const blocks = pem.match(BLOCK) ?? [];
  if (blocks.length === 0) return refuse("there is no PEM certificate");
  if (blocks.length > CERTIFICATES_LIMIT) return refuse(`there are more than ${CERTIFICATES_LIMIT} certificates`);
  const chain: X509Certificate[] = [];
  for (const [i, block] of blocks.entries()) {
    const certificate = readCertificate(block);
    if (!certificate) return refuse(`certificate ${i + 1} of ${blocks.length} cannot be read`);
    chain.push(certificate);
  }
  return { ok: true, value: chain, issues: [] };
}

/** OpenSSL's reason says less than the number of the certificate does, so it is dropped. */
function readCertificate(block: string): X509Certificate | undefined {
  try {
    const certificate = new X509Certificate(block);
    // OpenSSL reads keys and dates late: what cannot be read at all is refused here, so that no reader has to expect it.
    const { publicKey, validFromDate, validToDate } = certificate;
    return publicKey.type === "public" && validToDate.getTime() >= validFromDate.getTime() ? certificate : undefined;
  } catch {
    return undefined;
  }
}

/** Everything a reader of a certificate asks for. */
export function describeCertificate(certificate: X509Certificate): CertificateDescription {
  const names = alternativeNames(certificate);
  return {
    subject: oneLine(certificate.subject),
    issuer: oneLine(certificate.issuer),
    serialNumber: certificate.serialNumber.toLowerCase(),
    notBefore: certificate.validFromDate.toISOString(),
    notAfter: certificate.validToDate.toISOString(),
    uris: names.filter(({ tag }) => tag === 6).map(({ value }) => value.toString("latin1")),
    dnsNames: names.filter(({ tag }) => tag === 2).map(({ value }) => value.toString("latin1")),
    ipAddresses: names.filter(({ tag }) => tag === 7).map(({ value }) => formatIp(value)),
    isCa: certificate.ca,
    pathLength: pathLength(certificate),
    keyUsage: readKeyUsage(certificate),
    extendedKeyUsage: (certificate.keyUsage ?? []).map((id) =>
      id === oid.serverAuth ? "serverAuth" : id === oid.clientAuth ? "clientAuth" : id,
    ),
    publicKey: describeKey(certificate.publicKey),
    fingerprintSha256: certificate.fingerprint256.replaceAll(":", "").toLowerCase(),
    subjectKeyId: keyId(certificate, oid.subjectKeyId),
    authorityKeyId: keyId(certificate, oid.authorityKeyId),
  };
}

/** How many CAs may follow below; null when not limited or not a CA. */
export function pathLength(certificate: X509Certificate): number | null {
  const extension = findExtension(certificate, oid.basicConstraints);
  const limit = octets(extension && children(fromDer(extension.value))[1]);
  return limit.length > 0 ? limit.readUIntBE(0, Math.min(limit.length, 6)) : null;
}

/** The certificate's key usages; none when it has no such extension. */
export function readKeyUsage(certificate: X509Certificate): readonly KeyUsage[] {
  const extension = findExtension(certificate, oid.keyUsage);
  if (!extension) return [];
  const bits = octets(fromDer(extension.value))[1] ?? 0;
  return keyUsages.filter((_, i) => bits & (0x80 >> i));
}

function oneLine(name: string | undefined): string {
  return (name ?? "").split("\n").filter(Boolean).join(", ");
}

function alternativeNames(certificate: X509Certificate): readonly { readonly tag: number; readonly value: Buffer }[] {
  const extension = findExtension(certificate, oid.subjectAltName);
  if (!extension) return [];
  return children(fromDer(extension.value)).map((name) => ({ tag: name.type as number, value: octets(name) }));
}

function formatIp(bytes: Buffer): string {
  if (bytes.length === 4) return bytes.join(".");
  const groups: string[] = [];
  for (let i = 0; i + 1 < bytes.length; i += 2) groups.push(bytes.readUInt16BE(i).toString(16));
  return groups.join(":");
}

function describeKey(key: KeyObject): string {
  const details = key.asymmetricKeyDetails;
  const type = (key.asymmetricKeyType ?? "unknown").toUpperCase();
  return `${type} ${details?.namedCurve ?? details?.modulusLength ?? ""}`.trim();
}

function keyId(certificate: X509Certificate, id: typeof oid.subjectKeyId | typeof oid.authorityKeyId): string | null {
  const extension = findExtension(certificate, id);
  if (!extension) return null;
  const value = fromDer(extension.value);
  if (id === oid.subjectKeyId) return octets(value).toString("hex");
  const own = children(value).find((part) => (part.type as number) === 0);
  return own ? octets(own).toString("hex") : null;
}
