// Answers to A and AAAA questions, written straight from the name table into the caller's buffer. No I/O, no allocation.
// Layout follows Istio's proxy: plain when it fits, compressed when it would not, then cut at a record with TC set.
import {
  BAD_VERSION,
  CLASS_IN,
  HEADER_LENGTH,
  MAX_UDP_PAYLOAD,
  OPT_LENGTH,
  flag,
  recordType,
  replyFlags,
  writeOpt,
  writeUint16,
  type Query,
} from "./codec.ts";
import { NOT_FOUND, addressField, entryOf, field, findName, findWildcard, isCname } from "./name-lookup.ts";
import type { NameTable } from "./name-table.ts";

/** How mesh names are answered. Plain data: the batching thread is started with it. */
export interface AnswerSettings {
  /** Seconds a client may keep an answer. */
  readonly ttlS: number;
  /** A name without an address of the asked family is answered with an SOA, without which resolvers must not keep that (RFC 2308). */
  readonly soa: boolean;
  /** Replies to queries with EDNS carry an OPT record (RFC 6891, section 6.1.1). */
  readonly edns: boolean;
  /** Record types that no mesh name has; types in neither this list nor A and AAAA are asked upstream. */
  readonly noData: readonly number[];
  /** SRV questions about ports that are known (`_http._tcp.NAME`, or NAME itself for all) are answered, whatever `noData` says. */
  readonly srv: boolean;
  /** The most bytes of a UDP reply, however much the client takes; at least 512. */
  readonly maxUdpBytes: number;
}

/**
 * The defaults. 30 s is Istio's constant, low so that clients follow changes. SOA and OPT are what the RFCs ask of a server and
 * Istio's lacks: without them stub resolvers ask for AAAA of every IPv4 name each time, and some take the server for one that
 * knows no EDNS. An HTTPS or SVCB record from outside would send clients past the mesh's own address, or hide the server name.
 * UDP replies may be as large as the client says: it is on this machine, where nothing gets fragmented on the way.
 */
export const defaultAnswerSettings: AnswerSettings = {
  ttlS: 30,
  soa: true,
  edns: true,
  noData: [recordType.svcb, recordType.https],
  srv: true,
  maxUdpBytes: MAX_UDP_PAYLOAD,
};

/** To the byte what Istio's proxy answers. */
export const istioAnswerSettings: AnswerSettings = {
  ttlS: 30,
  soa: false,
  edns: false,
  noData: [],
  srv: false,
  maxUdpBytes: MAX_UDP_PAYLOAD,
};

/** Not answered here: the name is unknown, or a type or class that only upstream servers know. */
export const NOT_OURS = 0;
/** The answer is larger than the caller's buffer, though not than what the client can take. */
export const TOO_LARGE = -1;

/** Marks a compression pointer. */
export const POINTER = 0xc000;
/** Type, class, TTL and length of a record's data. */
export const FIXED_LENGTH = 10;
/** `hostmaster` as a label. */
const hostmaster = Uint8Array.of(10, ...Buffer.from("hostmaster"));
/** Seconds of an SOA that only zone transfers read: refresh, retry, expire. */
const transferTimes: readonly number[] = [7200, 1800, 86_400];

/** Encodes answers; holds the scratch memory for shuffling, so one instance serves one thread. */
export class AnswerEncoder {
  readonly #random: () => number;
  readonly #settings: AnswerSettings;
  #order = new Int32Array(64);

  /** @param random uniform in [0, 1): the order of addresses, not a secret */
  constructor(random: () => number, settings: AnswerSettings) {
    this.#random = random;
    this.#settings = settings;
  }

