// What the hashing policies share: the name a host is hashed by, a hash for those who have none, and bounded loads.
import type { HashingSettings } from "../../envoy/cluster/cluster.ts";
import type { Hash64 } from "../../match/xxhash64.ts";
import type { Candidate, HostPicker, Random } from "./host-picker.ts";

/** The name of a host on a ring or table: its metadata's `envoy.lb` `hash_key`, or its hostname if so configured, or its address. */
export function hashKeyOf(host: Candidate, { useHostname }: HashingSettings): string {
  const key = host.metadata?.["envoy.lb"]?.["hash_key"];
  if (typeof key === "string" && key !== "") return key;
  return useHostname ? (host.hostname ?? "") : host.addressText;
}

/** A hash that leads anywhere. */
export function anyHash(random: Random): Hash64 {
  return { hi: Math.floor(random() * 0x1_0000_0000), lo: Math.floor(random() * 0x1_0000_0000) };
}

/** Weights that add up to 1, as Envoy computes them. */
export function normalizedWeights(hosts: readonly Candidate[]): readonly number[] {
  const sum = hosts.reduce((total, host) => total + host.weight, 0);
  return hosts.map((host) => host.weight / sum);
}

/** Keeps any host's share of active requests below `balanceFactor` percent of the average; with 0, whatever `inner` says. */
export function withBoundedLoad<H extends Candidate>(
  inner: HostPicker<H>,
  hosts: readonly H[],
  { balanceFactor }: HashingSettings,
  random: Random,
): HostPicker<H> {
  return balanceFactor === 0 ? inner : new BoundedLoad(inner, hosts, balanceFactor, random);
}

class BoundedLoad<H extends Candidate> implements HostPicker<H> {
  readonly #inner: HostPicker<H>;
  readonly #hosts: readonly H[];
  readonly #weights: ReadonlyMap<H, number>;
  readonly #factor: number;
  readonly #random: Random;

  constructor(inner: HostPicker<H>, hosts: readonly H[], factor: number, random: Random) {
    this.#inner = inner;
    this.#hosts = hosts;
    const weights = normalizedWeights(hosts);
    this.#weights = new Map(hosts.map((host, i) => [host, weights[i] ?? 0]));
    this.#factor = factor;
    this.#random = random;
  }

  pick(hash: Hash64 | undefined, attempt: number): H {
    const wanted = hash ?? anyHash(this.#random);
    const first = this.#inner.pick(wanted, attempt);
    let active = 0;
    for (const host of this.#hosts) active += host.activeRequests;
    const slots = Math.floor(((active + 1) * this.#factor + 99) / 100);
    if (this.#load(first, slots) <= 1) return first;
    // Every hash has an order of its own, so that the load of one host does not all fall on a single other one.
    const order = shuffled(this.#hosts, wanted);
    let least = first;
    for (const host of order) {
      const load = this.#load(host, slots);
      if (load <= 1) return host;
      if (load < this.#load(least, slots)) least = host;
    }
    return least;
  }

  /** Active requests by how many the host may have; as in Envoy the one that is to be sent may then be one more. */
  #load(host: H, slots: number): number {
    return host.activeRequests / Math.max(Math.ceil(slots * (this.#weights.get(host) ?? 0)), 1);
  }
}

// Fisher and Yates by a generator (xorshift) that starts with the hash.
function shuffled<H>(hosts: readonly H[], { hi, lo }: Hash64): readonly H[] {
  const order = hosts.slice();
  let state = (hi ^ lo) >>> 0 || 1;
  for (let left = order.length; left > 1; left--) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    const at = (state >>> 0) % left;
    [order[left - 1], order[at]] = [order[at] as H, order[left - 1] as H];
  }
  return order;
}
