// Finds filter chains of a listener that would match the same connections with the same precision, which Envoy refuses.
import type { CidrRange } from "../envoy/address.ts";
import type { FilterChain, FilterChainMatch } from "../envoy/listener/listener.ts";

// A match with more combinations than this is compared as a whole, so that hostile lists cannot multiply into memory.
const maxCombinations = 20_000;

const range = (cidr: CidrRange): string => `${cidr.addressPrefix.toLowerCase()}/${cidr.prefixLen}`;
const orAny = (values: readonly string[]): readonly string[] => (values.length === 0 ? [""] : values);

// One dimension a criterion, in Envoy's order.
function dimensions(match: FilterChainMatch): readonly (readonly string[])[] {
  return [
    [String(match.destinationPort ?? "")],
    orAny(match.prefixRanges.map(range)),
    orAny(match.serverNames),
    [match.transportProtocol],
    orAny(match.applicationProtocols),
    orAny(match.directSourcePrefixRanges.map(range)),
    [match.sourceType],
    orAny(match.sourcePrefixRanges.map(range)),
    orAny(match.sourcePorts.map(String)),
  ];
}

function combinations(match: FilterChainMatch): readonly string[] {
  const lists = dimensions(match);
  if (lists.reduce((product, list) => product * list.length, 1) > maxCombinations) return [JSON.stringify(lists)];
  let keys = [""];
  for (const list of lists) keys = keys.flatMap((key) => list.map((value) => `${key}|${value}`));
  return keys;
}

type MatchedChain = Pick<FilterChain, "match">;

const known = new WeakMap<readonly MatchedChain[], readonly (readonly [number, number])[]>();

/** Pairs of chains (later index, earlier index) that overlap; found once for each list. */
export function overlappingChains(chains: readonly MatchedChain[]): readonly (readonly [number, number])[] {
  let pairs = known.get(chains);
  if (pairs === undefined) {
    pairs = findOverlaps(chains);
    known.set(chains, pairs);
  }
  return pairs;
}

function findOverlaps(chains: readonly MatchedChain[]): readonly (readonly [number, number])[] {
  const owners = new Map<string, number>();
  const pairs: (readonly [number, number])[] = [];
  chains.forEach(({ match }, index) => {
    let earlier: number | undefined;
    for (const key of new Set(combinations(match))) {
      earlier ??= owners.get(key);
      if (!owners.has(key)) owners.set(key, index);
    }
    if (earlier !== undefined) pairs.push([index, earlier]);
  });
  return pairs;
}