  /**
   * Writes the reply to `query`, read from `request` at `start`, to `out` from `outStart` up to its end.
   * @param limit the most bytes the client can take
   * @returns the length of the reply, NOT_OURS or TOO_LARGE
   */
  encode(table: NameTable, query: Query, request: Uint8Array, start: number, out: Uint8Array, outStart: number, limit: number): number {
    const { type } = query;
    if (query.class !== CLASS_IN) return NOT_OURS;
    const { ttlS, soa, edns, noData, srv } = this.#settings;
    const ofAddresses = type === recordType.a || type === recordType.aaaa;
    if (!ofAddresses && ((srv && type === recordType.srv) || !noData.includes(type))) return NOT_OURS;
    let found = findName(table, query);
    if (found === NOT_FOUND) found = findWildcard(table, query);
    if (found === NOT_FOUND) return NOT_OURS;
    const { entries, bytes } = table;
    const entry = entryOf(found) * field.stride;
    const holder = entries[entry + field.addresses]! * addressField.stride;
    const reserved = edns && query.ednsSize > 0 ? OPT_LENGTH : 0;
    const badVersion = reserved > 0 && query.ednsVersion > 0;
    const count4 = table.addresses[holder + addressField.count4]!;
    const ofType = type === recordType.a ? count4 : table.addresses[holder + addressField.count6]!;
    const count = !ofAddresses || badVersion ? 0 : ofType;
    const addresses = table.addresses[holder + addressField.at]! + (type === recordType.a ? 0 : 4 * count4);
    const size = type === recordType.a ? 4 : 16;

    // The owner of the addresses is the asked name, or, behind a CNAME, the name it points to (a wildcard's asterisk kept).
    const aliased = isCname(found) && count > 0;
    const owner = aliased ? bytes : query.name;
    const ownerStart = aliased ? entries[entry + field.name]! : 0;
    const ownerLength = aliased ? entries[entry + field.nameLength]! : query.nameLength;
    const cnameLength = aliased ? query.nameLength + FIXED_LENGTH + ownerLength : 0;

    const plain = query.questionEnd + cnameLength + count * (ownerLength + FIXED_LENGTH + size) + reserved;
    const capacity = out.length - outStart;
    if (plain > capacity && limit > capacity) return TOO_LARGE;
    const end = outStart + Math.min(limit, capacity) - reserved;
    const compress = plain > limit;

    for (let i = HEADER_LENGTH; i < query.questionEnd; i++) out[outStart + i] = request[start + i]!;
    let at = outStart + query.questionEnd;
    let records = 0;
    // Once an owner name has been written in full, the records behind it point to it.
    let pointer = compress && sharedFrom(request, start, query) === 0 ? HEADER_LENGTH : 0;
    if (aliased) {
      const data = writeAskedName(out, at, request, start, query, compress) + FIXED_LENGTH;
      const next = writeOwner(out, data, owner, ownerStart, ownerLength);
      writeFixed(out, data - FIXED_LENGTH, recordType.cname, ttlS, next - data);
      if (next <= end) {
        pointer = compress ? data - outStart : 0;
        at = next;
        records++;
      }
    }
    const order = count > 1 ? this.#shuffle(count) : undefined;
    // Without its CNAME an address would answer a name nobody asked for.
    for (let i = 0; i < count && (!aliased || records > 0); i++) {
      const first = at;
      let next: number;
      if (pointer > 0) {
        writeUint16(out, at, POINTER | pointer);
        next = at + 2;
      } else if (aliased) {
        next = writeOwner(out, at, owner, ownerStart, ownerLength);
      } else {
        next = writeAskedName(out, at, request, start, query, compress);
      }
      // Bytes written past the end of `out` vanish; the record is taken back all the same.
      if (next + FIXED_LENGTH + size > end) break;
      writeFixed(out, next, type, ttlS, size);
      at = writeBytes(out, next + FIXED_LENGTH, bytes, addresses + size * (order ? order[i]! : i), size);
      if (compress && pointer === 0) pointer = first - outStart;
      records++;
    }
    const truncated = records < count + (aliased ? 1 : 0);
    const negative = count === 0 && soa && !badVersion;
    if (negative) at = writeSoa(out, at, ttlS);
    if (reserved > 0) at = writeOpt(out, at, query.dnssecOk, badVersion ? BAD_VERSION : 0);
    writeUint16(out, outStart, query.id);
    writeUint16(out, outStart + 2, replyFlags(query, flag.authoritative | (truncated ? flag.truncated : 0)));
    writeUint16(out, outStart + 4, 1);
    writeUint16(out, outStart + 6, records);
    writeUint16(out, outStart + 8, negative ? 1 : 0);
    writeUint16(out, outStart + 10, reserved > 0 ? 1 : 0);
    return at - outStart;
  }

