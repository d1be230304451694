// Answers to SRV questions (RFC 2782) about ports of mesh hosts, with the addresses of the targets beside them. Asked rarely, so only
// the main thread does it, from plain objects. Bytes only, no I/O.
import { FIXED_LENGTH, NOT_OURS, POINTER, writeBytes, writeFixed, type AnswerSettings } from "./answer.ts";
import { encodeAddress } from "./address-bytes.ts";
import {
  BAD_VERSION,
  CLASS_IN,
  HEADER_LENGTH,
  MAX_NAME_LENGTH,
  OPT_LENGTH,
  flag,
  recordType,
  replyFlags,
  writeName,
  writeOpt,
  writeUint16,
  type Query,
} from "./codec.ts";
import { NOT_FOUND, addressesOf, entryOf, field, findName } from "./name-lookup.ts";
import type { NameTable } from "./name-table.ts";
import type { HostPorts, ServicePort } from "./service-ports.ts";

/** What all records together weigh, as CoreDNS shares it out; at least 1 each. */
const TOTAL_WEIGHT = 100;
/** Pointers have 14 bits. */
const MAX_POINTER = 0x3fff;
const UNDERSCORE = 0x5f;

interface Target {
  readonly host: string;
  readonly port: number;
  readonly addresses: readonly Uint8Array[];
}

/** Encodes SRV answers. */
export class ServiceAnswerEncoder {
  readonly #random: () => number;
  readonly #settings: AnswerSettings;

  /** @param random uniform in [0, 1): the order of records */
  constructor(random: () => number, settings: AnswerSettings) {
    this.#random = random;
    this.#settings = settings;
  }

  /**
   * Writes the reply to `query`, read from `request`, to `out`, which is longer than any message.
   * @param limit the most bytes the client can take
   * @returns the length of the reply; NOT_OURS for what is no SRV question about a known port, which upstream may know
   */
  encode(table: NameTable, query: Query, request: Uint8Array, out: Buffer, limit: number): number {
    if (query.type !== recordType.srv || query.class !== CLASS_IN) return NOT_OURS;
    const targets = findTargets(table, query);
    if (targets.length === 0) return NOT_OURS;
    const { ttlS, edns } = this.#settings;
    const reserved = edns && query.ednsSize > 0 ? OPT_LENGTH : 0;
    const badVersion = reserved > 0 && query.ednsVersion > 0;
    const end = limit - reserved;
    const weight = Math.max(1, Math.floor(TOTAL_WEIGHT / targets.length));
    const { questionEnd } = query;
    writeBytes(out, 0, request, 0, questionEnd);
    let at = questionEnd;
    const written: { readonly target: Target; readonly nameAt: number }[] = [];
    for (const target of badVersion ? [] : this.#shuffled(targets)) {
      const nameAt = at + 2 + FIXED_LENGTH + 6;
      if (nameAt + MAX_NAME_LENGTH > out.length) break;
      const length = writeName(target.host, out, nameAt);
      if (length === 0 || nameAt + length > end) break;
      writeUint16(out, at, POINTER | HEADER_LENGTH);
      writeFixed(out, at + 2, recordType.srv, ttlS, 6 + length);
      writeUint16(out, nameAt - 6, 0);
      writeUint16(out, nameAt - 4, weight);
      writeUint16(out, nameAt - 2, target.port);
      at = nameAt + length;
      written.push({ target, nameAt });
    }
    const truncated = !badVersion && written.length < targets.length;
    // What does not fit of the addresses the client asks for: that is no truncation (RFC 2181, section 9).
    let glue = 0;
    for (const [nameAt, address] of truncated ? [] : distinctAddresses(written)) {
      const next = at + 2 + FIXED_LENGTH + address.length;
      if (next > end) break;
      writeUint16(out, at, POINTER | nameAt);
      writeFixed(out, at + 2, address.length === 4 ? recordType.a : recordType.aaaa, ttlS, address.length);
      at = writeBytes(out, at + 2 + FIXED_LENGTH, address, 0, address.length);
      glue++;
    }
    if (reserved > 0) at = writeOpt(out, at, query.dnssecOk, badVersion ? BAD_VERSION : 0);
    writeUint16(out, 0, query.id);
    writeUint16(out, 2, replyFlags(query, flag.authoritative | (truncated ? flag.truncated : 0)));
    writeUint16(out, 4, 1);
    writeUint16(out, 6, written.length);
    writeUint16(out, 8, 0);
    writeUint16(out, 10, glue + (reserved > 0 ? 1 : 0));
    return at;
  }

  #shuffled(targets: readonly Target[]): readonly Target[] {
    return targets
      .map((target) => ({ target, key: this.#random() }))
      .toSorted((left, right) => left.key - right.key)
      .map(({ target }) => target);
  }
}

function findTargets(table: NameTable, query: Query): readonly Target[] {
  const { name, labels, labelCount } = query;
  const isPort = labelCount > 2 && name[labels[0]! + 1] === UNDERSCORE && name[labels[1]! + 1] === UNDERSCORE;
  const found = findName(table, query, isPort ? 2 : 0);
  if (found === NOT_FOUND) return [];
  const entry = entryOf(found);
  const host = table.services?.[table.entries[entry * field.stride + field.addresses]!];
  if (!host) return [];
  const [portName, protocol] = isPort ? [labelText(query, 0), labelText(query, 1)] : [undefined, undefined];
  return host.ports
    .filter((port) => portName === undefined || (port.name.toLowerCase() === portName && port.protocol === protocol))
    .flatMap((port) => targetsOf(table, entry, host, port));
}

/** A label without the underscore it begins with. */
function labelText({ name, labels }: Query, label: number): string {
  const from = labels[label]!;
  return Buffer.from(name.subarray(from + 2, from + 1 + name[from]!)).toString("latin1");
}

function targetsOf(table: NameTable, entry: number, { host }: HostPorts, { port, endpoints }: ServicePort): readonly Target[] {
  if (!endpoints) return [{ host, port, addresses: addressesOf(table, entry) }];
  return endpoints.map((endpoint) => {
    const address = encodeAddress(endpoint.address);
    return { host: endpoint.host, port: endpoint.port, addresses: address ? [address] : [] };
  });
}

/** Each target's addresses once, with where its name stands in the message. */
function* distinctAddresses(
  written: readonly { readonly target: Target; readonly nameAt: number }[],
): Generator<readonly [nameAt: number, address: Uint8Array]> {
  const seen = new Set<string>();
  for (const { target, nameAt } of written) {
    if (seen.has(target.host) || nameAt > MAX_POINTER) continue;
    seen.add(target.host);
    for (const address of target.addresses) yield [nameAt, address];
  }
}
