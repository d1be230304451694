// The names in a certificate, read from its DER: SANs by kind, subject and issuer. Node's own `subjectAltName` text quotes
// and joins values; identity decisions need the raw ones.
import { SocketAddress } from "node:net";
import { readChildren, readElement } from "./der.ts";
import type { DerElement } from "./der.ts";
import { formatName } from "./distinguished-name.ts";

/** Which kinds of SAN are told apart. */
export type SanType = "DNS" | "URI" | "EMAIL" | "IP_ADDRESS";

/** One subject alternative name. `value` holds the raw bytes one char each (latin1); IP addresses are text. */
export interface San {
  readonly type: SanType;
  readonly value: string;
}

/** What a certificate says about who it is for. */
export interface CertificateNames {
  /** In the certificate's order. */
  readonly sans: readonly San[];
  readonly uriSans: readonly string[];
  readonly dnsSans: readonly string[];
  /** RFC 2253, e.g. `O=lab,CN=client`. */
  readonly subject: string;
  readonly issuer: string;
}

const sanTypes: Readonly<Record<number, SanType>> = { 0x81: "EMAIL", 0x82: "DNS", 0x86: "URI", 0x87: "IP_ADDRESS" };
const subjectAltNameOid = "551d11";

/** No names at all: what an absent or unreadable certificate has. */
export const noNames: CertificateNames = { sans: [], uriSans: [], dnsSans: [], subject: "", issuer: "" };

/** Reads the names of a DER certificate; unreadable input has none (and so matches nothing). */
export function readCertificateNames(der: Buffer): CertificateNames {
  const certificate = readElement(der, 0, der.length);
  const tbs = certificate && readElement(der, certificate.start, certificate.end);
  if (tbs === undefined) return noNames;
  let fields = readChildren(der, tbs);
  if (fields[0]?.tag === 0xa0) fields = fields.slice(1); // the explicit version of v2 and v3 certificates
  const [, , issuer, , subject] = fields;
  if (issuer === undefined || subject === undefined) return noNames;
  const extensions = fields.find((field) => field.tag === 0xa3);
  const sans = extensions === undefined ? [] : readSans(der, extensions);
  return {
    sans,
    uriSans: sans.filter((san) => san.type === "URI").map((san) => san.value),
    dnsSans: sans.filter((san) => san.type === "DNS").map((san) => san.value),
    subject: formatName(der, subject),
    issuer: formatName(der, issuer),
  };
}

function readSans(der: Buffer, wrapper: DerElement): readonly San[] {
  const list = readElement(der, wrapper.start, wrapper.end);
  if (list === undefined) return [];
  for (const extension of readChildren(der, list)) {
    const parts = readChildren(der, extension);
    const oid = parts[0];
    const value = parts.at(-1); // `critical` may stand between
    if (oid === undefined || value === undefined || value.tag !== 0x04) continue;
    if (der.toString("hex", oid.start, oid.end) !== subjectAltNameOid) continue;
    const names = readElement(der, value.start, value.end);
    return names === undefined ? [] : readChildren(der, names).flatMap((name) => readSan(der, name));
  }
  return [];
}

function readSan(der: Buffer, name: DerElement): readonly San[] {
  const type = sanTypes[name.tag];
  if (type === undefined) return [];
  const raw = der.subarray(name.start, name.end);
  if (type !== "IP_ADDRESS") return [{ type, value: raw.toString("latin1") }];
  if (raw.length === 4) return [{ type, value: raw.join(".") }];
  if (raw.length !== 16) return [];
  const groups = raw.toString("hex").match(/.{4}/g) ?? [];
  return [{ type, value: new SocketAddress({ address: groups.join(":"), family: "ipv6" }).address }];
}

/** The names of the first certificate of a PEM chain; none when there is no readable one. */
export function leafNames(pem: string | undefined): CertificateNames {
  const body = pem === undefined ? undefined : /-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]+)-----END/.exec(pem)?.[1];
  return body === undefined ? noNames : readCertificateNames(Buffer.from(body, "base64"));
}
