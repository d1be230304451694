// The names of the mesh, compiled from Istio's name table into flat arrays in shared memory: looked up without allocation,
// posted to another thread without a copy, never changed after it is built. Encoding the answer is answer.ts.
import { MAX_NAME_LENGTH, encodeAddress, writeName, type Query } from "./codec.ts";
import type { HostPorts, ServicePorts } from "./service-ports.ts";

/** One host of Istio's name table (`istio.networking.nds.v1.NameTable.NameInfo`). */
export interface NameInfo {
  readonly ips?: readonly string[];
  readonly registry?: string;
  readonly shortname?: string;
  readonly namespace?: string;
  readonly alt_hosts?: readonly string[];
  /** `alt_hosts` as proto JSON writes it. */
  readonly altHosts?: readonly string[];
}

/** Istio's name table (`istio.networking.nds.v1.NameTable`) as proto JSON. */
export interface NameTableJson {
  readonly table?: Readonly<Record<string, NameInfo>>;
}

/** Whose point of view the short names are from. */
export interface NameTableOptions {
  /** The proxy's DNS domain, with or without its namespace in front: `default.svc.cluster.local`. */
  readonly proxyDomain: string;
  /** The proxy's namespace: its services answer to their bare name. */
  readonly proxyNamespace: string;
  /** The search domains that names are also known under; Istio takes resolv.conf's first one only. */
  readonly searchDomains: readonly string[];
}

/** A compiled table. The arrays lie in shared memory, so posting one to a thread shares it. */
export interface NameTable {
  /** Names it answers to, aliases and expansions included. */
  readonly size: number;
  /** False lets a lookup skip the walk over parent domains. */
  readonly wildcards: boolean;
  /** Open addressing, a power of two long: entry number + 1, 0 = free. */
  readonly slots: Int32Array;
  /** `field.stride` numbers an entry. */
  readonly entries: Int32Array;
  /** Names in wire form and addresses. */
  readonly bytes: Uint8Array;
  /** By host number; not shared with threads, which know nothing of ports. */
  readonly services?: readonly (HostPorts | undefined)[] | undefined;
}

/** Positions within an entry; offsets are into `bytes`, `host` is a number of `services` or -1. */
export const field = { hash: 0, name: 1, nameLength: 2, a: 3, aCount: 4, aaaa: 5, aaaaCount: 6, target: 7, host: 8, stride: 9 } as const;

interface Addresses {
  readonly a: readonly Buffer[];
  readonly aaaa: readonly Buffer[];
}

/** What one name answers with: addresses, and the name it is a CNAME of, which wins. */
interface Draft {
  readonly name: string;
  addresses: Addresses | undefined;
  target: Draft | undefined;
  /** Number of the host that the addresses are of. */
  host: number;
  /** Its entry, -1 when the name has no wire form and can never be asked for. */
  entry: number;
}

/** FNV-1a from the last byte to the first, so that a parent domain's hash is a prefix of the work for the whole name. */
const HASH_SEED = 0x811c9dc5;
const HASH_PRIME = 0x01000193;
const ASTERISK = 0x2a;

function mix(hash: number): number {
  return hash ^ (hash >>> 15);
}

/**
 * Compiles what the proxy at `options` answers for `nds`; hosts without a usable address are left out, so they are forwarded.
 * @param ports of the hosts in `nds`, for SRV; the pods named in there become names as well
 */
export function compileNameTable(nds: NameTableJson, options: NameTableOptions, ports: ServicePorts = {}): NameTable {
  const domain = trimDomain(options.proxyDomain, options.proxyNamespace);
  const searches = options.searchDomains.map((search) => search.toLowerCase().replace(/\.$/, "")).filter((search) => search !== "");
  const drafts = new Map<string, Draft>();
  const hosts = Object.entries(nds.table ?? {})
    .map(([host, info]) => ({ host, info, addresses: parseAddresses(info.ips ?? []) }))
    .filter(({ addresses }) => addresses.a.length + addresses.aaaa.length > 0)
    .sort((left, right) => (left.host < right.host ? -1 : left.host > right.host ? 1 : 0));
  // Istio walks its map in random order, so a name claimed twice is anyone's there. Here full names come first and win.
  const aliases = hosts.map(({ host, info }) => aliasesOf(host, info, options.proxyNamespace, domain));
  for (const full of [true, false]) {
    hosts.forEach(({ addresses }, i) => {
      aliases[i]!.forEach((alias, position) => {
        if ((position === 0) === full) own(claim(drafts, alias), addresses, i);
      });
    });
  }
  const services = hosts.map(({ host }) => (Object.hasOwn(ports, host) ? { host, ports: ports[host]! } : undefined));
  claimPods(drafts, services);
  // The first domain as Istio expands it; what is known by then is left alone by the others.
  searches.forEach((search, position) => {
    for (const names of aliases) for (const alias of names) expand(drafts, alias, names, search, position === 0);
  });
  return { ...layOut([...drafts.values()]), services };
}

