// One X.509 certificate from its parts: the body is built with node-forge's ASN.1, the signature is node:crypto's, since
// node-forge knows no elliptic curves. What goes into which kind of certificate is authority.ts.
import { X509Certificate, createHash, randomBytes, sign, type KeyObject } from "node:crypto";
import forge from "node-forge";

const { asn1 } = forge;
type Asn1 = forge.asn1.Asn1;

/** Object identifiers of what we write and read. */
export const oid = {
  ecdsaWithSha256: "1.2.840.10045.4.3.2",
  rsaWithSha256: "1.2.840.113549.1.1.11",
  commonName: "2.5.4.3",
  locality: "2.5.4.7",
  organization: "2.5.4.10",
  subjectKeyId: "2.5.29.14",
  keyUsage: "2.5.29.15",
  subjectAltName: "2.5.29.17",
  basicConstraints: "2.5.29.19",
  authorityKeyId: "2.5.29.35",
  extendedKeyUsage: "2.5.29.37",
  serverAuth: "1.3.6.1.5.5.7.3.1",
  clientAuth: "1.3.6.1.5.5.7.3.2",
} as const;

/** Key usages in the order of their bits (RFC 5280, section 4.2.1.3). */
export const keyUsages = [
  "digitalSignature",
  "nonRepudiation",
  "keyEncipherment",
  "dataEncipherment",
  "keyAgreement",
  "keyCertSign",
  "cRLSign",
] as const;

/** A key usage by its RFC 5280 name. */
export type KeyUsage = (typeof keyUsages)[number];

/** The names a subject may have here; none at all for a workload. */
export interface Subject {
  readonly organization?: string;
  readonly commonName?: string;
  readonly locality?: string;
}

/** What a certificate says. */
export interface CertificateSpec {
  readonly subject: Subject;
  readonly publicKey: KeyObject;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  /** undefined: an end entity. `pathLength` undefined: no limit on the CAs below. */
  readonly ca: { readonly pathLength: number | undefined } | undefined;
  readonly keyUsage: readonly KeyUsage[];
  readonly extendedKeyUsage: readonly string[];
  readonly uris: readonly string[];
  readonly dnsNames: readonly string[];
}

/** Who signs; without a certificate the new one is self-signed. */
export interface CertificateSigner {
  readonly certificate: X509Certificate | undefined;
  readonly key: KeyObject;
}

/** Builds and signs a certificate, SHA-256 throughout. */
export function signCertificate(spec: CertificateSpec, signer: CertificateSigner): X509Certificate {
  const algorithm = signatureAlgorithm(signer.key);
  const subject = encodeSubject(spec.subject);
  const spki = fromDer(spec.publicKey.export({ type: "spki", format: "der" }))!;
  const own = keyIdentifier(spki);
  const issuer = signer.certificate ? issuerOf(signer.certificate) : { name: subject, keyIdentifier: own };
  const body = sequence([
    context(0, [universal(asn1.Type.INTEGER, "\x02")]),
    universal(asn1.Type.INTEGER, createSerial()),
    algorithm,
    issuer.name,
    sequence([encodeTime(spec.notBeforeMs), encodeTime(spec.notAfterMs)]),
    subject,
    spki,
    context(3, [sequence(encodeExtensions(spec, own, issuer.keyIdentifier))]),
  ]);
  const signature = sign("sha256", Buffer.from(asn1.toDer(body).getBytes(), "latin1"), signer.key);
  const whole = sequence([body, algorithm, universal(asn1.Type.BITSTRING, `\0${signature.toString("latin1")}`)]);
  return new X509Certificate(Buffer.from(asn1.toDer(whole).getBytes(), "latin1"));
}

/** Reads DER, bit strings staying bytes; undefined when it is none, which an extension of a strange certificate may be. */
export function fromDer(der: Buffer): Asn1 | undefined {
  // @types/node-forge knows only the older boolean form of the second argument.
  const parse = asn1.fromDer as unknown as (bytes: string, options: object) => Asn1;
  try {
    return parse(der.toString("latin1"), { strict: true, parseAllBytes: true, decodeBitStrings: false });
  } catch {
    return undefined;
  }
}

/** The elements of a constructed value. */
export function children(value: Asn1 | undefined): readonly Asn1[] {
  return Array.isArray(value?.value) ? value.value : [];
}

/** The bytes of a primitive value. */
export function octets(value: Asn1 | undefined): Buffer {
  return Buffer.from(typeof value?.value === "string" ? value.value : "", "latin1");
}

/** A primitive value of a universal type. */
export function universal(type: forge.asn1.Type, value: string): Asn1 {
  return asn1.create(asn1.Class.UNIVERSAL, type, false, value);
}

/** A SEQUENCE. */
export function sequence(parts: Asn1[]): Asn1 {
  return asn1.create(asn1.Class.UNIVERSAL, asn1.Type.SEQUENCE, true, parts);
}

/** A context-specific value: constructed from a list, primitive from text. */
export function context(tag: number, value: Asn1[] | string): Asn1 {
  return asn1.create(asn1.Class.CONTEXT_SPECIFIC, tag as forge.asn1.Type, typeof value !== "string", value);
}

/** An OBJECT IDENTIFIER. */
export function objectId(id: string): Asn1 {
  return universal(asn1.Type.OID, asn1.oidToDer(id).getBytes());
}

