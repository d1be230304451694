// Subset load balancing: the hosts that a metadata match means, by the cluster's selectors and fallback policies.
import { isDeepStrictEqual } from "node:util";
import type { Metadata } from "../../envoy/address.ts";
import type { LbSubset, SubsetFallback } from "../../envoy/cluster/lb-subset.ts";
import { isObject } from "../../envoy/decode/cursor.ts";

type Match = Readonly<Record<string, unknown>>;
type Member = { readonly metadata: Metadata };

/** The metadata namespace that subsets are made of. */
const namespace = "envoy.lb";

/** Hosts to choose among. The next choice counts when nobody of this one may serve. */
export interface SubsetChoice<H> {
  readonly hosts: readonly H[];
  /** How they were found: by a selector, by the cluster's fallback, by panic_mode_any, or by a selector's own fallback. */
  readonly by: "selector" | "fallback" | "panic" | "selector_fallback";
  /** single_host_per_subset: the host serves whatever its health. */
  readonly single?: true;
}

/** The choices for a match (empty = none given), first to last; none when nobody may serve. */
export function subsetChoices<H extends Member>(config: LbSubset, hosts: readonly H[], match: Match): readonly SubsetChoice<H>[] {
  return alternatives(config, match)
    .flatMap((one) => choicesOf(config, hosts, one))
    .filter((choice) => choice.hosts.length > 0);
}

// metadata_fallback_policy FALLBACK_LIST: the rest of the match with each entry of the list in turn.
function alternatives({ fallbackList }: LbSubset, match: Match): readonly Match[] {
  if (fallbackList !== true || !("fallback_list" in match)) return [match];
  const { fallback_list: overrides, ...rest } = match;
  if (!Array.isArray(overrides) || overrides.length === 0) return [rest];
  return overrides.map((override: unknown) => ({ ...rest, ...(isObject(override) ? override : {}) }));
}

function choicesOf<H extends Member>(config: LbSubset, hosts: readonly H[], match: Match): readonly SubsetChoice<H>[] {
  const found = bySelector(config, hosts, match);
  if (found !== undefined) return [found];
  // As in Envoy panic is for clusters that have a fallback at all.
  if (config.fallback === "NO_FALLBACK") return [];
  const choice: SubsetChoice<H> = { hosts: byFallback(config, hosts, config.fallback), by: "fallback" };
  return config.panicModeAny ? [choice, { hosts, by: "panic" }] : [choice];
}

/** Undefined when the cluster's own fallback decides. */
function bySelector<H extends Member>(config: LbSubset, hosts: readonly H[], match: Match): SubsetChoice<H> | undefined {
  const wanted = wantedOf(config, match);
  if (wanted.length === 0) return undefined;
  const selector = config.selectors.find(({ keys }) => keys.size === wanted.length && wanted.every(([key]) => keys.has(key)));
  if (selector === undefined) return undefined;
  const found = matching(config, hosts, wanted);
  if (found.length > 0)
    return selector.singleHost ? { hosts: found.slice(0, 1), by: "selector", single: true } : { hosts: found, by: "selector" };
  switch (selector.fallback) {
    case "NOT_DEFINED":
      return undefined;
    case "KEYS_SUBSET":
      return bySelector(config, hosts, Object.fromEntries(wanted.filter(([key]) => selector.fallbackKeys.includes(key))));
    default:
      return { hosts: byFallback(config, hosts, selector.fallback), by: "selector_fallback" };
  }
}

type Wanted = readonly (readonly [string, unknown])[];

// With allow_redundant_keys a match means the first selector whose keys it has, and nothing by its other keys.
function wantedOf({ allowRedundantKeys, selectors }: LbSubset, match: Match): Wanted {
  const all = Object.entries(match);
  if (allowRedundantKeys !== true) return all;
  const selector = selectors.find(({ keys }) => keys.size > 0 && [...keys].every((key) => key in match));
  return selector === undefined ? all : all.filter(([key]) => selector.keys.has(key));
}

function byFallback<H extends Member>(config: LbSubset, hosts: readonly H[], fallback: SubsetFallback): readonly H[] {
  if (fallback === "ANY_ENDPOINT") return hosts;
  return fallback === "NO_FALLBACK" ? [] : matching(config, hosts, Object.entries(config.defaultSubset));
}

function matching<H extends Member>({ listAsAny }: LbSubset, hosts: readonly H[], wanted: Wanted): readonly H[] {
  return hosts.filter((host) =>
    wanted.every(([key, value]) => {
      const own = host.metadata[namespace]?.[key];
      if (listAsAny && Array.isArray(own)) return own.some((one) => isDeepStrictEqual(one, value));
      return isDeepStrictEqual(own, value);
    }),
  );
}
