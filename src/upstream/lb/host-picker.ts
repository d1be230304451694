// What every load-balancing policy is: a choice among a fixed list of hosts. Priorities, localities, panic and hosts to
// avoid are decided around it (balancer.ts); a changed list means a new picker.
import type { LbPolicy } from "../../envoy/cluster.ts";
import { createLeastRequestPicker } from "./least-request.ts";
import { createMaglevPicker } from "./maglev.ts";
import { createRandomPicker } from "./random.ts";
import { createRingHashPicker } from "./ring-hash.ts";
import { createRoundRobinPicker } from "./round-robin.ts";

/** What a policy looks at in a host. */
export interface Candidate {
  readonly addressText: string;
  readonly weight: number;
  readonly activeRequests: number;
}

/** A choice among a list of hosts that is not empty. */
export interface HostPicker<H> {
  /**
   * Picks a host; synchronous, and without allocation for the policies that need no hash.
   * @param hash 32 bits of the route's hash policy; policies that need a hash draw one when there is none
   * @param attempt 0 first, then counting up when the caller did not want the host it got
   */
  pick(hash: number | undefined, attempt: number): H;
}

/** Numbers in [0, 1). */
export type Random = () => number;

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

/** True when all hosts have the same weight. */
export function equalWeights(hosts: readonly Candidate[]): boolean {
  return hosts.every((host) => host.weight === hosts[0]?.weight);
}
