// Ring hash (ketama): each host sits on a ring at many points, in proportion to its weight; a hash goes to the next point.
// Ordered by the upper 32 bits of Envoy's hashes; finer than any ring needs.
import type { HashingSettings, LbPolicy } from "../../envoy/cluster/cluster.ts";
import { murmurHash2 } from "../../match/murmur-hash2.ts";
import { xxHash64, type Hash64 } from "../../match/xxhash64.ts";
import { hashKeyOf, normalizedWeights } from "./hashing.ts";
import type { Candidate, HostPicker, Random } from "./host-picker.ts";

/** Sizes and hash function of a ring. */
export type RingSettings = Extract<LbPolicy, { readonly kind: "RING_HASH" }>;

/** Makes a ring. */
export function createRingHashPicker<H extends Candidate>(
  hosts: readonly H[],
  { minimumRingSize, maximumRingSize, murmur }: RingSettings,
  hashing: HashingSettings,
  random: Random,
): HostPicker<H> {
  const weights = normalizedWeights(hosts);
  const smallest = Math.min(...weights);
  // Every host gets a whole number of points if the maximum allows it (Envoy's scale).
  const scale = Math.min(Math.ceil(smallest * minimumRingSize) / smallest, maximumRingSize);
  const hashOf = murmur === true ? murmurHash2 : xxHash64;
  const points: { readonly hash: number; readonly host: H }[] = [];
  let placed = 0;
  let target = 0;
  hosts.forEach((host, index) => {
    const key = hashKeyOf(host, hashing);
    target += scale * (weights[index] ?? 0);
    for (let i = 0; placed < target; i++, placed++) points.push({ hash: hashOf(`${key}_${i}`).hi, host });
  });
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

  pick(hash: Hash64 | undefined, attempt: number): H {
    const wanted = hash?.hi ?? Math.floor(this.#random() * 0x100000000);
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
