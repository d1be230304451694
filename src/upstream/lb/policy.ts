// The table of load-balancing policies: which picker a cluster's policy means.
import type { HashingSettings, LbPolicy, SlowStart } from "../../envoy/cluster/cluster.ts";
import type { Candidate, HostPicker, Random, WeightFactor } from "./host-picker.ts";
import { withBoundedLoad } from "./hashing.ts";
import { createLeastRequestPicker } from "./least-request.ts";
import { createMaglevPicker } from "./maglev.ts";
import { createRandomPicker } from "./random.ts";
import { createRingHashPicker } from "./ring-hash.ts";
import { createRoundRobinPicker } from "./round-robin.ts";
import { slowStartFactor, slowStartLeftMs } from "./slow-start.ts";

/**
 * Makes the picker of a policy. `hosts` must not be empty.
 * @param nowMs asked by slow start alone
 */
export function createHostPicker<H extends Candidate>(
  policy: LbPolicy,
  hosts: readonly H[],
  random: Random,
  nowMs: () => number = () => 0,
): HostPicker<H> {
  switch (policy.kind) {
    case "ROUND_ROBIN":
      return createRoundRobinPicker(hosts, random, slowWeights(policy.slowStart, hosts, nowMs));
    case "CLUSTER_PROVIDED":
      return createRoundRobinPicker(hosts, random);
    case "LEAST_REQUEST":
      return createLeastRequestPicker(hosts, policy, random, slowWeights(policy.slowStart, hosts, nowMs));
    case "RANDOM":
      return createRandomPicker(hosts, random);
    case "RING_HASH":
      return bounded(policy, (hashing) => createRingHashPicker(hosts, policy, hashing, random));
    case "MAGLEV":
      return bounded(policy, (hashing) => createMaglevPicker(hosts, policy.tableSize, hashing, random));
  }

  function bounded(
    { hashing = plainHashing }: { readonly hashing?: HashingSettings },
    create: (by: HashingSettings) => HostPicker<H>,
  ): HostPicker<H> {
    return withBoundedLoad(create(hashing), hosts, hashing, random);
  }
}

/** True for policies that need a hash. */
export const hashes = ({ kind }: LbPolicy): boolean => kind === "RING_HASH" || kind === "MAGLEV";

const plainHashing: HashingSettings = { useHostname: false, balanceFactor: 0 };

// Undefined once nobody is in slow start: whoever makes the picker makes it anew then.
function slowWeights(slowStart: SlowStart | undefined, hosts: readonly Candidate[], nowMs: () => number): WeightFactor | undefined {
  if (slowStart === undefined || slowStartLeftMs(slowStart, hosts, nowMs()) === 0) return undefined;
  return (host) => slowStartFactor(slowStart, host, nowMs());
}
