// Decoders of a cluster's load-balancing policy: the old lb_policy with its own settings, and the extension list that replaces it.
import type { HashingSettings, LbPolicy, SlowStart } from "./cluster.ts";
import { anyOf, typedExtension, unsupportedType } from "../decode/any.ts";
import { type Decoder, describe } from "../decode/cursor.ts";
import { emptyMessage, type Fields, message } from "../decode/message.ts";
import { type LbSubset, subsetFields } from "./lb-subset.ts";
import { decodePercent } from "../percent.ts";
import { bool, double, duration, enumeration, integer, int64 } from "../decode/scalars.ts";
import { decodeZoneAware, type ZoneAware } from "./zone-aware.ts";

type LeastRequest = Extract<LbPolicy, { readonly kind: "LEAST_REQUEST" }>;

/** A policy, and what localities count for. */
export interface LoadBalancing {
  readonly lbPolicy: LbPolicy;
  readonly localityWeightedLb: boolean;
  readonly zoneAware?: ZoneAware;
  /** A subset policy around the policy. */
  readonly lbSubset?: LbSubset;
}

// Envoy's defaults and bounds (ring_hash.v3, maglev.v3): rings of 1024 to 8 Mi entries, tables of 65537.
const maxRingSize = 8_388_608;
const ringSize = integer(1, maxRingSize);
const choices = integer(2, 0xffff_ffff);
const hashFunction = enumeration({ XX_HASH: 0, MURMUR_HASH_2: 1 });
const newHashFunction = enumeration({ DEFAULT_HASH: 0, XX_HASH: 1, MURMUR_HASH_2: 2 });
const roundRobin: LbPolicy = { kind: "ROUND_ROBIN" };

function ringHash(m: Fields, functions: Decoder<string>): LbPolicy {
  const murmur = m.field("hash_function", functions, "XX_HASH") === "MURMUR_HASH_2";
  const minimumRingSize = m.field("minimum_ring_size", ringSize, 1024);
  const maximumRingSize = m.field("maximum_ring_size", ringSize, maxRingSize);
  if (minimumRingSize > maximumRingSize) m.at.error(`above maximum_ring_size ${maximumRingSize}`, "minimum_ring_size");
  return { kind: "RING_HASH", minimumRingSize, maximumRingSize, ...(murmur ? { murmur } : {}) };
}

function maglev(m: Fields): LbPolicy {
  const tableSize = m.field("table_size", int64, 65_537);
  if (tableSize > 5_000_011 || !isPrime(tableSize)) m.at.error(`expected a prime of at most 5000011, got ${tableSize}`, "table_size");
  return { kind: "MAGLEV", tableSize };
}

function isPrime(value: number): boolean {
  if (value < 2) return false;
  for (let divisor = 2; divisor * divisor <= value; divisor++) if (value % divisor === 0) return false;
  return true;
}

const decodeOldRingHash = message("envoy.config.cluster.v3.Cluster.RingHashLbConfig", (m) => ringHash(m, hashFunction));
const decodeOldMaglev = message("envoy.config.cluster.v3.Cluster.MaglevLbConfig", maglev);

function slowStart(type: string): Decoder<{ readonly slowStart?: SlowStart }> {
  return message(type, (m) => {
    const windowMs = m.field("slow_start_window", duration, 0);
    const aggression = m.field("aggression", decodeRuntimeDouble, 1);
    const minWeightPercent = m.field("min_weight_percent", decodePercent, 10);
    if (aggression <= 0) m.at.error(`expected a number above 0, got ${aggression}`, "aggression");
    return windowMs === 0 ? {} : { slowStart: { windowMs, aggression, minWeightPercent } };
  });
}

const decodeRuntimeDouble = message("envoy.config.core.v3.RuntimeDouble", (m) => {
  m.accept("runtime_key");
  return m.field("default_value", double, 0);
});
const oldSlowStart = slowStart("envoy.config.cluster.v3.Cluster.SlowStartConfig");
const newSlowStart = slowStart("envoy.extensions.load_balancing_policies.common.v3.SlowStartConfig");

function leastRequest(m: Fields, slow: Decoder<{ readonly slowStart?: SlowStart }>): LeastRequest {
  const bias = m.field("active_request_bias", decodeRuntimeDouble, 1);
  if (bias < 0) m.at.error(`expected a number from 0 on, got ${bias}`, "active_request_bias");
  return {
    kind: "LEAST_REQUEST",
    choiceCount: m.field("choice_count", choices, 2),
    ...(bias === 1 ? {} : { activeRequestBias: bias }),
    ...m.field("slow_start_config", slow, {}),
  };
}

