// DNS messages as bytes (RFC 1035, RFC 6891): queries are read and replies are made in place, nothing here throws or does I/O.
// Which names are known is name-table.ts; how their answers are laid out is answer.ts.

/** Length of a message header. */
export const HEADER_LENGTH = 12;
/** Longest name on the wire, root label included (RFC 1035, section 2.3.4). */
export const MAX_NAME_LENGTH = 255;
/** Largest message: the TCP length prefix has 16 bits. */
export const MAX_MESSAGE_LENGTH = 65535;
/** What a UDP client without EDNS can take (RFC 1035, section 4.2.1). */
export const MIN_UDP_LIMIT = 512;

/** Largest UDP payload over IPv4 (RFC 768), whatever a client says it takes. */
export const MAX_UDP_PAYLOAD = 65507;

/** Record and question types that mean something here; `opt` is the pseudo type of EDNS, `tsig` a signature over the whole message. */
export const recordType = { a: 1, cname: 5, soa: 6, aaaa: 28, srv: 33, opt: 41, svcb: 64, https: 65, tsig: 250, any: 255 } as const;
/** Class IN. */
export const CLASS_IN = 1;

/** Response codes the responder itself sends. */
export const responseCode = { noError: 0, formatError: 1, serverFailure: 2, nameError: 3, notImplemented: 4, refused: 5 } as const;

/** The UDP payload we say we take: passes everywhere without fragments (DNS flag day 2020). */
export const ADVERTISED_UDP_SIZE = 1232;
/** Bytes of an OPT record without options. */
export const OPT_LENGTH = 11;
/** What an OPT record says when its version is not known (RFC 6891, section 6.1.3): BADVERS, the bits above the header's four. */
export const BAD_VERSION = 1;

/** Header flags, as bits of the second 16-bit word. */
export const flag = {
  response: 0x8000,
  authoritative: 0x0400,
  truncated: 0x0200,
  recursionDesired: 0x0100,
  authenticData: 0x0020,
  checkingDisabled: 0x0010,
} as const;

const OPCODE_MASK = 0x7800;
const MAX_LABEL_LENGTH = 63;
const DNSSEC_OK = 0x8000;
/** EDNS options between two neighbours, which say nothing about the answer: COOKIE, tcp-keepalive, PADDING. */
export const hopByHopOptions: readonly number[] = [10, 11, 12];
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
  /** Version of the OPT record, 0 without one. */
  ednsVersion = 0;
  /** The client wants signatures (RFC 3225). */
  dnssecOk = false;
  /** True when nothing but the question and plain flags decides the answer, so that one answer serves all who ask it. */
  shareable = false;
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
  query.ednsVersion = 0;
  query.dnssecOk = false;
  query.shareable = false;
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

  let shareable = answers + authorities === 0 && additionals <= 1;
  for (let left = answers + authorities + additionals; left > 0; left--) {
    // Counts are the sender's claim: a message that ends between records is taken as having had no more of them.
    if (at === limit) break;
    const fields = skipName(bytes, at, limit);
    if (fields < 0 || fields + 10 > limit) return "malformed";
    at = fields + 10 + readUint16(bytes, fields + 8);
    if (at > limit) return "malformed";
    if (readUint16(bytes, fields) !== recordType.opt) {
      shareable = false;
      continue;
    }
    query.ednsSize = Math.max(1, readUint16(bytes, fields + 2));
    query.ednsVersion = bytes[fields + 5]!;
    query.dnssecOk = (readUint16(bytes, fields + 6) & DNSSEC_OK) !== 0;
    shareable &&= query.ednsVersion === 0 && onlyHopByHop(bytes, fields + 10, at);
  }
  query.end = at - start;
  query.shareable = shareable;
  return "query";
}

function onlyHopByHop(bytes: Uint8Array, from: number, to: number): boolean {
  let at = from;
  while (at + 4 <= to && hopByHopOptions.includes(readUint16(bytes, at))) at += 4 + readUint16(bytes, at + 2);
  return at === to;
}

/** Writes an OPT record for the reply to `query`, DO echoed; returns the offset behind it. */
export function writeOpt(out: Uint8Array, at: number, dnssecOk: boolean, extendedCode: number): number {
  out[at] = 0;
  writeUint16(out, at + 1, recordType.opt);
  writeUint16(out, at + 3, ADVERTISED_UDP_SIZE);
  writeUint16(out, at + 5, extendedCode << 8);
  writeUint16(out, at + 7, dnssecOk ? DNSSEC_OK : 0);
  writeUint16(out, at + 9, 0);
  return at + OPT_LENGTH;
}

/** The name of `query` as people write it, lower case; bytes outside of printable ASCII as `\ddd`. */
export function nameText(query: Query): string {
  let text = "";
  for (let label = 0; label < query.labelCount; label++) {
    const from = query.labels[label]! + 1;
    for (let i = from; i < from + query.name[from - 1]!; i++) {
      const byte = query.name[i]!;
      if (byte > 0x20 && byte < 0x7f && byte !== 0x2e && byte !== 0x5c) text += String.fromCharCode(byte);
      else text += `\\${String(byte).padStart(3, "0")}`;
    }
    text += ".";
  }
  return text || ".";
}

/** The largest UDP reply for the sender of `query`: what it says it takes, of which less than 512 does not count, up to `most`. */
export function udpLimit(query: Query, most: number): number {
  return query.ednsSize <= MIN_UDP_LIMIT ? MIN_UDP_LIMIT : query.ednsSize < most ? query.ednsSize : most;
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
export function skipName(bytes: Uint8Array, from: number, limit: number): number {
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

/**
 * A reply without records: the question (when it could be read) echoed in its own case.
 * @param edns add an OPT record when the query had one
 */
export function encodeFailure(request: Uint8Array, start: number, query: Query, code: number, edns = false): Buffer {
  const length = query.questionEnd || HEADER_LENGTH;
  const opt = edns && query.ednsSize > 0;
  const reply = Buffer.alloc(length + (opt ? OPT_LENGTH : 0));
  reply.set(request.subarray(start + HEADER_LENGTH, start + length), HEADER_LENGTH);
  writeUint16(reply, 0, query.id);
  writeUint16(reply, 2, replyFlags(query, code));
  if (query.questionEnd > 0) writeUint16(reply, 4, 1);
  if (opt) {
    writeUint16(reply, 10, 1);
    writeOpt(reply, length, query.dnssecOk, 0);
  }
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
