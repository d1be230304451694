// Virtual addresses of ServiceEntry hosts that have none: a pure function of the mesh, so every proxy and every start agree.
//
// A host asks for the slot that FNV-1a of `namespace/host` names, as Istio's legacy allocator does, and when a host of higher
// priority has it, for the next one of its own probe sequence. Hosts are served by priority (older entry first, then by hash,
// then by name), so the result does not depend on the order in which they are written or read. Therefore an address changes
// only when a host of higher priority whose probes meet the same slot comes or goes, and never when entries carry
// creationTimestamps and nothing older is removed. Addresses in `status`, or given by any entry or Service, are never moved
// nor handed out twice.
import { isIP } from "node:net";
import type { ServiceEntrySpec } from "../istio/service-entry.ts";
import type { MeshView } from "../mesh-view.ts";
import type { MeshObject } from "../object/mesh-object.ts";
import { type AddressSlots, layOutSlots } from "./address-range.ts";
import { compareText } from "./service.ts";

/** What was handed out. */
export interface VirtualAddresses {
  /** The addresses of a host of an entry, IPv4 first; empty when it is given none. */
  of(entry: MeshObject<ServiceEntrySpec>, hostname: string): readonly string[];
  /** Hosts that found the range full, as `namespace/host`. */
  readonly unserved: readonly string[];
  /** How many addresses there are. */
  readonly capacity: number;
}

const optOutLabel = "networking.istio.io/enable-autoallocate-ip";

/** True when a host is to be given an address, by `status` or from the range: Istio's conditions. */
export function wantsAddress(entry: MeshObject<ServiceEntrySpec>, hostname: string): boolean {
  const { spec, meta } = entry;
  if (spec.addresses.length > 0 || spec.resolution === "NONE" || meta.labels[optOutLabel] === "false") return false;
  // A wildcard's addresses would answer for names that no one asked about, unless resolving those is the point of it.
  return !hostname.includes("*") || spec.resolution === "DYNAMIC_DNS";
}

// A view is checked and translated, and never changes.
const known = new WeakMap<MeshView, VirtualAddresses>();

/** Hands addresses out to the whole mesh. */
export function allocateAddresses(mesh: MeshView): VirtualAddresses {
  const before = known.get(mesh);
  if (before !== undefined) return before;
  const addresses = allocate(mesh);
  known.set(mesh, addresses);
  return addresses;
}

function allocate(mesh: MeshView): VirtualAddresses {
  const { order, ranges } = mesh.config.autoAllocate;
  const byEntry = order === "sequence";
  const slots = layOutSlots(ranges, byEntry ? "plain" : "blocks");
  const { fixed, taken } = findFixed(mesh, slots);
  const keyOf = byEntry ? entryKey : hostKey;
  const waiting = new Map<string, Claim>();
  for (const entry of mesh.serviceEntries) {
    for (const hostname of entry.spec.hosts) {
      if (!wantsAddress(entry, hostname) || (fixed.size > 0 && fixed.has(entryKey(entry, hostname)))) continue;
      const key = keyOf(entry, hostname);
      const known = waiting.get(key);
      // Several entries on one host share its address, which is as old as the oldest of them.
      if (known !== undefined) known.createdAt = Math.min(known.createdAt, entry.meta.createdAt);
      else waiting.set(key, { key, hash: fnv1a(key), createdAt: entry.meta.createdAt });
    }
  }
  const handed = new Map<string, readonly string[]>();
  const unserved: string[] = [];
  const find = byEntry ? nextInSequence(slots, taken) : probe(slots, taken);
  const claims = [...waiting.values()].toSorted(byEntry ? inQueueOrder : byPriority);
  for (const claim of claims) {
    const slot = find(claim.hash);
    if (slot === undefined) {
      unserved.push(claim.key);
      continue;
    }
    taken.add(slot);
    const { v4, v6 } = slots.at(slot);
    handed.set(claim.key, [v4, v6]);
  }
  return {
    of: (entry, hostname) =>
      wantsAddress(entry, hostname) ? (fixed.get(entryKey(entry, hostname)) ?? handed.get(keyOf(entry, hostname)) ?? []) : [],
    unserved,
    capacity: slots.count,
  };
}

