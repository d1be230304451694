// Filter-chain matching, compiled. Envoy's order: destination port, destination IP, server name, transport protocol, ALPN,
// direct source IP, source type, source IP, source port. Each step takes the most specific branch and never comes back, so a
// connection can miss although a chain further up would have taken it (listener.v3.FilterChainMatch says so too).
import type { Issue, Result } from "../error.ts";
import type { CidrRange } from "../envoy/address.ts";
import type { FilterChain, FilterChainMatch, Listener } from "../envoy/listener/listener.ts";
import { isLoopback, parseCidr, parseIp, PrefixTable } from "../match/cidr.ts";
import { ServerNameTable } from "../match/sni.ts";
import type { ConnectionInfo } from "../telemetry/stream-info.ts";

/** Finds the filter chain of a connection. */
export interface FilterChainMatcher {
  /** Index into `listener.filterChains`; undefined: the default chain, or none. */
  find(info: ConnectionInfo): number | undefined;
  /** For explanations: the first criterion that no chain met once the ones before it had been decided; undefined when one was found. */
  missedAt(info: ConnectionInfo): MatchCriterion | undefined;
}

/** What is matched, in Envoy's order: fields of FilterChainMatch. */
export const matchCriteria = [
  "destination_port",
  "prefix_ranges",
  "server_names",
  "transport_protocol",
  "application_protocols",
  "direct_source_prefix_ranges",
  "source_type",
  "source_prefix_ranges",
  "source_ports",
] as const;

/** One of them. */
export type MatchCriterion = (typeof matchCriteria)[number];

/** One step: branches by key, the last step's branches being chain indexes. */
interface Step {
  /** The branches of a chain's match; a branch two matches share is the same object. Undefined: the key is malformed. */
  add(match: FilterChainMatch, make: () => Branch): readonly Branch[] | undefined;
  find(info: ConnectionInfo): Branch | undefined;
}
interface Leaf {
  chain: number | undefined;
}
type Branch = Step | Leaf;

/** Compiles the chains of a listener; chains that match the same connections and malformed ranges are errors. */
export function compileFilterChains(listener: Pick<Listener, "filterChains">): Result<FilterChainMatcher> {
  const issues: Issue[] = [];
  const root = newBranch(0) as Step;
  for (const [index, chain] of listener.filterChains.entries()) {
    const message = insert(root, chain, index, listener.filterChains);
    if (message !== undefined) issues.push({ severity: "error", path: ["filter_chains", index, "filter_chain_match"], message });
  }
  if (issues.length > 0) return { ok: false, issues };
  return { ok: true, value: { find: (info) => findChain(root, info), missedAt: (info) => missedAt(root, info) }, issues };
}

function insert(root: Step, chain: FilterChain, index: number, chains: readonly FilterChain[]): string | undefined {
  let branches: readonly Branch[] = [root];
  for (let depth = 0; depth < steps.length; depth++) {
    const next: Branch[] = [];
    for (const branch of branches) {
      const added = (branch as Step).add(chain.match, () => newBranch(depth + 1));
      if (!added) return "has a prefix that is no IP range; expected an IP address and a prefix length that fits it";
      next.push(...added);
    }
    branches = next;
  }
  for (const leaf of branches as readonly Leaf[]) {
    if (leaf.chain !== undefined && leaf.chain !== index) {
      return `matches the same connections as filter chain ${nameOf(chains[leaf.chain], leaf.chain)}; expected each chain to match something of its own`;
    }
    leaf.chain = index;
  }
  return undefined;
}

function nameOf(chain: FilterChain | undefined, index: number): string {
  return chain?.name ? `"${chain.name}"` : `number ${index}`;
}

function findChain(root: Step, info: ConnectionInfo): number | undefined {
  let branch: Branch = root;
  for (let depth = 0; depth < steps.length; depth++) {
    const next: Branch | undefined = (branch as Step).find(info);
    if (!next) return undefined;
    branch = next;
  }
  return (branch as Leaf).chain;
}

