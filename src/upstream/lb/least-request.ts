// Least request: the least busy of a few hosts drawn at random; with unequal weights a schedule by weight / (active + 1)
// to the power of active_request_bias, as Envoy does.
import type { LbPolicy } from "../../envoy/cluster/cluster.ts";
import { equalWeights } from "./host-picker.ts";
import type { Candidate, HostPicker, Random, WeightFactor } from "./host-picker.ts";
import { Scheduled } from "./round-robin.ts";

/** Settings; `choiceCount` is the number of hosts drawn per pick, Envoy's default 2. */
export type LeastRequestSettings = Omit<Extract<LbPolicy, { readonly kind: "LEAST_REQUEST" }>, "kind" | "slowStart">;

/** Makes a least-request picker; with `factor` by weights that change. */
export function createLeastRequestPicker<H extends Candidate>(
  hosts: readonly H[],
  settings: LeastRequestSettings,
  random: Random,
  factor?: WeightFactor,
): HostPicker<H> {
  const { choiceCount, activeRequestBias = 1, fullScan } = settings;
  if (factor === undefined && equalWeights(hosts))
    return fullScan === true ? new LeastOfAll(hosts, random) : new LeastOfSome(hosts, Math.max(2, choiceCount), random);
  const weight = weightBy(activeRequestBias);
  if (factor === undefined) return new Scheduled(hosts, (index) => weight(hosts[index] as H), random);
  return new Scheduled(hosts, (index) => weight(hosts[index] as H) * factor(hosts[index] as H), random);
}

// The usual biases without a power.
function weightBy(bias: number): (host: Candidate) => number {
  if (bias === 0) return (host) => host.weight;
  if (bias === 1) return (host) => host.weight / (host.activeRequests + 1);
  return (host) => host.weight / (host.activeRequests + 1) ** bias;
}

class LeastOfAll<H extends Candidate> implements HostPicker<H> {
  readonly #hosts: readonly H[];
  readonly #random: Random;

  constructor(hosts: readonly H[], random: Random) {
    this.#hosts = hosts;
    this.#random = random;
  }

  pick(): H {
    const hosts = this.#hosts;
    // Among equals the first from a random place on, so that idle hosts share.
    let at = Math.floor(this.#random() * hosts.length);
    let best = hosts[at] as H;
    for (let i = 1; i < hosts.length; i++) {
      at = at + 1 === hosts.length ? 0 : at + 1;
      const other = hosts[at] as H;
      if (other.activeRequests < best.activeRequests) best = other;
    }
    return best;
  }
}

class LeastOfSome<H extends Candidate> implements HostPicker<H> {
  readonly #hosts: readonly H[];
  readonly #choices: number;
  readonly #random: Random;

  constructor(hosts: readonly H[], choices: number, random: Random) {
    this.#hosts = hosts;
    this.#choices = choices;
    this.#random = random;
  }

  pick(): H {
    const hosts = this.#hosts;
    let best = hosts[Math.floor(this.#random() * hosts.length)] as H;
    for (let i = 1; i < this.#choices; i++) {
      const other = hosts[Math.floor(this.#random() * hosts.length)] as H;
      if (other.activeRequests < best.activeRequests) best = other;
    }
    return best;
  }
}