  /** A fresh random order of `0..count-1` in scratch memory. */
  #shuffle(count: number): Int32Array {
    if (this.#order.length < count) this.#order = new Int32Array(count * 2);
    const order = this.#order;
    for (let i = 0; i < count; i++) order[i] = i;
    for (let i = count - 1; i > 0; i--) {
      const other = Math.floor(this.#random() * (i + 1));
      const kept = order[i]!;
      order[i] = order[other]!;
      order[other] = kept;
    }
    return order;
  }
}

/** Copies `length` bytes; returns the offset behind them. */
export function writeBytes(out: Uint8Array, at: number, from: Uint8Array, start: number, length: number): number {
  for (let i = 0; i < length; i++) out[at + i] = from[start + i]!;
  return at + length;
}

/** Writes a name of the table, whose root label is counted but not stored. */
function writeOwner(out: Uint8Array, at: number, from: Uint8Array, start: number, length: number): number {
  out[at + length - 1] = 0;
  return writeBytes(out, at, from, start, length - 1) + 1;
}

/** Writes the asked name in lower case; compressed, the part that the question has in the same case is a pointer there. */
function writeAskedName(out: Uint8Array, at: number, request: Uint8Array, start: number, query: Query, compress: boolean): number {
  const shared = compress ? sharedFrom(request, start, query) : -1;
  if (shared < 0) return writeBytes(out, at, query.name, 0, query.nameLength);
  writeBytes(out, at, query.name, 0, shared);
  writeUint16(out, at + shared, POINTER | (HEADER_LENGTH + shared));
  return at + shared + 2;
}

/** The offset of the first label from which on the question is in lower case to its end; -1 when no label is. */
function sharedFrom(request: Uint8Array, start: number, query: Query): number {
  const { name, nameLength, labels, labelCount } = query;
  const question = start + HEADER_LENGTH;
  let same = nameLength;
  while (same > 0 && request[question + same - 1] === name[same - 1]) same--;
  for (let label = 0; label < labelCount; label++) if (labels[label]! >= same) return labels[label]!;
  return -1;
}

/** Writes type, class, TTL and data length of a record at `at`. */
export function writeFixed(out: Uint8Array, at: number, type: number, ttlS: number, length: number): void {
  writeUint16(out, at, type);
  writeUint16(out, at + 2, CLASS_IN);
  writeUint32(out, at + 4, ttlS);
  writeUint16(out, at + 8, length);
}

function writeUint32(out: Uint8Array, at: number, value: number): void {
  writeUint16(out, at, value >>> 16);
  writeUint16(out, at + 2, value & 0xffff);
}

/** An SOA of the asked name: we know this name whole, and nothing of the zone that it is in. */
function writeSoa(out: Uint8Array, from: number, ttlS: number): number {
  writeUint16(out, from, POINTER | HEADER_LENGTH);
  const data = from + 2 + FIXED_LENGTH;
  writeUint16(out, data, POINTER | HEADER_LENGTH);
  let at = writeBytes(out, data + 2, hostmaster, 0, hostmaster.length);
  writeUint16(out, at, POINTER | HEADER_LENGTH);
  at += 2;
  for (const value of [1, ...transferTimes, ttlS]) {
    writeUint32(out, at, value);
    at += 4;
  }
  writeFixed(out, from + 2, recordType.soa, ttlS, at - data);
  return at;
}
