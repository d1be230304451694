// Reads a PROXY protocol header, version 1 (text) and 2 (binary), as haproxy's proxy-protocol.txt defines it.
// Bytes in, verdict out. Whether the addresses are to be believed is the caller's business.
import { isIPv4, isIPv6 } from "node:net";

/** An address the header carries. */
export interface ProxiedAddress {
  readonly ip: string;
  readonly port: number;
}

/** A type-length-value of version 2. */
export interface ProxyTlv {
  readonly type: number;
  readonly value: Uint8Array;
}

/** What the bytes are. */
export type ProxyHeader =
  | {
      readonly kind: "header";
      readonly version: 1 | 2;
      /** Bytes of the header, to drop before the payload. */
      readonly consumed: number;
      /** Absent for LOCAL, UNKNOWN, UNSPEC and Unix sockets: the connection's own addresses stand. */
      readonly addresses?: { readonly source: ProxiedAddress; readonly destination: ProxiedAddress };
      readonly tlvs: readonly ProxyTlv[];
    }
  | { readonly kind: "incomplete" }
  /** The first bytes cannot start a header. */
  | { readonly kind: "absent" }
  | { readonly kind: "invalid"; readonly reason: string };

/** The longest version 1 line with its CRLF (proxy-protocol.txt section 2.1). */
const maxV1Bytes = 107;
const v1Prefix = Buffer.from("PROXY ", "latin1");
const v2Signature = Buffer.from("\r\n\r\n\0\r\nQUIT\n", "latin1");
const v2FixedBytes = 16;

const incomplete: ProxyHeader = { kind: "incomplete" };
const invalid = (reason: string): ProxyHeader => ({ kind: "invalid", reason });

/** Looks at everything received so far. Call again with more bytes (the old ones included) after `incomplete`. */
export function parseProxyHeader(bytes: Uint8Array): ProxyHeader {
  if (startsLike(bytes, v1Prefix)) return bytes.length < v1Prefix.length ? incomplete : parseV1(bytes);
  if (startsLike(bytes, v2Signature)) return bytes.length < v2FixedBytes ? incomplete : parseV2(bytes);
  return { kind: "absent" };
}

function startsLike(bytes: Uint8Array, prefix: Uint8Array): boolean {
  const length = Math.min(bytes.length, prefix.length);
  for (let i = 0; i < length; i++) if (bytes[i] !== prefix[i]) return false;
  return true;
}

function parseV1(bytes: Uint8Array): ProxyHeader {
  const limit = Math.min(bytes.length, maxV1Bytes);
  let end = -1;
  for (let i = v1Prefix.length; i < limit - 1 && end < 0; i++) if (bytes[i] === 13 && bytes[i + 1] === 10) end = i;
  if (end < 0) return bytes.length < maxV1Bytes ? incomplete : invalid("version 1 header longer than 107 bytes");
  const fields = Buffer.from(bytes.buffer, bytes.byteOffset + v1Prefix.length, end - v1Prefix.length)
    .toString("latin1")
    .split(" ");
  const consumed = end + 2;
  if (fields[0] === "UNKNOWN") return { kind: "header", version: 1, consumed, tlvs: [] };
  if ((fields[0] !== "TCP4" && fields[0] !== "TCP6") || fields.length !== 5)
    return invalid("version 1 header is not TCP4, TCP6 or UNKNOWN with two addresses and two ports");
  const [, sourceIp, destinationIp, sourcePort, destinationPort] = fields as [string, string, string, string, string];
  const source = v1Address(fields[0], sourceIp, sourcePort);
  const destination = v1Address(fields[0], destinationIp, destinationPort);
  if (!source || !destination) return invalid("version 1 header with a malformed address or port");
  return { kind: "header", version: 1, consumed, addresses: { source, destination }, tlvs: [] };
}

const decimalPort = /^(0|[1-9]\d{0,4})$/;

function v1Address(family: "TCP4" | "TCP6", ip: string, port: string): ProxiedAddress | undefined {
  if (!decimalPort.test(port) || Number(port) > 65535) return undefined;
  // Zone ids name an interface of the sender's machine and mean nothing here.
  const valid = family === "TCP4" ? isIPv4(ip) : isIPv6(ip) && !ip.includes("%");
  return valid ? { ip, port: Number(port) } : undefined;
}

function parseV2(bytes: Uint8Array): ProxyHeader {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const command = view.getUint8(12);
  const family = view.getUint8(13);
  const length = view.getUint16(14);
  if (command >> 4 !== 2) return invalid("version 2 signature with another version");
  if ((command & 15) > 1) return invalid("version 2 command is neither LOCAL nor PROXY");
  if (family >> 4 > 3 || (family & 15) > 2) return invalid("version 2 address family or transport out of range");
  const consumed = v2FixedBytes + length;
  if (bytes.length < consumed) return incomplete;
  const addressBytes = v2AddressBytes[family >> 4] as number;
  // A LOCAL header may carry any addresses, or none; they are to be ignored, so only PROXY needs room for them.
  if ((command & 15) === 0) return { kind: "header", version: 2, consumed, tlvs: [] };
  if (length < addressBytes) return invalid("version 2 header shorter than its addresses");
  const tlvs = readTlvs(bytes, v2FixedBytes + addressBytes, consumed);
  if (!tlvs) return invalid("version 2 TLV runs past the header");
  const ip = family >> 4 === 1 ? v4Text : family >> 4 === 2 ? v6Text : undefined;
  if (!ip) return { kind: "header", version: 2, consumed, tlvs };
  const size = family >> 4 === 1 ? 4 : 16;
  const at = v2FixedBytes;
  const source = { ip: ip(view, at), port: view.getUint16(at + 2 * size) };
  const destination = { ip: ip(view, at + size), port: view.getUint16(at + 2 * size + 2) };
  return { kind: "header", version: 2, consumed, addresses: { source, destination }, tlvs };
}

// By family: UNSPEC, IPv4, IPv6, Unix.
const v2AddressBytes: readonly number[] = [0, 12, 36, 216];

function v4Text(view: DataView, at: number): string {
  return `${view.getUint8(at)}.${view.getUint8(at + 1)}.${view.getUint8(at + 2)}.${view.getUint8(at + 3)}`;
}

function v6Text(view: DataView, at: number): string {
  const groups = Array.from({ length: 8 }, (_, i) => view.getUint16(at + 2 * i).toString(16));
  // URL gives RFC 5952 form, the form in which Node reports peers; addresses are compared as text in logs and rules.
  return new URL(`tcp://[${groups.join(":")}]`).hostname.slice(1, -1);
}

function readTlvs(bytes: Uint8Array, start: number, end: number): readonly ProxyTlv[] | undefined {
  const tlvs: ProxyTlv[] = [];
  for (let at = start; at < end;) {
    if (end - at < 3) return undefined;
    const length = ((bytes[at + 1] as number) << 8) | (bytes[at + 2] as number);
    if (length > end - at - 3) return undefined;
    tlvs.push({ type: bytes[at] as number, value: bytes.slice(at + 3, at + 3 + length) });
    at += 3 + length;
  }
  return tlvs;
}
