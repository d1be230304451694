// One upstream reply made ready to be given to other clients than the one it was for: its OPT record, which is between two
// neighbours, is taken off, and where its TTLs are is written down. Keeping it is reply-store.ts.
import {
  HEADER_LENGTH,
  OPT_LENGTH,
  flag,
  readUint16,
  recordType,
  responseCode,
  skipName,
  writeOpt,
  writeUint16,
  type Query,
} from "../codec.ts";

/** What a client asked, as far as a reply must repeat it. */
export interface Asked {
  /** Header and question as they came. */
  readonly question: Buffer;
  readonly edns: boolean;
  readonly dnssecOk: boolean;
}

/** A reply that several clients may get. */
export interface SharedReply {
  readonly bytes: Buffer;
  /** Offsets of the TTL of each record. */
  readonly ttlOffsets: Uint16Array;
  readonly code: number;
  /** There is no such name, or no such type of record; with an SOA that says how long that holds. */
  readonly negative: boolean;
  /** Whether it may be kept: it is whole, and, when negative, says for how long. */
  readonly keepable: boolean;
  /** The least TTL in it, in seconds. */
  readonly ttlS: number;
}

/** Bounds for the TTLs that clients are told. */
export interface TtlBounds {
  readonly minTtlS: number;
  readonly maxTtlS: number;
}

/** Type, class, TTL and length of a record's data. */
const FIXED_LENGTH = 10;
/** The least data of an SOA: two root names and five numbers. */
const SOA_LENGTH = 22;
/** The second section behind the question. */
const AUTHORITY = 1;
/** A TTL with the high bit set counts as 0 (RFC 2181, section 8). */
const MAX_TTL = 0x7fffffff;

/** Copies what `request` asks; `query` was read from it. */
export function askedOf(query: Query, request: Buffer): Asked {
  return { question: Buffer.from(request.subarray(0, query.questionEnd)), edns: query.ednsSize > 0, dnssecOk: query.dnssecOk };
}

/** Reads an upstream reply to a question of `type`; undefined when it is malformed, signed as a whole, or has records behind OPT. */
export function shareReply(reply: Buffer, questionEnd: number, type: number): SharedReply | undefined {
  const flags = readUint16(reply, 2);
  const ttlOffsets: number[] = [];
  let at = questionEnd;
  let opt = -1;
  let ttlS = MAX_TTL;
  let answered = false;
  let authority = false;
  for (let section = 0; section < 3; section++) {
    for (let left = readUint16(reply, HEADER_LENGTH - 6 + 2 * section); left > 0; left--) {
      const fields = skipName(reply, at, reply.length);
      if (opt >= 0 || fields < 0 || fields + FIXED_LENGTH > reply.length) return undefined;
      const end = fields + FIXED_LENGTH + readUint16(reply, fields + 8);
      const found = readUint16(reply, fields);
      if (end > reply.length || found === recordType.tsig) return undefined;
      if (found === recordType.opt) {
        // The upper bits of the response code are in there.
        if (reply[fields + 4] !== 0) return undefined;
        opt = at;
      } else {
        ttlOffsets.push(fields + 4);
        ttlS = Math.min(ttlS, readTtl(reply, fields + 4));
        if (section === 0 && (found === type || type === recordType.any)) answered = true;
        if (section === AUTHORITY && found === recordType.soa && end - fields >= FIXED_LENGTH + SOA_LENGTH) {
          authority = true;
          ttlS = Math.min(ttlS, readTtl(reply, end - 4));
        }
      }
      at = end;
    }
  }
  const code = flags & 0xf;
  const negative = code === responseCode.nameError || !answered;
  const whole = (flags & flag.truncated) === 0 && (code === responseCode.noError || code === responseCode.nameError);
  const keepable = whole && ttlOffsets.length > 0 && (!negative || authority);
  const bytes = Buffer.from(reply.subarray(0, opt >= 0 ? opt : at));
  if (opt >= 0) writeUint16(bytes, 10, readUint16(bytes, 10) - 1);
  return { bytes, ttlOffsets: Uint16Array.from(ttlOffsets), code, negative, keepable, ttlS };
}

/**
 * The reply for another client: its id, its spelling of the name, an OPT record when it sent one.
 * @param ageS seconds since the reply came
 * @param kept it comes from memory, so nobody vouches for it as authoritative (RFC 1034, section 4.3.3)
 */
export function replyFor(asked: Asked, shared: SharedReply, bounds: TtlBounds, ageS: number, kept: boolean): Buffer {
  const { bytes, ttlOffsets } = shared;
  const reply = Buffer.allocUnsafe(bytes.length + (asked.edns ? OPT_LENGTH : 0));
  bytes.copy(reply);
  asked.question.copy(reply, 0, 0, 2);
  asked.question.copy(reply, HEADER_LENGTH, HEADER_LENGTH);
  if (kept) writeUint16(reply, 2, readUint16(reply, 2) & ~flag.authoritative);
  for (const offset of ttlOffsets) {
    const ttlS = Math.min(Math.max(readTtl(bytes, offset), bounds.minTtlS), bounds.maxTtlS);
    reply.writeUInt32BE(Math.max(0, ttlS - ageS), offset);
  }
  if (asked.edns) {
    writeOpt(reply, bytes.length, asked.dnssecOk, 0);
    writeUint16(reply, 10, readUint16(reply, 10) + 1);
  }
  return reply;
}

function readTtl(bytes: Buffer, at: number): number {
  const ttlS = bytes.readUInt32BE(at);
  return ttlS > MAX_TTL ? 0 : ttlS;
}