function own(draft: Draft, addresses: Addresses, host: number): void {
  if (draft.addresses) return;
  draft.addresses = addresses;
  draft.host = host;
}

/** Makes names of those pods that SRV records point to and the name table does not have: they have no host name of their own. */
function claimPods(drafts: Map<string, Draft>, services: readonly (HostPorts | undefined)[]): void {
  for (const service of services) {
    for (const { endpoints = [] } of service?.ports ?? []) {
      for (const { host, address } of endpoints) own(claim(drafts, host.toLowerCase()), parseAddresses([address]), -1);
    }
  }
}

function trimDomain(proxyDomain: string, namespace: string): string {
  const domain = proxyDomain.toLowerCase();
  return namespace !== "" && domain.startsWith(`${namespace}.`) ? domain.slice(namespace.length + 1) : domain;
}

function parseAddresses(ips: readonly string[]): Addresses {
  const a: Buffer[] = [];
  const aaaa: Buffer[] = [];
  for (const ip of ips) {
    const bytes = encodeAddress(ip);
    if (bytes) (bytes.length === 4 ? a : aaaa).push(bytes);
  }
  return { a, aaaa };
}

/** Every name of a host, lower case, without the final dot, the host itself first. */
function aliasesOf(host: string, info: NameInfo, proxyNamespace: string, domain: string): string[] {
  const full = host.toLowerCase();
  if (info.registry !== "Kubernetes") return [full.replace(/\.$/, "")];
  if (full.endsWith(".")) return [];
  const out = new Set([full]);
  // Across domains `name.namespace` would be ambiguous, so a service of another domain answers to its full name only.
  if (domain !== "" && full.endsWith(domain)) {
    const { shortname, namespace } = info;
    if (shortname && namespace) {
      const short = `${shortname}.${namespace}`.toLowerCase();
      out.add(short);
      if (namespace === proxyNamespace) out.add(shortname.toLowerCase());
      out.add(`${short}.${domain.split(".", 1)[0]!}`);
    }
    for (const alias of info.alt_hosts ?? info.altHosts ?? []) out.add(alias.toLowerCase());
  }
  return [...out];
}

function claim(drafts: Map<string, Draft>, name: string): Draft {
  const known = drafts.get(name);
  if (known) return known;
  const draft: Draft = { name, addresses: undefined, target: undefined, host: -1, entry: -1 };
  drafts.set(name, draft);
  return draft;
}

/**
 * Stores `name` + search domain as a CNAME. The first domain is what a stub resolver asks first; the others it asks as well when
 * the family it wants is missing, which would be a trip upstream for each.
 */
function expand(drafts: Map<string, Draft>, name: string, siblings: readonly string[], search: string, first: boolean): void {
  if (name.endsWith(search)) return;
  const expanded = `${name}.${search}`;
  if (siblings.includes(expanded) || (!first && drafts.has(expanded))) return;
  claim(drafts, expanded).target ??= claim(drafts, name);
}

