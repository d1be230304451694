// Ring hash (ketama): each host sits on a ring at many points, in proportion to its weight; a hash goes to the next point.
// Ordered by the upper 32 bits of Envoy's hashes; finer than any ring needs.
import { xxHash64 } from "../../match/xxhash64.ts";
import type { Candidate, HostPicker, Random } from "./host-picker.ts";

/**
 * Makes a ring.
 * @param minimumSize points on the ring at least; Envoy's default 1024
 * @param maximumSize points at most; Envoy's default 8 Mi
 */
export function createRingHashPicker<H extends Candidate>(
  hosts: readonly H[],
  minimumSize: number,
  maximumSize: number,
  random: Random,
): HostPicker<H> {
  const total = hosts.reduce((sum, host) => sum + host.weight, 0);
  const smallest = Math.min(...hosts.map((host) => host.weight / total));
  // Every host gets a whole number of points if the maximum allows it (Envoy's scale).
  const scale = Math.min(Math.ceil(smallest * minimumSize) / smallest, maximumSize);
  const points: { readonly hash: number; readonly host: H }[] = [];
  let placed = 0;
  let target = 0;
  for (const host of hosts) {
    target += (scale * host.weight) / total;
    for (let i = 0; placed < target; i++, placed++) points.push({ hash: xxHash64(`${host.addressText}_${i}`).hi, host });
  }
  points.sort((a, b) => a.hash - b.hash);
  return new Ring(
    points.map((point) => point.host),
    Uint32Array.from(points, (point) => point.hash),
    random,
  );
}

class Ring<H> implements HostPicker<H> {
  readonly #hosts: readonly H[];
  readonly #hashes: Uint32Array;
  readonly #random: Random;

  constructor(hosts: readonly H[], hashes: Uint32Array, random: Random) {
    this.#hosts = hosts;
    this.#hashes = hashes;
    this.#random = random;
  }

  pick(hash: number | undefined, attempt: number): H {
    const wanted = hash ?? Math.floor(this.#random() * 0x100000000);
    const hashes = this.#hashes;
    let low = 0;
    let high = hashes.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((hashes[middle] as number) >= wanted) high = middle;
      else low = middle + 1;
    }
    // Past the last point the ring begins anew; another attempt takes the following points.
    return this.#hosts[(low + attempt) % hashes.length] as H;
  }
}
