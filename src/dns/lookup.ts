// One name looked up in the table as text, for people who ask what the responder would say. The responder itself works on bytes.
import { CLASS_IN, HEADER_LENGTH, MAX_NAME_LENGTH, Query, parseQuery, recordType, writeName, writeUint16 } from "./codec.ts";
import { NOT_FOUND, addressesOf, entryOf, field, findName, findWildcard } from "./name-lookup.ts";
import type { NameTable } from "./name-table.ts";

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
  const exact = findName(table, query);
  const found = exact === NOT_FOUND ? findWildcard(table, query) : exact;
  if (found === NOT_FOUND) return undefined;
  const entry = entryOf(found);
  return {
    owner: nameOf(table, entry),
    wildcard: exact === NOT_FOUND,
    addresses: addressesOf(table, entry).map(formatIp),
  };
}

/** Every name the table has; what they are under search domains is not listed. */
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
  const end = start + entries[entry * field.stride + field.nameLength]! - 1;
  const labels: string[] = [];
  for (let at = start; at < end; at += bytes[at]! + 1) {
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
