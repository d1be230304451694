// Least request: the least busy of a few hosts drawn at random; with unequal weights a schedule by weight / (active + 1),
// as Envoy does with its default active_request_bias of 1.
import { equalWeights } from "./host-picker.ts";
import type { Candidate, HostPicker, Random } from "./host-picker.ts";
import { Scheduled } from "./round-robin.ts";

/** Makes a least-request picker. `choiceCount`: hosts drawn per pick, Envoy's default 2. */
export function createLeastRequestPicker<H extends Candidate>(hosts: readonly H[], choiceCount: number, random: Random): HostPicker<H> {
  if (equalWeights(hosts)) return new LeastOfSome(hosts, Math.max(2, choiceCount), random);
  return new Scheduled(hosts, (index) => weightNow(hosts[index] as H), random);
}

const weightNow = (host: Candidate): number => host.weight / (host.activeRequests + 1);

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