const selection = enumeration({ N_CHOICES: 0, FULL_SCAN: 1 });
const fullScan = (m: Fields): { readonly fullScan?: true } =>
  m.field("selection_method", selection, "N_CHOICES") === "FULL_SCAN" || m.field("enable_full_scan", bool, false) ? { fullScan: true } : {};

const roundRobinOf = (m: Fields, slow: Decoder<{ readonly slowStart?: SlowStart }>): LbPolicy => ({
  kind: "ROUND_ROBIN",
  ...m.field("slow_start_config", slow, {}),
});
const decodeOldLeastRequest = message("envoy.config.cluster.v3.Cluster.LeastRequestLbConfig", (m) => leastRequest(m, oldSlowStart));
const decodeOldRoundRobin = message("envoy.config.cluster.v3.Cluster.RoundRobinLbConfig", (m) => roundRobinOf(m, oldSlowStart));

const oldPolicy = enumeration({
  ROUND_ROBIN: 0,
  LEAST_REQUEST: 1,
  RING_HASH: 2,
  RANDOM: 3,
  MAGLEV: 5,
  CLUSTER_PROVIDED: 6,
  LOAD_BALANCING_POLICY_CONFIG: 7,
});

type Localities = Pick<LoadBalancing, "localityWeightedLb" | "zoneAware">;
const plainLocalities: Localities = { localityWeightedLb: false };

const decodeLocality = message(
  "envoy.extensions.load_balancing_policies.common.v3.LocalityLbConfig",
  (m): Localities =>
    m.oneof<Localities>({
      zone_aware_lb_config: (json, at) => ({ localityWeightedLb: false, zoneAware: decodeZoneAware(json, at) }),
      locality_weighted_lb_config: () => ({ localityWeightedLb: true }),
    }) ?? plainLocalities,
);

const withLocality = (m: Fields, lbPolicy: LbPolicy): LoadBalancing => ({
  lbPolicy,
  ...m.field("locality_lb_config", decodeLocality, plainLocalities),
});

const balanceFactor = integer(100, 0xffff_ffff);
function hashing(m: Fields): { readonly hashing?: HashingSettings } {
  const useHostname = m.field("use_hostname_for_hashing", bool, false);
  const factor = m.field("hash_balance_factor", balanceFactor, 0);
  return useHostname || factor > 0 ? { hashing: { useHostname, balanceFactor: factor } } : {};
}
const decodeNewHashing = message("envoy.extensions.load_balancing_policies.common.v3.ConsistentHashingLbConfig", hashing);
const decodeOldHashing = message("envoy.config.cluster.v3.Cluster.CommonLbConfig.ConsistentHashingLbConfig", hashing);

/** `common_lb_config.consistent_hashing_lb_config`, for the policies that hash. */
export const decodeConsistentHashing: Decoder<{ readonly hashing?: HashingSettings }> = decodeOldHashing;

// Settings of both messages; those of ring_hash itself are the older ones.
function hashed(m: Fields, lbPolicy: LbPolicy, older: { readonly hashing?: HashingSettings }): LoadBalancing {
  return {
    lbPolicy: { ...lbPolicy, ...older, ...m.field("consistent_hashing_lb_config", decodeNewHashing, {}) },
    localityWeightedLb: m.has("locality_weighted_lb_config"),
  };
}
const decodeClusterProvided = emptyMessage("envoy.extensions.load_balancing_policies.cluster_provided.v3.ClusterProvided");

const decodeWrrLocality = message("envoy.extensions.load_balancing_policies.wrr_locality.v3.WrrLocality", (m) => ({
  lbPolicy: m.required("endpoint_picking_policy", decodeLoadBalancingPolicy).lbPolicy,
  localityWeightedLb: true,
}));

