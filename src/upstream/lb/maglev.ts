// Maglev (Eisenbud et al., NSDI 2016, section 3.4): a fixed table filled by the hosts in turn, each by its own permutation
// and as often as its weight asks; few entries move when a host leaves.
import type { HashingSettings } from "../../envoy/cluster/cluster.ts";
import { remainder, xxHash64 } from "../../match/xxhash64.ts";
import type { Hash64 } from "../../match/xxhash64.ts";
import { anyHash, hashKeyOf, normalizedWeights } from "./hashing.ts";
import type { Candidate, HostPicker, Random } from "./host-picker.ts";

const seedOfSkip: Hash64 = { hi: 0, lo: 1 };

/** Makes a table. `tableSize`: a prime, Envoy's default 65537. */
export function createMaglevPicker<H extends Candidate>(
  hosts: readonly H[],
  tableSize: number,
  hashing: HashingSettings,
  random: Random,
): HostPicker<H> {
  const weights = normalizedWeights(hosts);
  const heaviest = Math.max(...weights);
  const fillers = hosts.map((host, index) => {
    const key = hashKeyOf(host, hashing);
    return {
      index,
      offset: remainder(xxHash64(key), tableSize),
      skip: remainder(xxHash64(key, seedOfSkip), tableSize - 1) + 1,
      weight: weights[index] ?? 0,
      tried: 0,
      target: 0,
    };
  });
  const table = new Int32Array(tableSize).fill(-1);
  for (let filled = 0, round = 1; filled < tableSize; round++) {
    for (const filler of fillers) {
      // A host of half the greatest weight has its turn every second round.
      if (round * filler.weight < filler.target) continue;
      filler.target += heaviest;
      let slot: number;
      do {
        slot = (filler.offset + filler.skip * filler.tried++) % tableSize;
      } while (table[slot] !== -1);
      table[slot] = filler.index;
      if (++filled === tableSize) break;
    }
  }
  return new Table(hosts, table, random);
}

class Table<H> implements HostPicker<H> {
  readonly #hosts: readonly H[];
  readonly #table: Int32Array;
  readonly #random: Random;

  constructor(hosts: readonly H[], table: Int32Array, random: Random) {
    this.#hosts = hosts;
    this.#table = table;
    this.#random = random;
  }

  pick(hash: Hash64 | undefined, attempt: number): H {
    let wanted = hash ?? anyHash(this.#random);
    // Another attempt turns nearly every bit around (Envoy: hash ^= 2^64 - attempt).
    if (attempt > 0) wanted = { hi: ~wanted.hi >>> 0, lo: (wanted.lo ^ -attempt) >>> 0 };
    return this.#hosts[this.#table[remainder(wanted, this.#table.length)] as number] as H;
  }
}
