// Round robin: in turn, or by an even schedule when weights differ.
import { EdfSchedule } from "./edf.ts";
import { equalWeights } from "./host-picker.ts";
import type { Candidate, HostPicker, Random, WeightFactor } from "./host-picker.ts";

/** Makes a round-robin picker that starts at a random host; with `factor` by weights that change. */
export function createRoundRobinPicker<H extends Candidate>(hosts: readonly H[], random: Random, factor?: WeightFactor): HostPicker<H> {
  if (factor !== undefined) return new Scheduled(hosts, (index) => (hosts[index] as H).weight * factor(hosts[index] as H), random);
  return equalWeights(hosts) ? new InTurn(hosts, random) : new Scheduled(hosts, (index) => hosts[index]?.weight ?? 1, random);
}

class InTurn<H> implements HostPicker<H> {
  readonly #hosts: readonly H[];
  #next: number;

  constructor(hosts: readonly H[], random: Random) {
    this.#hosts = hosts;
    this.#next = Math.floor(random() * hosts.length);
  }

  pick(): H {
    const host = this.#hosts[this.#next] as H;
    this.#next = this.#next + 1 === this.#hosts.length ? 0 : this.#next + 1;
    return host;
  }
}

/** Hosts by an earliest-deadline-first schedule whose weights may change between picks. */
export class Scheduled<H> implements HostPicker<H> {
  readonly #hosts: readonly H[];
  readonly #schedule: EdfSchedule;

  constructor(hosts: readonly H[], weightOf: (index: number) => number, random: Random) {
    this.#hosts = hosts;
    this.#schedule = new EdfSchedule(hosts.length, weightOf, random);
  }

  pick(): H {
    return this.#hosts[this.#schedule.next()] as H;
  }
}