function missedAt(root: Step, info: ConnectionInfo): MatchCriterion | undefined {
  let branch: Branch = root;
  for (const criterion of matchCriteria) {
    const next: Branch | undefined = (branch as Step).find(info);
    if (!next) return criterion;
    branch = next;
  }
  return undefined;
}

/** Branches by exact key with one for "any" under the empty key. */
function keyed<K extends string | number>(
  any: K,
  keysOf: (match: FilterChainMatch) => readonly K[],
  candidates: (info: ConnectionInfo) => readonly K[] | K,
): Step {
  const branches = new Map<K, Branch>();
  return {
    add: (match, make) => orAny(keysOf(match), any).map((key) => getOrAdd(branches, key, make)),
    find(info) {
      const wanted = candidates(info);
      if (typeof wanted !== "object") return branches.get(wanted) ?? branches.get(any);
      for (const key of wanted) {
        const found = branches.get(key);
        if (found) return found;
      }
      return branches.get(any);
    },
  };
}

function orAny<K>(keys: readonly K[], any: K): readonly K[] {
  return keys.length === 0 ? [any] : keys;
}

function getOrAdd<K>(branches: Map<K, Branch>, key: K, make: () => Branch): Branch {
  const found = branches.get(key);
  if (found) return found;
  const made = make();
  branches.set(key, made);
  return made;
}

// "Any address" is the range of length 0 of both families, so the longest prefix decides without a special case.
const anyAddress: readonly CidrRange[] = [
  { addressPrefix: "0.0.0.0", prefixLen: 0 },
  { addressPrefix: "::", prefixLen: 0 },
];

function byAddress(rangesOf: (match: FilterChainMatch) => readonly CidrRange[], addressOf: (info: ConnectionInfo) => string): Step {
  const table = new PrefixTable<Branch>();
  return {
    add(match, make) {
      const ranges = rangesOf(match);
      const parsed = (ranges.length === 0 ? anyAddress : ranges).map(parseCidr);
      // One branch for both families of "any" would share leaves with chains that name only one of them, so each gets its own.
      return parsed.every((range) => range !== undefined) ? parsed.map((range) => table.getOrAdd(range, make)) : undefined;
    },
    find(info) {
      const ip = parseIp(addressOf(info));
      return ip && table.find(ip);
    },
  };
}

function byServerName(): Step {
  const table = new ServerNameTable<Branch>();
  return {
    add: (match, make) => orAny(match.serverNames, "").map((name) => table.getOrAdd(name, make)),
    find: (info) => table.find(info.serverName),
  };
}

function bySourceType(): Step {
  const branches = new Map<FilterChainMatch["sourceType"], Branch>();
  return {
    add: (match, make) => [getOrAdd(branches, match.sourceType, make)],
    find: (info) => branches.get(isLocal(info) ? "SAME_IP_OR_LOOPBACK" : "EXTERNAL") ?? branches.get("ANY"),
  };
}

function isLocal(info: ConnectionInfo): boolean {
  if (info.remote.ip === info.local.ip) return true;
  const ip = parseIp(info.remote.ip);
  return ip !== undefined && isLoopback(ip);
}

const steps: readonly (() => Step)[] = [
  () =>
    keyed(
      0,
      (match) => (match.destinationPort === undefined ? [] : [match.destinationPort]),
      (info) => info.local.port,
    ),
  () =>
    byAddress(
      (match) => match.prefixRanges,
      (info) => info.local.ip,
    ),
  byServerName,
  () =>
    keyed(
      "",
      (match) => [match.transportProtocol],
      (info) => info.transportProtocol || "raw_buffer",
    ),
  () =>
    keyed(
      "",
      (match) => match.applicationProtocols,
      (info) => info.applicationProtocols,
    ),
  () =>
    byAddress(
      (match) => match.directSourcePrefixRanges,
      (info) => info.directRemote.ip,
    ),
  bySourceType,
  () =>
    byAddress(
      (match) => match.sourcePrefixRanges,
      (info) => info.remote.ip,
    ),
  () =>
    keyed(
      0,
      (match) => match.sourcePorts,
      (info) => info.remote.port,
    ),
];

function newBranch(depth: number): Branch {
  const make = steps[depth];
  return make ? make() : { chain: undefined };
}
