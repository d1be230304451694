// The table of load-balancing policies: which picker a cluster's policy means.
import type { LbPolicy } from "../../envoy/cluster/cluster.ts";
import type { Candidate, HostPicker, Random } from "./host-picker.ts";
import { createLeastRequestPicker } from "./least-request.ts";
import { createMaglevPicker } from "./maglev.ts";
import { createRandomPicker } from "./random.ts";
import { createRingHashPicker } from "./ring-hash.ts";
import { createRoundRobinPicker } from "./round-robin.ts";

/** Makes the picker of a policy. `hosts` must not be empty. */
export function createHostPicker<H extends Candidate>(policy: LbPolicy, hosts: readonly H[], random: Random): HostPicker<H> {
  switch (policy.kind) {
    case "ROUND_ROBIN":
    case "CLUSTER_PROVIDED":
      return createRoundRobinPicker(hosts, random);
    case "LEAST_REQUEST":
      return createLeastRequestPicker(hosts, policy.choiceCount, random);
    case "RANDOM":
      return createRandomPicker(hosts, random);
    case "RING_HASH":
      return createRingHashPicker(hosts, policy.minimumRingSize, policy.maximumRingSize, random);
    case "MAGLEV":
      return createMaglevPicker(hosts, policy.tableSize, random);
  }
}
