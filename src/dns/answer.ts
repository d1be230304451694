// Answers to A and AAAA questions, written straight from the name table into the caller's buffer. No I/O, no allocation.
// Layout follows Istio's proxy: plain when it fits, compressed when it would not, then cut at a record with TC set.
import { CLASS_IN, HEADER_LENGTH, flag, recordType, replyFlags, writeUint16, type Query } from "./codec.ts";
import { field, findExact, findWildcard, type NameTable } from "./name-table.ts";

/** Seconds a client may keep an answer: Istio's constant, low so that clients follow changes. */
export const TTL_SECONDS = 30;

/** Not answered here: the name is unknown, or a type or class that only upstream servers know. */
export const NOT_OURS = 0;
/** The answer is larger than the caller's buffer, though not than what the client can take. */
export const TOO_LARGE = -1;

const POINTER = 0xc000;
/** Type, class, TTL and length of a record's data. */
const FIXED_LENGTH = 10;

/** Encodes answers; holds the scratch memory for shuffling, so one instance serves one thread. */
export class AnswerEncoder {
  readonly #random: () => number;
  #order = new Int32Array(64);

  /** @param random uniform in [0, 1): the order of addresses, not a secret */
  constructor(random: () => number) {
    this.#random = random;
  }

  /**
   * Writes the reply to `query`, read from `request` at `start`, to `out` from `outStart` up to its end.
   * @param limit the most bytes the client can take
   * @returns the length of the reply, NOT_OURS or TOO_LARGE
   */
  encode(table: NameTable, query: Query, request: Uint8Array, start: number, out: Uint8Array, outStart: number, limit: number): number {
    const { type } = query;
    if (query.class !== CLASS_IN || (type !== recordType.a && type !== recordType.aaaa)) return NOT_OURS;
    let entry = findExact(table, query);
    const wildcard = entry < 0;
    if (wildcard) {
      entry = findWildcard(table, query);
      if (entry < 0) return NOT_OURS;
    }
    const { entries, bytes } = table;
    const target = entries[entry * field.stride + field.target]!;
    const holder = (target >= 0 ? target : entry) * field.stride;
    const count = entries[holder + (type === recordType.a ? field.aCount : field.aaaaCount)]!;
    const addresses = entries[holder + (type === recordType.a ? field.a : field.aaaa)]!;
    const size = type === recordType.a ? 4 : 16;

    // The owner of the addresses is the asked name, or, behind a CNAME, the name it points to (a wildcard's asterisk kept).
    const aliased = target >= 0 && count > 0;
    const owner = aliased ? bytes : query.name;
    const ownerStart = aliased ? entries[holder + field.name]! : 0;
    const ownerLength = aliased ? entries[holder + field.nameLength]! : query.nameLength;
    const cnameLength = aliased ? query.nameLength + FIXED_LENGTH + ownerLength : 0;

    const plain = query.questionEnd + cnameLength + count * (ownerLength + FIXED_LENGTH + size);
    const capacity = out.length - outStart;
    if (plain > capacity && limit > capacity) return TOO_LARGE;
    const end = outStart + Math.min(limit, capacity);
    const compress = plain > limit;

    for (let i = HEADER_LENGTH; i < query.questionEnd; i++) out[outStart + i] = request[start + i]!;
    let at = outStart + query.questionEnd;
    let records = 0;
    // Once an owner name has been written in full, the records behind it point to it.
    let pointer = compress && sharedFrom(request, start, query) === 0 ? HEADER_LENGTH : 0;
    if (aliased) {
      const data = writeAskedName(out, at, request, start, query, compress) + FIXED_LENGTH;
      const next = writeBytes(out, data, owner, ownerStart, ownerLength);
      writeFixed(out, data - FIXED_LENGTH, recordType.cname, next - data);
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
        next = writeBytes(out, at, owner, ownerStart, ownerLength);
      } else {
        next = writeAskedName(out, at, request, start, query, compress);
      }
      // Bytes written past the end of `out` vanish; the record is taken back all the same.
      if (next + FIXED_LENGTH + size > end) break;
      writeFixed(out, next, type, size);
      at = writeBytes(out, next + FIXED_LENGTH, bytes, addresses + size * (order ? order[i]! : i), size);
      if (compress && pointer === 0) pointer = first - outStart;
      records++;
    }
    const truncated = records < count + (aliased ? 1 : 0);
    writeUint16(out, outStart, query.id);
    writeUint16(out, outStart + 2, replyFlags(query, flag.authoritative | (truncated ? flag.truncated : 0)));
    writeUint16(out, outStart + 4, 1);
    writeUint16(out, outStart + 6, records);
    writeUint16(out, outStart + 8, 0);
    writeUint16(out, outStart + 10, 0);
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

function writeBytes(out: Uint8Array, at: number, from: Uint8Array, start: number, length: number): number {
  for (let i = 0; i < length; i++) out[at + i] = from[start + i]!;
  return at + length;
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

function writeFixed(out: Uint8Array, at: number, type: number, length: number): void {
  writeUint16(out, at, type);
  writeUint16(out, at + 2, CLASS_IN);
  writeUint16(out, at + 4, 0);
  writeUint16(out, at + 6, TTL_SECONDS);
  writeUint16(out, at + 8, length);
}
