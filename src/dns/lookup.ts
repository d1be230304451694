// One name looked up in the table as text, for people who ask what the responder would say. The responder itself works on bytes.
import { CLASS_IN, HEADER_LENGTH, MAX_NAME_LENGTH, Query, parseQuery, recordType, writeName, writeUint16 } from "./codec.ts";
import { field, findExact, findWildcard, type NameTable } from "./name-table.ts";

/** What the table says about a name. */
export interface Lookup {
  /** The name of the table that took the question: the asked one, a CNAME's target, or a wildcard. */
  readonly owner: string;
  readonly wildcard: boolean;
  /** IPv4 first. */
  readonly addresses: readonly string[];
}

/** Looks a name up; undefined: it is not the mesh's, and upstream servers are asked. */
export function lookUpName(table: NameTable, name: string): Lookup | undefined {
  const query = new Query();
  if (!readQuestion(name, query)) return undefined;
  const exact = findExact(table, query);
  const entry = exact >= 0 ? exact : findWildcard(table, query);
  if (entry < 0) return undefined;
  const { entries, bytes } = table;
  const target = entries[entry * field.stride + field.target]!;
  const holder = target >= 0 ? target : entry;
  const at = holder * field.stride;
  const read = (offset: number, count: number, size: number): readonly string[] =>
    Array.from({ length: count }, (_, i) => formatIp(bytes.subarray(offset + i * size, offset + (i + 1) * size)));
  return {
    owner: nameOf(table, holder),
    wildcard: exact < 0,
    addresses: [
      ...read(entries[at + field.a]!, entries[at + field.aCount]!, 4),
      ...read(entries[at + field.aaaa]!, entries[at + field.aaaaCount]!, 16),
    ],
  };
}

/** Every name the table answers to. */
export function tableNames(table: NameTable): readonly string[] {
  return Array.from({ length: table.size }, (_, entry) => nameOf(table, entry));
}

/** The question as a client would send it; false when the name has no wire form. */
function readQuestion(name: string, query: Query): boolean {
  const message = Buffer.alloc(HEADER_LENGTH + MAX_NAME_LENGTH + 4);
  writeUint16(message, 4, 1);
  const length = writeName(name.replace(/\.$/, ""), message, HEADER_LENGTH);
  if (length <= 1) return false;
  writeUint16(message, HEADER_LENGTH + length, recordType.a);
  writeUint16(message, HEADER_LENGTH + length + 2, CLASS_IN);
  return parseQuery(message, 0, HEADER_LENGTH + length + 4, query) === "query";
}

function nameOf({ entries, bytes }: NameTable, entry: number): string {
  const start = entries[entry * field.stride + field.name]!;
  const end = start + entries[entry * field.stride + field.nameLength]!;
  const labels: string[] = [];
  for (let at = start; at < end && bytes[at] !== 0; at += bytes[at]! + 1) {
    labels.push(Buffer.from(bytes.subarray(at + 1, at + 1 + bytes[at]!)).toString("latin1"));
  }
  return labels.join(".");
}

function formatIp(address: Uint8Array): string {
  if (address.length === 4) return address.join(".");
  const groups = Array.from({ length: 8 }, (_, i) => ((address[2 * i]! << 8) | address[2 * i + 1]!).toString(16));
  // The URL parser writes the one canonical text of an IPv6 address (RFC 5952).
  return new URL(`http://[${groups.join(":")}]`).hostname.slice(1, -1);
}
