// What a stapled OCSP response says of itself (RFC 6960 section 4.2.1): which certificate it is for and until when it holds. Whether
// it is true is for the client to judge.
import { readChildren, readElement } from "./der.ts";
import type { DerElement } from "./der.ts";

/** A response about one certificate. */
export interface OcspResponse {
  /** Lower-case hexadecimal, without leading zeros. */
  readonly serialNumber: string;
  /** Infinity when the response names no end. */
  readonly nextUpdateMs: number;
}

/** Reads a successful response; undefined when it is none. */
export function readOcspResponse(der: Buffer): OcspResponse | undefined {
  const response = readElement(der, 0, der.length);
  if (response === undefined) return undefined;
  const [status, wrapper] = readChildren(der, response);
  // 0 = successful; every other status has no bytes behind it.
  if (status === undefined || der[status.start] !== 0 || wrapper === undefined) return undefined;
  const basic = inside(der, inside(der, wrapper, 0), 1);
  const data = basic && inside(der, inside(der, { tag: 0, start: basic.start, end: basic.end }, 0), 0);
  if (data === undefined) return undefined;
  const responses = readChildren(der, data).find(({ tag }) => tag === 0x30);
  const single = responses && inside(der, responses, 0);
  if (single === undefined) return undefined;
  const parts = readChildren(der, single);
  const serial = parts[0] && readChildren(der, parts[0])[3];
  if (serial === undefined) return undefined;
  const end = parts.slice(2).find(({ tag }) => tag === 0xa0);
  const nextUpdate = end && inside(der, end, 0);
  const nextUpdateMs = nextUpdate === undefined ? Infinity : readGeneralizedTime(der, nextUpdate);
  return { serialNumber: normalised(der.toString("hex", serial.start, serial.end)), nextUpdateMs };
}

/** True when a response is about the certificate with this serial number (hexadecimal). */
export function isAbout(response: OcspResponse, serialNumber: string): boolean {
  return response.serialNumber === normalised(serialNumber);
}

// The TLS feature extension (RFC 7633) by its object identifier: its owner wants no handshake without a staple.
const tlsFeature = Buffer.from("06082b06010505070118", "hex");

/** True when a certificate (DER) asks to be shown with a staple only. */
export function mustStaple(certificate: Buffer): boolean {
  return certificate.includes(tlsFeature);
}

function inside(der: Buffer, element: DerElement | undefined, index: number): DerElement | undefined {
  return element && readChildren(der, element)[index];
}

function normalised(hex: string): string {
  return hex.toLowerCase().replace(/^0+/, "");
}

// Unreadable counts as over.
function readGeneralizedTime(der: Buffer, element: DerElement): number {
  const text = der.toString("latin1", element.start, element.end);
  const match = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(?:\.\d+)?Z$/.exec(text);
  if (match === null) return 0;
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = match.slice(1).map(Number);
  return Date.UTC(year, month - 1, day, hour, minute, second);
}
