// Subset load balancing: the hosts that a metadata match means, by the cluster's selectors and fallback policies.
import { isDeepStrictEqual } from "node:util";
import type { Metadata } from "../../envoy/address.ts";
import type { LbSubset, SubsetFallback } from "../../envoy/cluster/lb-subset.ts";

type Match = Readonly<Record<string, unknown>>;

/** The metadata namespace that subsets are made of. */
const namespace = "envoy.lb";

/** The hosts to choose among for a match (empty = none given); an empty list when nobody may serve. */
export function subsetHosts<H extends { readonly metadata: Metadata }>(config: LbSubset, hosts: readonly H[], match: Match): readonly H[] {
  const found = bySelector(config, hosts, match) ?? byFallback(config, hosts, config.fallback);
  return found.length === 0 && config.panicModeAny ? hosts : found;
}

/** Undefined when the cluster's own fallback decides. */
function bySelector<H extends { readonly metadata: Metadata }>(
  config: LbSubset,
  hosts: readonly H[],
  match: Match,
): readonly H[] | undefined {
  const wanted = Object.entries(match);
  if (wanted.length === 0) return undefined;
  const selector = config.selectors.find(({ keys }) => keys.size === wanted.length && wanted.every(([key]) => keys.has(key)));
  if (selector === undefined) return undefined;
  const found = matching(config, hosts, wanted);
  if (found.length > 0) return selector.singleHost ? found.slice(0, 1) : found;
  switch (selector.fallback) {
    case "NOT_DEFINED":
      return undefined;
    case "KEYS_SUBSET":
      return bySelector(config, hosts, Object.fromEntries(wanted.filter(([key]) => selector.fallbackKeys.includes(key))));
    default:
      return byFallback(config, hosts, selector.fallback);
  }
}

function byFallback<H extends { readonly metadata: Metadata }>(
  config: LbSubset,
  hosts: readonly H[],
  fallback: SubsetFallback,
): readonly H[] {
  if (fallback === "ANY_ENDPOINT") return hosts;
  return fallback === "NO_FALLBACK" ? [] : matching(config, hosts, Object.entries(config.defaultSubset));
}

function matching<H extends { readonly metadata: Metadata }>(
  { listAsAny }: LbSubset,
  hosts: readonly H[],
  wanted: readonly (readonly [string, unknown])[],
): readonly H[] {
  return hosts.filter((host) =>
    wanted.every(([key, value]) => {
      const own = host.metadata[namespace]?.[key];
      if (listAsAny && Array.isArray(own)) return own.some((one) => isDeepStrictEqual(one, value));
      return isDeepStrictEqual(own, value);
    }),
  );
}
