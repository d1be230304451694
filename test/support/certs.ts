// X.509 certificates for tests, built from DER by hand on node:crypto keys (EC P-256), so that tests need no openssl
// binary and may put anything into a certificate: several URI SANs, NUL bytes, missing or wrong key usages.
import { createHash, generateKeyPairSync, randomBytes, sign, X509Certificate } from "node:crypto";
import type { KeyObject } from "node:crypto";

/** A key and its certificate, as PEM. `chain` is the certificate followed by its issuers, without the root. */
export interface Issued {
  readonly cert: string;
  readonly key: string;
  readonly chain: string;
}

/** What an issued certificate says. Dates are offsets from now in milliseconds. */
export interface IssueOptions {
  readonly cn?: string;
  readonly o?: string;
  readonly uri?: readonly string[];
  readonly dns?: readonly string[];
  readonly email?: readonly string[];
  /** Raw 4 or 16 bytes each. */
  readonly ip?: readonly Buffer[];
  /** Extended key usages; default both, empty list leaves the extension out. */
  readonly usages?: readonly ("server" | "client")[];
  readonly notBeforeMs?: number;
  readonly notAfterMs?: number;
  /** Default EC P-256; `rsa` has 2048 bits. */
  readonly keyType?: KeyType;
}

/** A certificate authority made for one test file. */
export interface TestCa {
  /** PEM of this authority's own certificate. */
  readonly cert: string;
  issue(options?: IssueOptions): Issued;
  /** An authority below this one. */
  intermediate(cn: string): TestCa;
  /** An OCSP response (DER) that calls a certificate (PEM) good until then. */
  vouchFor(certificate: string, untilMs: number): Buffer;
  /** A revocation list (PEM) with these certificates (PEM). */
  revoke(...certificates: readonly string[]): string;
}

const hourMs = 3_600_000;

function tlv(tag: number, ...parts: readonly Buffer[]): Buffer {
  const body = Buffer.concat(parts);
  const n = body.length;
  const head = n < 128 ? [tag, n] : n < 256 ? [tag, 0x81, n] : [tag, 0x82, n >> 8, n & 255];
  return Buffer.concat([Buffer.from(head), body]);
}
const seq = (...parts: readonly Buffer[]): Buffer => tlv(0x30, ...parts);
const oid = (hex: string): Buffer => tlv(0x06, Buffer.from(hex, "hex"));
const octets = (body: Buffer): Buffer => tlv(0x04, body);
const bits = (body: Buffer): Buffer => tlv(0x03, Buffer.from([0]), body);
const utf8 = (text: string): Buffer => tlv(0x0c, Buffer.from(text));
const yes = tlv(0x01, Buffer.from([255]));
const ecdsaSha256 = seq(oid("2a8648ce3d040302"));
const rsaSha256 = seq(oid("2a864886f70d01010b"), tlv(0x05));
const algorithmOf = (key: KeyObject): Buffer => (key.asymmetricKeyType === "rsa" ? rsaSha256 : ecdsaSha256);

function time(atMs: number): Buffer {
  return tlv(0x18, Buffer.from(`${new Date(atMs).toISOString().replace(/[-:T]/g, "").slice(0, 14)}Z`));
}

function name(o: string | undefined, cn: string | undefined): Buffer {
  const parts: Buffer[] = [];
  if (cn !== undefined) parts.push(tlv(0x31, seq(oid("550403"), utf8(cn))));
  if (o !== undefined) parts.push(tlv(0x31, seq(oid("55040a"), utf8(o))));
  return seq(...parts);
}

const extension = (hex: string, critical: boolean, value: Buffer): Buffer =>
  critical ? seq(oid(hex), yes, octets(value)) : seq(oid(hex), octets(value));

function pem(der: Buffer, label = "CERTIFICATE"): string {
  const lines = der.toString("base64").match(/.{1,64}/g) ?? [];
  return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ""].join("\n");
}

interface Signer {
  readonly key: KeyObject;
  readonly subject: Buffer;
  readonly keyId: Buffer;
}

function certificate(
  signer: Signer,
  subject: Buffer,
  publicKey: KeyObject,
  notBefore: number,
  notAfter: number,
  extra: readonly Buffer[],
): Buffer {
  const spki = publicKey.export({ type: "spki", format: "der" });
  const serial = Buffer.concat([Buffer.from([0x4a]), randomBytes(15)]);
  const extensions = [extension("551d0e", false, octets(keyId(spki))), extension("551d23", false, seq(tlv(0x80, signer.keyId))), ...extra];
  const tbs = seq(
    tlv(0xa0, tlv(0x02, Buffer.from([2]))),
    tlv(0x02, serial),
    algorithmOf(signer.key),
    signer.subject,
    seq(time(notBefore), time(notAfter)),
    subject,
    spki,
    tlv(0xa3, seq(...extensions)),
  );
  return seq(tbs, algorithmOf(signer.key), bits(sign("sha256", tbs, signer.key)));
}

