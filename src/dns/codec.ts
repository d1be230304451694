// DNS messages as bytes (RFC 1035, RFC 6891): queries are read and replies are made in place, nothing here throws or does I/O.
// Which names are known is name-table.ts; how their answers are laid out is answer.ts.
import { isIP } from "node:net";
import { encode } from "dns-packet";

/** Length of a message header. */
export const HEADER_LENGTH = 12;
/** Longest name on the wire, root label included (RFC 1035, section 2.3.4). */
export const MAX_NAME_LENGTH = 255;
/** Largest message: the TCP length prefix has 16 bits. */
export const MAX_MESSAGE_LENGTH = 65535;
/** What a UDP client without EDNS can take (RFC 1035, section 4.2.1). */
export const MIN_UDP_LIMIT = 512;

/** Record and question types that are answered from the table, and the pseudo type of EDNS. */
export const recordType = { a: 1, cname: 5, aaaa: 28, opt: 41 } as const;
/** Class IN. */
export const CLASS_IN = 1;

/** Response codes the responder itself sends. */
export const responseCode = { noError: 0, formatError: 1, serverFailure: 2, notImplemented: 4 } as const;

/** Header flags, as bits of the second 16-bit word. */
export const flag = {
  response: 0x8000,
  authoritative: 0x0400,
  truncated: 0x0200,
  recursionDesired: 0x0100,
  checkingDisabled: 0x0010,
} as const;

const OPCODE_MASK = 0x7800;
const MAX_LABEL_LENGTH = 63;
const POINTER = 0xc0;

/**
 * What to do with a received message: answer it (`query`), reply FORMERR (`malformed`) or NOTIMP (`unsupported`), or say
 * nothing (`ignore`: no whole header, or itself a response, so that two servers never bounce errors at each other).
 */
export type QueryVerdict = "query" | "malformed" | "unsupported" | "ignore";

/** The fields of one query; a single instance is reused for every message of a listener. */
export class Query {
  id = 0;
  flags = 0;
  type = 0;
  class = 0;
  /** Bytes of the name in `name`, the root label included. */
  nameLength = 0;
  labelCount = 0;
  /** Offset, from the start of the message, behind the question. 0 until the question has been read. */
  questionEnd = 0;
  /** Offset, from the start of the message, behind its last record; what follows is garbage. */
  end = 0;
  /** UDP payload size of the OPT record, 0 without EDNS. */
  ednsSize = 0;
  /** The name in wire form, ASCII letters in lower case. */
  readonly name = new Uint8Array(MAX_NAME_LENGTH);
  /** Where each label starts in `name`. */
  readonly labels = new Uint8Array(128);
}

/** Reads the 16-bit number at `at`, network order. */
export function readUint16(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 8) | bytes[at + 1]!;
}

/** Writes the 16-bit number at `at`, network order. */
export function writeUint16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 8;
  bytes[at + 1] = value & 0xff;
}

/**
 * Reads a query from `bytes[start, start + length)` into `query`. One question exactly and at most one answer, one authority
 * and two additional records are taken, as the server that Istio uses does; a compressed question name is malformed.
 */
export function parseQuery(bytes: Uint8Array, start: number, length: number, query: Query): QueryVerdict {
  query.questionEnd = 0;
  query.ednsSize = 0;
  if (length < HEADER_LENGTH) return "ignore";
  query.id = readUint16(bytes, start);
  query.flags = readUint16(bytes, start + 2);
  if (query.flags & flag.response) return "ignore";
  if (query.flags & OPCODE_MASK) return "unsupported";
  const answers = readUint16(bytes, start + 6);
  const authorities = readUint16(bytes, start + 8);
  const additionals = readUint16(bytes, start + 10);
  if (readUint16(bytes, start + 4) !== 1 || answers > 1 || authorities > 1 || additionals > 2) return "malformed";

  const limit = start + length;
  let at = readName(bytes, start + HEADER_LENGTH, limit, query);
  if (at < 0 || at + 4 > limit) return "malformed";
  query.type = readUint16(bytes, at);
  query.class = readUint16(bytes, at + 2);
  at += 4;
  query.questionEnd = at - start;

  for (let left = answers + authorities + additionals; left > 0; left--) {
    // Counts are the sender's claim: a message that ends between records is taken as having had no more of them.
    if (at === limit) break;
    const fields = skipName(bytes, at, limit);
    if (fields < 0 || fields + 10 > limit) return "malformed";
    if (readUint16(bytes, fields) === recordType.opt) query.ednsSize = Math.max(1, readUint16(bytes, fields + 2));
    at = fields + 10 + readUint16(bytes, fields + 8);
    if (at > limit) return "malformed";
  }
  query.end = at - start;
  return "query";
}

/** The largest UDP reply the sender of `query` can take. */
export function udpLimit(query: Query): number {
  return query.ednsSize > MIN_UDP_LIMIT ? query.ednsSize : MIN_UDP_LIMIT;
}

function readName(bytes: Uint8Array, from: number, limit: number, query: Query): number {
  const { name, labels } = query;
  let at = from;
  let count = 0;
  for (;;) {
    if (at >= limit) return -1;
    const label = bytes[at]!;
    const offset = at - from;
    if (label === 0) {
      name[offset] = 0;
      query.nameLength = offset + 1;
      query.labelCount = count;
      return at + 1;
    }
    // Behind this label there must be room for the root label, in the message and in the name.
    if (label > MAX_LABEL_LENGTH || offset + label + 2 > MAX_NAME_LENGTH || at + label + 1 >= limit) return -1;
    labels[count++] = offset;
    name[offset] = label;
    for (let i = 1; i <= label; i++) {
      const byte = bytes[at + i]!;
      name[offset + i] = byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte;
    }
    at += label + 1;
  }
}