/** The AlgorithmIdentifier of a signature by `key` with SHA-256. */
export function signatureAlgorithm(key: KeyObject): Asn1 {
  if (key.asymmetricKeyType === "ec") return sequence([objectId(oid.ecdsaWithSha256)]);
  return sequence([objectId(oid.rsaWithSha256), universal(asn1.Type.NULL, "")]);
}

/** 126 random bits: positive, of one length, and far from any collision. */
function createSerial(): string {
  const serial = randomBytes(16);
  serial[0] = (serial[0]! & 0x7f) | 0x40;
  return serial.toString("latin1");
}

function encodeSubject(subject: Subject): Asn1 {
  const part = (id: string, text: string | undefined): Asn1[] => {
    if (text === undefined) return [];
    const value = universal(asn1.Type.UTF8, Buffer.from(text, "utf8").toString("latin1"));
    return [asn1.create(asn1.Class.UNIVERSAL, asn1.Type.SET, true, [sequence([objectId(id), value])])];
  };
  return sequence([
    ...part(oid.organization, subject.organization),
    ...part(oid.commonName, subject.commonName),
    ...part(oid.locality, subject.locality),
  ]);
}

/** UTCTime has two digits for the year and ends with 2049 (RFC 5280, section 4.1.2.5). */
function encodeTime(ms: number): Asn1 {
  const date = new Date(ms);
  if (date.getUTCFullYear() < 2050) return universal(asn1.Type.UTCTIME, asn1.dateToUtcTime(date));
  return universal(asn1.Type.GENERALIZEDTIME, asn1.dateToGeneralizedTime(date));
}

/** RFC 7093, method 1: the first 160 bits of the SHA-256 of the public key. */
function keyIdentifier(spki: Asn1): Buffer {
  return createHash("sha256")
    .update(octets(children(spki)[1]).subarray(1))
    .digest()
    .subarray(0, 20);
}

/** Name and key identifier of a signer, byte for byte as its certificate has them. */
function issuerOf(certificate: X509Certificate): { readonly name: Asn1; readonly keyIdentifier: Buffer } {
  const body = children(fromDer(certificate.raw))[0];
  const fields = children(body);
  const extension = findExtension(certificate, oid.subjectKeyId);
  return {
    name: fields[5]!,
    keyIdentifier: extension ? octets(fromDer(extension.value)) : keyIdentifier(fields[6]!),
  };
}

/** An extension of `certificate`, its value still in DER; undefined when it has none such. */
export function findExtension(
  certificate: X509Certificate,
  id: string,
): { readonly critical: boolean; readonly value: Buffer } | undefined {
  const body = children(children(fromDer(certificate.raw))[0]);
  const tagged = body.find((part) => part.tagClass === asn1.Class.CONTEXT_SPECIFIC && (part.type as number) === 3);
  for (const extension of children(children(tagged)[0])) {
    const parts = children(extension);
    if (asn1.derToOid(forge.util.createBuffer(octets(parts[0]).toString("latin1"))) !== id) continue;
    return { critical: parts.length === 3 && octets(parts[1])[0] !== 0, value: octets(parts.at(-1)) };
  }
  return undefined;
}

function encodeExtensions(spec: CertificateSpec, own: Buffer, issuer: Buffer): Asn1[] {
  const extension = (id: string, critical: boolean, value: Asn1): Asn1 =>
    sequence([
      objectId(id),
      ...(critical ? [universal(asn1.Type.BOOLEAN, "\xff")] : []),
      universal(asn1.Type.OCTETSTRING, asn1.toDer(value).getBytes()),
    ]);
  const constraints = spec.ca ? [universal(asn1.Type.BOOLEAN, "\xff")] : [];
  if (spec.ca?.pathLength !== undefined) constraints.push(universal(asn1.Type.INTEGER, String.fromCharCode(spec.ca.pathLength)));
  const names = [...spec.uris.map((uri) => context(6, uri)), ...spec.dnsNames.map((name) => context(2, name))];
  const anonymous = Object.values(spec.subject).every((part) => part === undefined);
  return [
    extension(oid.keyUsage, true, universal(asn1.Type.BITSTRING, encodeKeyUsage(spec.keyUsage))),
    ...(spec.extendedKeyUsage.length > 0 ? [extension(oid.extendedKeyUsage, false, sequence(spec.extendedKeyUsage.map(objectId)))] : []),
    extension(oid.basicConstraints, true, sequence(constraints)),
    extension(oid.subjectKeyId, false, universal(asn1.Type.OCTETSTRING, own.toString("latin1"))),
    extension(oid.authorityKeyId, false, sequence([context(0, issuer.toString("latin1"))])),
    // With an empty subject the alternative name is the only one, so it must be understood (RFC 5280, section 4.2.1.6).
    ...(names.length > 0 ? [extension(oid.subjectAltName, anonymous, sequence(names))] : []),
  ];
}

/** A bit string without trailing zero bits, as DER wants it; every usage we know lies in the first byte. */
function encodeKeyUsage(usages: readonly KeyUsage[]): string {
  const bits = usages.reduce((all, usage) => all | (0x80 >> keyUsages.indexOf(usage)), 0);
  const unused = bits === 0 ? 0 : 31 - Math.clz32(bits & -bits);
  return String.fromCharCode(unused, bits);
}
