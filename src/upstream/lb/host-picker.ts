// What every load-balancing policy is: a choice among a fixed list of hosts. Priorities, localities, panic and hosts to
// avoid are decided around it (balancer.ts); a changed list means a new picker.

import type { Metadata } from "../../envoy/address.ts";
import type { Hash64 } from "../../match/xxhash64.ts";

/** What a policy looks at in a host. */
export interface Candidate {
  readonly addressText: string;
  readonly weight: number;
  readonly activeRequests: number;
  readonly hostname?: string;
  readonly metadata?: Metadata;
  /** When it came into use, by the balancer's clock; absent = long ago. */
  readonly inUseSinceMs?: number | undefined;
}

/** A choice among a list of hosts that is not empty. */
export interface HostPicker<H> {
  /**
   * Picks a host; synchronous, and without allocation for the policies that need no hash.
   * @param hash of the route's hash policy; policies that need a hash draw one when there is none
   * @param attempt 0 first, then counting up when the caller did not want the host it got
   */
  pick(hash: Hash64 | undefined, attempt: number): H;
}

/** What a host's weight is multiplied by at the moment. */
export type WeightFactor = (host: Candidate) => number;

/** Numbers in [0, 1). */
export type Random = () => number;

/** True when all hosts have the same weight. */
export function equalWeights(hosts: readonly Candidate[]): boolean {
  return hosts.every((host) => host.weight === hosts[0]?.weight);
}