/** The offset behind the name at `at`, pointers not followed; -1 when it is cut off or no name. */
function skipName(bytes: Uint8Array, from: number, limit: number): number {
  let at = from;
  while (at < limit) {
    const label = bytes[at]!;
    if (label === 0) return at + 1;
    if (label >= POINTER) return at + 2 <= limit ? at + 2 : -1;
    if (label > MAX_LABEL_LENGTH) return -1;
    at += label + 1;
  }
  return -1;
}

/** The flags of a reply to `query`: RD and CD are the client's, RA is never set, as Istio's proxy does. */
export function replyFlags(query: Query, extra: number): number {
  return flag.response | (query.flags & (OPCODE_MASK | flag.recursionDesired | flag.checkingDisabled)) | extra;
}

/** A reply without records: the question (when it could be read) echoed in its own case. */
export function encodeFailure(request: Uint8Array, start: number, query: Query, code: number): Buffer {
  const length = query.questionEnd || HEADER_LENGTH;
  const reply = Buffer.alloc(length);
  reply.set(request.subarray(start + HEADER_LENGTH, start + length), HEADER_LENGTH);
  writeUint16(reply, 0, query.id);
  writeUint16(reply, 2, replyFlags(query, code));
  if (query.questionEnd > 0) writeUint16(reply, 4, 1);
  return reply;
}

/** True when `reply` is a response to `request` with the id `id`: same single question, the name compared without case. */
export function isReplyTo(reply: Uint8Array, request: Uint8Array, id: number, questionEnd: number): boolean {
  if (reply.length < questionEnd || readUint16(reply, 0) !== id) return false;
  if (!(reply[2]! & 0x80) || readUint16(reply, 4) !== 1) return false;
  for (let i = HEADER_LENGTH; i < questionEnd; i++) {
    const left = reply[i]!;
    const right = request[i]!;
    // Folding every byte also folds two non-letters 0x20 apart, in type and class too: harmless beside a matching id and source.
    if (left !== right && (i >= questionEnd - 4 || (left ^ right) !== 0x20)) return false;
  }
  return true;
}

/**
 * The longest prefix of `reply` that fits `limit` and ends with a whole record, TC set and the counts lowered. Compression
 * pointers only point backwards, so a prefix is a valid message.
 */
export function truncateReply(reply: Buffer, limit: number, questionEnd: number): Buffer {
  const counts = [0, 0, 0];
  let end = questionEnd;
  sections: for (let section = 0; section < 3; section++) {
    for (let left = readUint16(reply, 6 + 2 * section); left > 0; left--) {
      const fields = skipName(reply, end, reply.length);
      if (fields < 0 || fields + 10 > reply.length) break sections;
      const next = fields + 10 + readUint16(reply, fields + 8);
      if (next > limit || next > reply.length) break sections;
      end = next;
      counts[section]!++;
    }
  }
  const cut = Buffer.from(reply.subarray(0, end));
  writeUint16(cut, 2, readUint16(cut, 2) | flag.truncated);
  for (let section = 0; section < 3; section++) writeUint16(cut, 6 + 2 * section, counts[section]!);
  return cut;
}

/** The 4 or 16 bytes of an IP address (a zone is dropped); undefined when `text` is not one. */
export function encodeAddress(text: string): Buffer | undefined {
  const family = isIP(text);
  if (family === 0) return undefined;
  if (family === 4) return Buffer.from(text.split(".", 4).map(Number));
  const zone = text.indexOf("%");
  const data = zone < 0 ? text : text.slice(0, zone);
  const message = encode({ type: "response", answers: [{ type: "AAAA", name: ".", data }] });
  return message.subarray(message.length - 16);
}

/** The wire form of a host name (a final dot is optional), ASCII letters in lower case; undefined when it has none. */
export function encodeName(host: string): Buffer | undefined {
  const bytes = Buffer.alloc(MAX_NAME_LENGTH);
  const length = writeName(host, bytes, 0);
  return length === 0 ? undefined : bytes.subarray(0, length);
}

/** Writes the wire form of `host` to `out` at `at`, where MAX_NAME_LENGTH bytes are free; returns its length, 0 when it has none. */
export function writeName(host: string, out: Buffer, at: number): number {
  if (host === "." || host === "") {
    out[at] = 0;
    return 1;
  }
  // Behind each label stands the length of the next one where the text has a dot, so the text fits one byte further on.
  const text = host.endsWith(".") ? host : `${host}.`;
  if (Buffer.byteLength(text) + 1 > MAX_NAME_LENGTH) return 0;
  const end = at + 1 + out.write(text, at + 1, "utf8");
  let label = at;
  for (let i = at + 1; i < end; i++) {
    const byte = out[i]!;
    if (byte >= 0x41 && byte <= 0x5a) out[i] = byte | 0x20;
    if (byte !== 0x2e) continue;
    const length = i - label - 1;
    if (length === 0 || length > MAX_LABEL_LENGTH) return 0;
    out[label] = length;
    label = i;
  }
  out[label] = 0;
  return end - at;
}