function layOut(drafts: readonly Draft[]): Omit<NameTable, "services"> {
  const entries = encodeEntries(drafts);
  const addressOffsets = new Map<Addresses, number>();
  let length = entries.names.length;
  for (const { addresses } of entries.drafts) {
    if (!addresses || addressOffsets.has(addresses)) continue;
    addressOffsets.set(addresses, length);
    length += addresses.a.length * 4 + addresses.aaaa.length * 16;
  }
  const bytes = new Uint8Array(new SharedArrayBuffer(length));
  bytes.set(entries.names);
  for (const [addresses, offset] of addressOffsets) {
    let at = offset;
    for (const list of [addresses.a, addresses.aaaa]) {
      for (const address of list) {
        bytes.set(address, at);
        at += address.length;
      }
    }
  }

  const size = entries.drafts.length;
  const numbers = new Int32Array(new SharedArrayBuffer(4 * field.stride * size));
  // At most half full, so that a miss ends after a probe or two.
  const slotCount = 2 ** Math.ceil(Math.log2(Math.max(4, size * 2)));
  const slots = new Int32Array(new SharedArrayBuffer(4 * slotCount));
  let wildcards = false;
  let name = 0;
  entries.drafts.forEach(({ addresses, target, host }, i) => {
    const end = entries.ends[i]!;
    const hash = hashName(bytes, name, end);
    const base = i * field.stride;
    const offset = addresses ? addressOffsets.get(addresses)! : 0;
    numbers[base + field.hash] = hash;
    numbers[base + field.name] = name;
    numbers[base + field.nameLength] = end - name;
    numbers[base + field.a] = offset;
    numbers[base + field.aCount] = addresses?.a.length ?? 0;
    numbers[base + field.aaaa] = offset + 4 * (addresses?.a.length ?? 0);
    numbers[base + field.aaaaCount] = addresses?.aaaa.length ?? 0;
    numbers[base + field.target] = target?.entry ?? -1;
    numbers[base + field.host] = host;
    wildcards ||= bytes[name] === 1 && bytes[name + 1] === ASTERISK;
    let slot = mix(hash) & (slotCount - 1);
    while (slots[slot] !== 0) slot = (slot + 1) & (slotCount - 1);
    slots[slot] = i + 1;
    name = end;
  });
  return { size, wildcards, slots, entries: numbers, bytes };
}

/** Numbers the drafts whose names have a wire form, and lays those names end to end. */
function encodeEntries(drafts: readonly Draft[]): {
  readonly drafts: readonly Draft[];
  readonly names: Uint8Array;
  readonly ends: readonly number[];
} {
  const kept: Draft[] = [];
  const ends: number[] = [];
  let names = Buffer.allocUnsafe(drafts.length * 48 + MAX_NAME_LENGTH);
  let at = 0;
  for (const draft of drafts) {
    if (names.length - at < MAX_NAME_LENGTH) names = Buffer.concat([names], names.length * 2);
    const length = writeName(draft.name, names, at);
    // The root is no host: were it known, `. NS` and the like would still go upstream, but `. A` would not.
    if (length <= 1) continue;
    draft.entry = kept.length;
    at += length;
    kept.push(draft);
    ends.push(at);
  }
  return { drafts: kept, names: names.subarray(0, at), ends };
}

function hashName(bytes: Uint8Array, from: number, to: number): number {
  let hash = HASH_SEED | 0;
  for (let i = to - 1; i >= from; i--) hash = Math.imul(hash ^ bytes[i]!, HASH_PRIME);
  return hash;
}

/** The entry of exactly the query's name, -1 when there is none. */
export function findExact(table: NameTable, query: Query): number {
  const { name, nameLength } = query;
  return probe(table, hashName(name, 0, nameLength), name, 0, nameLength, false);
}

/** The entry of exactly what the query's name is from its label number `label` on, -1 when there is none. */
export function findFrom(table: NameTable, query: Query, label: number): number {
  const { name, nameLength, labels } = query;
  return probe(table, hashName(name, labels[label]!, nameLength), name, labels[label]!, nameLength, false);
}

/** The entry of the most specific wildcard above the query's name, -1 when there is none. */
export function findWildcard(table: NameTable, query: Query): number {
  if (!table.wildcards) return -1;
  const { name, nameLength, labels, labelCount } = query;
  for (let label = 1; label < labelCount; label++) {
    const from = labels[label]!;
    let hash = hashName(name, from, nameLength);
    hash = Math.imul(hash ^ ASTERISK, HASH_PRIME);
    hash = Math.imul(hash ^ 1, HASH_PRIME);
    const entry = probe(table, hash, name, from, nameLength, true);
    if (entry >= 0) return entry;
  }
  return -1;
}

/** Finds `name[from, to)`, or `*.` in front of it. */
function probe(table: NameTable, hash: number, name: Uint8Array, from: number, to: number, wildcard: boolean): number {
  const { slots, entries, bytes } = table;
  const mask = slots.length - 1;
  const length = to - from;
  const prefix = wildcard ? 2 : 0;
  for (let slot = mix(hash) & mask; slots[slot] !== 0; slot = (slot + 1) & mask) {
    const entry = slots[slot]! - 1;
    const base = entry * field.stride;
    if (entries[base + field.hash] !== hash || entries[base + field.nameLength] !== length + prefix) continue;
    const start = entries[base + field.name]!;
    if (wildcard && (bytes[start] !== 1 || bytes[start + 1] !== ASTERISK)) continue;
    let same = 0;
    while (same < length && bytes[start + prefix + same] === name[from + same]) same++;
    if (same === length) return entry;
  }
  return -1;
}