/** A host that waits for an address. */
interface Claim {
  readonly key: string;
  readonly hash: number;
  createdAt: number;
}

const hostKey = (entry: MeshObject<ServiceEntrySpec>, hostname: string): string => `${entry.meta.namespace}/${hostname}`;
const entryKey = ({ meta }: MeshObject<ServiceEntrySpec>, hostname: string): string => `${meta.namespace}/${meta.name}/${hostname}`;

const byPriority = (a: Claim, b: Claim): number => a.createdAt - b.createdAt || a.hash - b.hash || compareText(a.key, b.key);
// A sort keeps the order of what is equal: the hosts of one entry stay in the order they are written in.
const inQueueOrder = (a: Claim, b: Claim): number =>
  a.createdAt - b.createdAt || compareText(a.key.slice(0, a.key.lastIndexOf("/")), b.key.slice(0, b.key.lastIndexOf("/")));

/** Addresses in `status` by entry and host, and the slots that are not free: theirs, and those given to anything else. */
function findFixed(
  mesh: MeshView,
  slots: AddressSlots,
): { readonly fixed: ReadonlyMap<string, readonly string[]>; readonly taken: Set<number> } {
  const fixed = new Map<string, readonly string[]>();
  const taken = new Set<number>();
  const take = (address: string): void => {
    const slot = slots.slotOf(address);
    if (slot !== undefined) taken.add(slot);
  };
  for (const entry of mesh.serviceEntries) {
    for (const address of entry.spec.addresses) take(address);
    for (const { host, address } of entry.spec.allocated) {
      if (isIP(address) === 0) continue;
      take(address);
      const key = entryKey(entry, host);
      const known = fixed.get(key) ?? [];
      fixed.set(key, isIP(address) === 4 ? [address, ...known] : [...known, address]);
    }
  }
  if (mesh.serviceEntries.length === 0) return { fixed, taken };
  for (const cluster of mesh.clusters) for (const service of cluster.services) for (const address of service.spec.clusterIps) take(address);
  return { fixed, taken };
}

function nextInSequence(slots: AddressSlots, taken: ReadonlySet<number>): () => number | undefined {
  let next = 0;
  return () => {
    while (next < slots.count && taken.has(next)) next += 1;
    return next < slots.count ? next : undefined;
  };
}

/** Double hashing; where its steps come back to where they began without having seen every slot, the rest in order. */
function probe(slots: AddressSlots, taken: ReadonlySet<number>): (hash: number) => number | undefined {
  const { count } = slots;
  const prime = primeBelow(count);
  return (hash) => {
    if (taken.size >= count) return undefined;
    const start = hash % count;
    if (!taken.has(start)) return start;
    const step = prime - (hash % prime);
    for (let tries = 1; tries < maxSteps; tries++) {
      const slot = ((hash + Math.imul(tries, step)) >>> 0) % count;
      if (!taken.has(slot)) return slot;
    }
    for (let slot = (start + 1) % count; slot !== start; slot = (slot + 1) % count) if (!taken.has(slot)) return slot;
    return undefined;
  };
}

// In a range that is half full, 64 steps all meet a taken slot once in 2^64 hosts.
const maxSteps = 64;

function primeBelow(limit: number): number {
  for (let candidate = limit - 1; candidate > 2; candidate--) {
    let divisor = 2;
    while (divisor * divisor <= candidate && candidate % divisor !== 0) divisor++;
    if (divisor * divisor > candidate) return candidate;
  }
  return 1;
}

/** 32-bit FNV-1a of the text, whose characters are those of names, one byte each. */
function fnv1a(text: string): number {
  let hash = 0x811c_9dc5;
  for (let index = 0; index < text.length; index++) hash = Math.imul(hash ^ (text.charCodeAt(index) & 0xff), 0x0100_0193);
  return hash >>> 0;
}
