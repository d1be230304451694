// Random: every host with a chance of its weight.
import { equalWeights } from "./host-picker.ts";
import type { Candidate, HostPicker, Random } from "./host-picker.ts";

/** Makes a random picker. */
export function createRandomPicker<H extends Candidate>(hosts: readonly H[], random: Random): HostPicker<H> {
  return equalWeights(hosts) ? new Uniform(hosts, random) : new ByWeight(hosts, random);
}

class Uniform<H> implements HostPicker<H> {
  readonly #hosts: readonly H[];
  readonly #random: Random;

  constructor(hosts: readonly H[], random: Random) {
    this.#hosts = hosts;
    this.#random = random;
  }

  pick(): H {
    return this.#hosts[Math.floor(this.#random() * this.#hosts.length)] as H;
  }
}

class ByWeight<H extends Candidate> implements HostPicker<H> {
  readonly #hosts: readonly H[];
  readonly #random: Random;
  /** Sum of the weights up to and with each host. */
  readonly #upTo: Float64Array;

  constructor(hosts: readonly H[], random: Random) {
    this.#hosts = hosts;
    this.#random = random;
    this.#upTo = new Float64Array(hosts.length);
    let sum = 0;
    hosts.forEach((host, i) => (this.#upTo[i] = sum += host.weight));
  }

  pick(): H {
    const upTo = this.#upTo;
    const drawn = this.#random() * (upTo[upTo.length - 1] as number);
    let low = 0;
    let high = upTo.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((upTo[middle] as number) > drawn) high = middle;
      else low = middle + 1;
    }
    return this.#hosts[low] as H;
  }
}
