// Envoy Cluster.LbSubsetConfig with its decoder: which hosts a route's metadata match chooses among, and who serves when there are none.
import type { Decoder } from "../decode/cursor.ts";
import { type Fields, message } from "../decode/message.ts";
import { bool, enumeration, list, struct, text } from "../decode/scalars.ts";

/** Who serves when no host is in the subset. */
export type SubsetFallback = "NO_FALLBACK" | "ANY_ENDPOINT" | "DEFAULT_SUBSET";

/** LbSubsetSelector: keys by which subsets are made. */
export interface SubsetSelector {
  readonly keys: ReadonlySet<string>;
  /** NOT_DEFINED: the cluster's own; KEYS_SUBSET: look again by fewer keys. */
  readonly fallback: SubsetFallback | "NOT_DEFINED" | "KEYS_SUBSET";
  readonly fallbackKeys: readonly string[];
  /** A subset is one host. */
  readonly singleHost: boolean;
}

/** Cluster.LbSubsetConfig. */
export interface LbSubset {
  readonly fallback: SubsetFallback;
  readonly defaultSubset: Readonly<Record<string, unknown>>;
  readonly selectors: readonly SubsetSelector[];
  /** A host whose value is a list is in the subset of each of its elements. */
  readonly listAsAny: boolean;
  /** Where no host is found by any rule, any host. */
  readonly panicModeAny: boolean;
  /** metadata_fallback_policy FALLBACK_LIST: `fallback_list` of a match has keys to add to it, one choice after the other. */
  readonly fallbackList?: true;
  /** A match may have more keys than the selector that it is looked up by. */
  readonly allowRedundantKeys?: true;
  /** locality_weight_aware: localities keep their weights within a subset; without it they count by that alone. */
  readonly localityWeightAware?: true;
  /** scale_locality_weight: in proportion to the hosts that they have in the subset. */
  readonly scaleLocalityWeight?: true;
}

const fallback = enumeration({ NO_FALLBACK: 0, ANY_ENDPOINT: 1, DEFAULT_SUBSET: 2 });
const metadataFallback = enumeration({ METADATA_NO_FALLBACK: 0, FALLBACK_LIST: 1 });
const selectorFallback = enumeration({ NOT_DEFINED: 0, NO_FALLBACK: 1, ANY_ENDPOINT: 2, DEFAULT_SUBSET: 3, KEYS_SUBSET: 4 });

function decodeSelectorOf(type: string): Decoder<SubsetSelector> {
  return message(type, (m) => {
    const keys = new Set(m.field("keys", list(text), []));
    const policy = m.field("fallback_policy", selectorFallback, "NOT_DEFINED");
    const fallbackKeys = m.field("fallback_keys_subset", list(text), []);
    if (policy === "KEYS_SUBSET") {
      if (fallbackKeys.length === 0) m.at.error("required with fallback_policy KEYS_SUBSET", "fallback_keys_subset");
      else if (fallbackKeys.length >= keys.size || !fallbackKeys.every((key) => keys.has(key)))
        m.at.error("must be some, not all, of the keys", "fallback_keys_subset");
    } else if (fallbackKeys.length > 0) m.at.error("given without fallback_policy KEYS_SUBSET", "fallback_keys_subset");
    const singleHost = m.field("single_host_per_subset", bool, false);
    if (singleHost && keys.size !== 1) m.at.error("needs exactly one key", "single_host_per_subset");
    return { keys, fallback: policy, fallbackKeys, singleHost };
  });
}

const decodeOldSelector = decodeSelectorOf("envoy.config.cluster.v3.Cluster.LbSubsetConfig.LbSubsetSelector");
const decodeNewSelector = decodeSelectorOf("envoy.extensions.load_balancing_policies.subset.v3.Subset.LbSubsetSelector");

/** The fields that the old and the new message have in common. */
function fieldsOf(m: Fields, decodeSelector: Decoder<SubsetSelector>): LbSubset {
  return {
    fallback: m.field("fallback_policy", fallback, "NO_FALLBACK"),
    defaultSubset: m.field("default_subset", struct, {}),
    selectors: m.field("subset_selectors", list(decodeSelector), []),
    listAsAny: m.field("list_as_any", bool, false),
    panicModeAny: m.field("panic_mode_any", bool, false),
    ...(m.field("metadata_fallback_policy", metadataFallback, "METADATA_NO_FALLBACK") === "FALLBACK_LIST" ? { fallbackList: true } : {}),
    ...(m.field("locality_weight_aware", bool, false) ? { localityWeightAware: true } : {}),
    ...(m.field("scale_locality_weight", bool, false) ? { scaleLocalityWeight: true } : {}),
  };
}

/** Of load_balancing_policies.subset.v3.Subset, but for what it has alone. */
export const subsetFields = (m: Fields): LbSubset => fieldsOf(m, decodeNewSelector);

/** Cluster.LbSubsetConfig. */
export const decodeLbSubset: Decoder<LbSubset> = message("envoy.config.cluster.v3.Cluster.LbSubsetConfig", (m) =>
  fieldsOf(m, decodeOldSelector),
);