const keyId = (spki: Buffer): Buffer => createHash("sha1").update(spki).digest();

function authority(key: KeyObject, subject: Buffer, spkiId: Buffer, certPem: string, chain: string): TestCa {
  const signer: Signer = { key, subject, keyId: spkiId };
  return {
    cert: certPem,
    issue: (options = {}) => {
      const pair = makeKeys(options.keyType);
      const san = [
        ...(options.uri ?? []).map((u) => tlv(0x86, Buffer.from(u, "latin1"))),
        ...(options.dns ?? []).map((d) => tlv(0x82, Buffer.from(d, "latin1"))),
        ...(options.email ?? []).map((m) => tlv(0x81, Buffer.from(m, "latin1"))),
        ...(options.ip ?? []).map((i) => tlv(0x87, i)),
      ];
      const usages = (options.usages ?? ["server", "client"]).map((u) => oid(u === "server" ? "2b06010505070301" : "2b06010505070302"));
      const extra = [
        ...(usages.length > 0 ? [extension("551d25", false, seq(...usages))] : []),
        ...(san.length > 0 ? [extension("551d11", options.cn === undefined && options.o === undefined, seq(...san))] : []),
      ];
      const now = Date.now();
      const der = certificate(
        signer,
        name(options.o, options.cn),
        pair.publicKey,
        now + (options.notBeforeMs ?? -hourMs),
        now + (options.notAfterMs ?? hourMs),
        extra,
      );
      const cert = pem(der);
      return { cert, chain: cert + chain, key: pair.privateKey.export({ type: "pkcs8", format: "pem" }).toString() };
    },
    vouchFor: (of, untilMs) => {
      const sha1 = seq(oid("2b0e03021a"));
      const serial = tlv(0x02, Buffer.from(new X509Certificate(of).serialNumber, "hex"));
      const id = seq(sha1, octets(createHash("sha1").update(subject).digest()), octets(spkiId), serial);
      const single = seq(id, tlv(0x80), time(Date.now() - hourMs), tlv(0xa0, time(untilMs)));
      const data = seq(tlv(0xa2, octets(spkiId)), time(Date.now() - hourMs), seq(single));
      const basic = seq(data, algorithmOf(key), bits(sign("sha256", data, key)));
      return seq(tlv(0x0a, Buffer.from([0])), tlv(0xa0, seq(oid("2b0601050507300101"), octets(basic))));
    },
    revoke: (...certificates) => {
      const now = Date.now();
      const entries = certificates.map((each) =>
        seq(tlv(0x02, Buffer.from(new X509Certificate(each).serialNumber, "hex")), time(now - hourMs)),
      );
      const list = entries.length === 0 ? [] : [seq(...entries)];
      const tbs = seq(tlv(0x02, Buffer.from([1])), algorithmOf(key), subject, time(now - hourMs), time(now + hourMs), ...list);
      return pem(seq(tbs, algorithmOf(key), bits(sign("sha256", tbs, key))), "X509 CRL");
    },
    intermediate: (cn) => {
      const made = makeAuthority(cn, signer);
      return authority(made.key, made.subject, made.keyId, made.cert, made.cert + chain);
    },
  };
}

type KeyType = "ec" | "rsa";

const makeKeys = (type: KeyType = "ec"): { readonly publicKey: KeyObject; readonly privateKey: KeyObject } =>
  type === "rsa" ? generateKeyPairSync("rsa", { modulusLength: 2048 }) : generateKeyPairSync("ec", { namedCurve: "prime256v1" });

function makeAuthority(cn: string, parent: Signer | undefined, keyType?: KeyType): Signer & { readonly cert: string } {
  const pair = makeKeys(keyType);
  const subject = name("test", cn);
  const id = keyId(pair.publicKey.export({ type: "spki", format: "der" }));
  const self: Signer = { key: pair.privateKey, subject, keyId: id };
  const now = Date.now();
  const der = certificate(parent ?? self, subject, pair.publicKey, now - 24 * hourMs, now + 24 * hourMs, [
    extension("551d13", true, seq(yes)),
    extension("551d0f", true, tlv(0x03, Buffer.from([1, 0x06]))),
  ]);
  return { ...self, cert: pem(der) };
}

/** A self-signed root. */
export function makeCa(cn = "root", keyType?: KeyType): TestCa {
  const made = makeAuthority(cn, undefined, keyType);
  return authority(made.key, made.subject, made.keyId, made.cert, "");
}