const policies: Readonly<Record<string, Decoder<LoadBalancing>>> = {
  "envoy.extensions.load_balancing_policies.round_robin.v3.RoundRobin": message(
    "envoy.extensions.load_balancing_policies.round_robin.v3.RoundRobin",
    (m) => withLocality(m, roundRobinOf(m, newSlowStart)),
  ),
  "envoy.extensions.load_balancing_policies.least_request.v3.LeastRequest": message(
    "envoy.extensions.load_balancing_policies.least_request.v3.LeastRequest",
    (m) => withLocality(m, { ...leastRequest(m, newSlowStart), ...fullScan(m) }),
  ),
  "envoy.extensions.load_balancing_policies.random.v3.Random": message("envoy.extensions.load_balancing_policies.random.v3.Random", (m) =>
    withLocality(m, { kind: "RANDOM" }),
  ),
  "envoy.extensions.load_balancing_policies.ring_hash.v3.RingHash": message(
    "envoy.extensions.load_balancing_policies.ring_hash.v3.RingHash",
    (m) => hashed(m, ringHash(m, newHashFunction), hashing(m)),
  ),
  "envoy.extensions.load_balancing_policies.maglev.v3.Maglev": message("envoy.extensions.load_balancing_policies.maglev.v3.Maglev", (m) =>
    hashed(m, maglev(m), {}),
  ),
  "envoy.extensions.load_balancing_policies.wrr_locality.v3.WrrLocality": decodeWrrLocality,
  "envoy.extensions.load_balancing_policies.subset.v3.Subset": message(
    "envoy.extensions.load_balancing_policies.subset.v3.Subset",
    (m) => ({
      ...m.required("subset_lb_policy", decodeLoadBalancingPolicy),
      lbSubset: { ...subsetFields(m), ...(m.field("allow_redundant_keys", bool, false) ? { allowRedundantKeys: true } : {}) },
    }),
  ),
  "envoy.extensions.load_balancing_policies.cluster_provided.v3.ClusterProvided": (json, at) => {
    decodeClusterProvided(json, at);
    return { lbPolicy: { kind: "CLUSTER_PROVIDED" }, localityWeightedLb: false };
  },
};

const decodePolicy = message("envoy.config.cluster.v3.LoadBalancingPolicy.Policy", (m) =>
  m.required(
    "typed_extension_config",
    typedExtension(anyOf<LoadBalancing | { readonly unknown: string }>(policies, (type) => ({ unknown: type }))),
  ),
);

/** cluster.v3.LoadBalancingPolicy: the first policy that is known, as in Envoy. */
const decodeLoadBalancingPolicy: Decoder<LoadBalancing> = message("envoy.config.cluster.v3.LoadBalancingPolicy", (m) => {
  const unknown: string[] = [];
  const found = m.required("policies", (json, at): LoadBalancing | undefined => {
    if (!Array.isArray(json)) {
      at.error(`expected a list, got ${describe(json)}`);
      return undefined;
    }
    for (const [index, entry] of json.entries()) {
      const policy = at.in(index, decodePolicy, entry);
      if (!("unknown" in policy)) return policy;
      unknown.push(policy.unknown);
    }
    at.error(unknown.length === 0 ? "must not be empty" : unknown.map((type) => unsupportedType(type, Object.keys(policies))).join("; "));
    return undefined;
  });
  return found ?? { lbPolicy: roundRobin, localityWeightedLb: false };
});

/** The load balancing of a cluster.v3.Cluster; `policyExtension` tells that it is of load_balancing_policy. */
export function decodeClusterLb(m: Fields): LoadBalancing & { readonly policyExtension?: true } {
  const policy = m.field("lb_policy", oldPolicy, "ROUND_ROBIN");
  const ring = m.field("ring_hash_lb_config", decodeOldRingHash, {
    kind: "RING_HASH",
    minimumRingSize: 1024,
    maximumRingSize: maxRingSize,
  } as const);
  const table = m.field("maglev_lb_config", decodeOldMaglev, { kind: "MAGLEV", tableSize: 65_537 } as const);
  const least = m.field("least_request_lb_config", decodeOldLeastRequest, { kind: "LEAST_REQUEST", choiceCount: 2 } as const);
  const inTurn = m.field("round_robin_lb_config", decodeOldRoundRobin, roundRobin);
  const extension = m.field("load_balancing_policy", decodeLoadBalancingPolicy, undefined);
  if (extension) {
    // As Envoy has it: the settings of the old policies have their place within the new ones.
    if (m.has("lb_subset_config")) m.at.error("load_balancing_policy has a policy for subsets", "lb_subset_config");
    return { ...extension, policyExtension: true };
  }
  if (policy === "LOAD_BALANCING_POLICY_CONFIG")
    m.at.error("load_balancing_policy is required with lb_policy LOAD_BALANCING_POLICY_CONFIG", "lb_policy");
  return { lbPolicy: old(), localityWeightedLb: false };

  function old(): LbPolicy {
    switch (policy) {
      case "LEAST_REQUEST":
        return least;
      case "RING_HASH":
        return ring;
      case "MAGLEV":
        return table;
      case "RANDOM":
      case "CLUSTER_PROVIDED":
        return { kind: policy };
      default:
        return inTurn;
    }
  }
}
