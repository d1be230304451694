// A client's query as it goes upstream, and a server's reply as it goes to the client: what is between two neighbours (EDNS options
// of a hop, ids, the case of the question) is replaced by our own. Bytes only, no I/O.
import {
  ADVERTISED_UDP_SIZE,
  HEADER_LENGTH,
  OPT_LENGTH,
  hopByHopOptions,
  readUint16,
  recordType,
  skipName,
  writeUint16,
} from "../codec.ts";

/** The COOKIE option (RFC 7873). */
const COOKIE_OPTION = 10;
/** Type, class, TTL and length of a record's data. */
const FIXED_LENGTH = 10;

/** The OPT record of a message. */
export interface OptRecord {
  readonly start: number;
  readonly end: number;
  /** Nothing stands behind it, so it can be taken off or replaced. */
  readonly last: boolean;
}

/** What stands behind a question. */
export type Records = { readonly opt: OptRecord | undefined; readonly count: number } | "malformed";

/** Finds the OPT record; `malformed` when records run past the end of the message. */
export function readRecords(message: Uint8Array, questionEnd: number): Records {
  let at = questionEnd;
  let opt: OptRecord | undefined;
  let count = 0;
  for (let section = 0; section < 3; section++) {
    for (let left = readUint16(message, HEADER_LENGTH - 6 + 2 * section); left > 0; left--) {
      const fields = skipName(message, at, message.length);
      if (fields < 0 || fields + FIXED_LENGTH > message.length) return "malformed";
      const end = fields + FIXED_LENGTH + readUint16(message, fields + 8);
      if (end > message.length) return "malformed";
      if (opt) opt = { ...opt, last: false };
      // Anywhere else, or under another name than the root, it is no OPT record (RFC 6891, section 6.1.1).
      if (section === 2 && fields === at + 1 && readUint16(message, fields) === recordType.opt) opt = { start: at, end, last: true };
      at = end;
      count++;
    }
  }
  return { opt, count };
}

/** How a query is to go upstream. */
export interface UpstreamQueryOptions {
  /** Client cookie and, once known, server cookie; undefined = none. */
  readonly cookie?: Uint8Array | undefined;
  /** The most bytes the server may send over UDP, whatever the client takes; undefined = as the client says. */
  readonly maxUdpBytes?: number | undefined;
}

/**
 * A copy of `request`, a whole query, for a server: options between neighbours taken off, ours put in their place. A query without
 * EDNS gets EDNS only to carry a cookie; one that is signed, or has more than an OPT record behind its question, stays as it is.
 */
export function upstreamQuery(request: Buffer, questionEnd: number, options: UpstreamQueryOptions): Buffer {
  const { cookie, maxUdpBytes } = options;
  const records = readRecords(request, questionEnd);
  if (records === "malformed") return Buffer.from(request);
  const { opt } = records;
  if (!opt) {
    if (!cookie || records.count > 0) return Buffer.from(request);
    const query = Buffer.concat([request.subarray(0, questionEnd), Buffer.alloc(OPT_LENGTH), cookieOption(cookie)]);
    writeUint16(query, questionEnd + 1, recordType.opt);
    writeUint16(query, questionEnd + 3, ADVERTISED_UDP_SIZE);
    writeUint16(query, questionEnd + 9, query.length - questionEnd - OPT_LENGTH);
    writeUint16(query, 10, 1);
    return query;
  }
  if (!opt.last) return Buffer.from(request);
  const kept = endToEndOptions(request, opt);
  const query = Buffer.concat([request.subarray(0, opt.start + OPT_LENGTH), kept, cookie ? cookieOption(cookie) : Buffer.alloc(0)]);
  if (maxUdpBytes !== undefined) writeUint16(query, opt.start + 3, Math.min(readUint16(query, opt.start + 3), maxUdpBytes));
  writeUint16(query, opt.start + 9, query.length - opt.start - OPT_LENGTH);
  return query;
}

/** True when `upstreamQuery` put EDNS into a query that had none. */
export function addedEdns(request: Buffer, query: Buffer): boolean {
  return readUint16(query, 10) > readUint16(request, 10);
}

/**
 * `reply` for the client that sent `request`: its id and spelling, no EDNS when it sent none, no options of our own hop.
 * @param records what `readRecords` found in the reply
 */
export function clientReply(reply: Buffer, request: Buffer, questionEnd: number, records: Exclude<Records, "malformed">): Buffer {
  const { opt } = records;
  const asked = readRecords(request, questionEnd);
  let out = Buffer.from(reply);
  if (opt?.last) {
    if (asked !== "malformed" && asked.opt) {
      out = Buffer.concat([reply.subarray(0, opt.start + OPT_LENGTH), endToEndOptions(reply, opt)]);
      writeUint16(out, opt.start + 9, out.length - opt.start - OPT_LENGTH);
    } else {
      out = Buffer.from(reply.subarray(0, opt.start));
      writeUint16(out, 10, readUint16(out, 10) - 1);
    }
  }
  request.copy(out, 0, 0, 2);
  request.copy(out, HEADER_LENGTH, HEADER_LENGTH, questionEnd);
  return out;
}

/** The response code of a reply, with the bits that EDNS adds. */
export function extendedCode(reply: Uint8Array, opt: OptRecord | undefined): number {
  return (readUint16(reply, 2) & 0xf) | (opt ? reply[opt.start + 5]! << 4 : 0);
}

/** The data of the COOKIE option; undefined when there is none. */
export function readCookie(message: Buffer, opt: OptRecord | undefined): Buffer | undefined {
  if (!opt) return undefined;
  for (const { code, start, end } of optionsOf(message, opt)) if (code === COOKIE_OPTION) return message.subarray(start + 4, end);
  return undefined;
}

function* optionsOf(
  message: Uint8Array,
  opt: OptRecord,
): Generator<{ readonly code: number; readonly start: number; readonly end: number }> {
  for (let at = opt.start + OPT_LENGTH; at + 4 <= opt.end;) {
    const end = at + 4 + readUint16(message, at + 2);
    if (end > opt.end) return;
    yield { code: readUint16(message, at), start: at, end };
    at = end;
  }
}

function endToEndOptions(message: Buffer, opt: OptRecord): Buffer {
  const kept: Buffer[] = [];
  for (const { code, start, end } of optionsOf(message, opt)) if (!hopByHopOptions.includes(code)) kept.push(message.subarray(start, end));
  return Buffer.concat(kept);
}

function cookieOption(cookie: Uint8Array): Buffer {
  const option = Buffer.alloc(4 + cookie.length);
  writeUint16(option, 0, COOKIE_OPTION);
  writeUint16(option, 2, cookie.length);
  option.set(cookie, 4);
  return option;
}

/** Draws the case of each letter of the question anew, from `bits`, as many bytes as the name has. */
export function mixCase(query: Buffer, questionEnd: number, bits: Uint8Array): void {
  // Length bytes are below 64 and so never letters; type and class are the last four.
  for (let i = HEADER_LENGTH; i < questionEnd - 5; i++) {
    const folded = query[i]! | 0x20;
    if (query[i]! >= 0x41 && folded >= 0x61 && folded <= 0x7a) query[i] = bits[i - HEADER_LENGTH]! & 1 ? folded : folded & ~0x20;
  }
}
