// Finds a query's name in a compiled name table, as it is or with a search domain taken off. No allocation, no I/O.
import { MAX_NAME_LENGTH, Query } from "./codec.ts";
import type { NameTable } from "./name-table.ts";

/**
 * Positions within one of `NameTable.entries`. `name` is an offset into `bytes`; `nameLength` counts the root label, which is not stored;
 * `addresses` is a number within `NameTable.addresses`; `target` is the entry that this name is a CNAME of, or -1.
 */
export const field = { hash: 0, name: 1, nameLength: 2, addresses: 3, target: 4, stride: 5 } as const;
/** Positions within one of `NameTable.addresses`: `count4` IPv4 addresses stand in `bytes` at `at`, the `count6` of IPv6 behind them. */
export const addressField = { at: 0, count4: 1, count6: 2, stride: 3 } as const;
/** Positions within one of `NameTable.searches`: the domain's wire form in `bytes`, without its root label. */
const searchField = { at: 0, length: 1, stride: 2 } as const;

/** A name that is not known; anything else is for `entryOf` and `isCname`. */
export const NOT_FOUND = -1;

/** FNV-1a, whose states on the way to the end of a name are the hashes of the name without its last labels. */
const HASH_SEED = 0x811c9dc5;
const HASH_PRIME = 0x01000193;
const ASTERISK = 0x2a;
/** The hash of `*` as a label. */
const WILDCARD_SEED = Math.imul(Math.imul(HASH_SEED ^ 1, HASH_PRIME) ^ ASTERISK, HASH_PRIME);
/** The state before each byte of the name that is looked up: of use until the next one is. */
const states = new Int32Array(MAX_NAME_LENGTH);

/** The entry whose addresses answer what was found. */
export function entryOf(found: number): number {
  return found >> 1;
}

/** Whether what was asked is another name for the entry's, so that the answer begins with a CNAME. */
export function isCname(found: number): boolean {
  return (found & 1) === 1;
}

/** What exactly the query's name is, from its label number `label` on; NOT_FOUND when it is not known. */
export function findName(table: NameTable, query: Query, label = 0): number {
  const { name, nameLength, labels } = query;
  const from = label === 0 ? 0 : labels[label]!;
  const to = nameLength - 1;
  return findPart(table, name, from, to, false);
}

/** The most specific wildcard above the query's name, itself under a search domain or not; NOT_FOUND when there is none. */
export function findWildcard(table: NameTable, query: Query): number {
  if (!table.wildcards) return NOT_FOUND;
  const { name, nameLength, labels, labelCount } = query;
  const to = nameLength - 1;
  for (let label = 1; label < labelCount; label++) {
    const from = labels[label]!;
    const found = findPart(table, name, from, to, true);
    if (found !== NOT_FOUND) return found;
  }
  return NOT_FOUND;
}

/** Finds `name[from, to)`, or `*.` in front of it: as it is, else without a search domain. */
function findPart(table: NameTable, name: Uint8Array, from: number, to: number, wildcard: boolean): number {
  let hash = wildcard ? WILDCARD_SEED : HASH_SEED | 0;
  for (let i = from; i < to; i++) {
    states[i] = hash;
    hash = Math.imul(hash ^ name[i]!, HASH_PRIME);
  }
  const entry = probe(table, hash, name, from, to, wildcard);
  if (entry >= 0) return ofEntry(table, entry);
  // Of `*` nothing but the domain is left to ask for; no other name is empty.
  const least = wildcard ? from : from + 1;
  const { searches, bytes } = table;
  for (let search = 0; search < searches.length; search += searchField.stride) {
    const cut = to - searches[search + searchField.length]!;
    if (cut < least || name[cut] !== bytes[searches[search + searchField.at]!]) continue;
    // Hardly anything is found where nothing is known, so whether the name ends in the domain is asked last.
    const known = probe(table, states[cut]!, name, from, cut, wildcard);
    if (known >= 0 && isExpanded(table, known) && isUnderSearch(table, search, name, from, to)) return (known << 1) | 1;
  }
  return NOT_FOUND;
}

function ofEntry({ entries }: NameTable, entry: number): number {
  const target = entries[entry * field.stride + field.target]!;
  return target >= 0 ? (target << 1) | 1 : entry << 1;
}

/** Names of hosts are known under search domains, those of pods that only SRV records name are not. */
function isExpanded({ entries, hosts }: NameTable, entry: number): boolean {
  return entries[entry * field.stride + field.addresses]! < hosts;
}

