// Maglev (Eisenbud et al., NSDI 2016, section 3.4): a fixed table filled by the hosts in turn, each by its own permutation
// and as often as its weight asks; few entries move when a host leaves.
import { xxHash64 } from "../../match/xxhash64.ts";
import type { Hash64 } from "../../match/xxhash64.ts";
import type { Candidate, HostPicker, Random } from "./host-picker.ts";

const seedOfSkip: Hash64 = { hi: 0, lo: 1 };

/** Makes a table. `tableSize`: a prime, Envoy's default 65537. */
export function createMaglevPicker<H extends Candidate>(hosts: readonly H[], tableSize: number, random: Random): HostPicker<H> {
  const heaviest = Math.max(...hosts.map((host) => host.weight));
  const fillers = hosts.map((host, index) => ({
    index,
    offset: remainder(xxHash64(host.addressText), tableSize),
    skip: remainder(xxHash64(host.addressText, seedOfSkip), tableSize - 1) + 1,
    weight: host.weight / heaviest,
    tried: 0,
    due: 0,
  }));
  const table = new Int32Array(tableSize).fill(-1);
  for (let filled = 0; filled < tableSize;) {
    for (const filler of fillers) {
      // A host of half the greatest weight has its turn every second round.
      filler.due += filler.weight;
      if (filler.due < 1) continue;
      filler.due -= 1;
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

// A 64-bit value modulo a table size; sizes stay below 5,000,011, so no product reaches 2^53.
function remainder(value: Hash64, size: number): number {
  return ((value.hi % size) * (0x100000000 % size) + value.lo) % size;
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

  pick(hash: number | undefined, attempt: number): H {
    const wanted = hash ?? Math.floor(this.#random() * 0x100000000);
    return this.#hosts[this.#table[(wanted + attempt) % this.#table.length] as number] as H;
  }
}