function isUnderSearch(table: NameTable, search: number, name: Uint8Array, from: number, to: number): boolean {
  if (!table.expandsFullNames) return searchStart(table, search, name, from, to) >= 0;
  const { searches, bytes } = table;
  const length = searches[search + searchField.length]!;
  return isSame(bytes, searches[search + searchField.at]!, name, to - length, length);
}

/**
 * Where the search domain begins that `name[from, to)` ends in; -1 when it does not, and when what stands before ends in it too:
 * no such name is expanded. As Istio compares text, a last label that merely ends like the domain's first counts there.
 * @param search offset of one of `searches`
 */
export function searchStart(
  table: Pick<NameTable, "searches" | "bytes">,
  search: number,
  name: Uint8Array,
  from: number,
  to: number,
): number {
  const { searches, bytes } = table;
  const at = searches[search + searchField.at]!;
  const length = searches[search + searchField.length]!;
  const cut = to - length;
  if (cut < from || !isSame(bytes, at, name, cut, length)) return -1;
  const again = cut - length + 1;
  return again >= from && isSame(bytes, at + 1, name, again, length - 1) ? -1 : cut;
}

function isSame(left: Uint8Array, leftAt: number, right: Uint8Array, rightAt: number, length: number): boolean {
  let same = 0;
  while (same < length && left[leftAt + same] === right[rightAt + same]) same++;
  return same === length;
}

/** The hash of `bytes[from, to)`. */
export function hashName(bytes: Uint8Array, from: number, to: number): number {
  let hash = HASH_SEED | 0;
  for (let i = from; i < to; i++) hash = Math.imul(hash ^ bytes[i]!, HASH_PRIME);
  return hash;
}

/** The slot that a name with this hash is looked for in first. */
export function firstSlot(hash: number, slotCount: number): number {
  return (hash ^ (hash >>> 15)) & (slotCount - 1);
}

/** Whether the name at `bytes[at]` begins with the label `*`. */
export function isWildcard(bytes: Uint8Array, at: number): boolean {
  return bytes[at] === 1 && bytes[at + 1] === ASTERISK;
}

/** The entry that is called `name[from, to)`, or `*.` in front of it, and has that hash; -1 when there is none. */
export function probe(
  table: Pick<NameTable, "slots" | "entries" | "bytes">,
  hash: number,
  name: Uint8Array,
  from: number,
  to: number,
  wildcard: boolean,
): number {
  const { slots, entries, bytes } = table;
  const mask = slots.length - 1;
  const prefix = wildcard ? 2 : 0;
  const length = to - from;
  for (let slot = firstSlot(hash, slots.length); slots[slot] !== 0; slot = (slot + 1) & mask) {
    const entry = slots[slot]! - 1;
    const base = entry * field.stride;
    if (entries[base + field.hash] !== hash || entries[base + field.nameLength] !== length + prefix + 1) continue;
    const start = entries[base + field.name]!;
    if (wildcard && !isWildcard(bytes, start)) continue;
    if (isSame(bytes, start + prefix, name, from, length)) return entry;
  }
  return -1;
}

/** The addresses of an entry, IPv4 first, as views of the table's bytes. */
export function addressesOf({ entries, addresses, bytes }: NameTable, entry: number): readonly Uint8Array[] {
  const base = entries[entry * field.stride + field.addresses]! * addressField.stride;
  const at = addresses[base + addressField.at]!;
  const count4 = addresses[base + addressField.count4]!;
  const list = (from: number, count: number, size: number): Uint8Array[] =>
    Array.from({ length: count }, (_, i) => bytes.subarray(from + i * size, from + (i + 1) * size));
  return [...list(at, count4, 4), ...list(at + 4 * count4, addresses[base + addressField.count6]!, 16)];
}

/** How many names are answered, those under search domains included. Looks each of them up: for people, not for every change. */
export function countNames(table: NameTable): number {
  const { entries, searches, bytes } = table;
  const query = new Query();
  let count = table.size;
  for (let entry = 0; entry < table.size; entry++) {
    const at = entries[entry * field.stride + field.name]!;
    const own = entries[entry * field.stride + field.nameLength]! - 1;
    for (let search = 0; search < searches.length; search += searchField.stride) {
      const searchAt = searches[search + searchField.at]!;
      const length = own + searches[search + searchField.length]!;
      if (length >= MAX_NAME_LENGTH) continue;
      query.name.set(bytes.subarray(at, at + own));
      query.name.set(bytes.subarray(searchAt, searchAt + length - own), own);
      query.nameLength = length + 1;
      const stored = probe(table, hashName(query.name, 0, length), query.name, 0, length, false) >= 0;
      if (!stored && findName(table, query) === ((entry << 1) | 1)) count++;
    }
  }
  return count;
}
