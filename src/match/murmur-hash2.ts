// MurmurHash2 in its 64-bit form with the seed of std::hash in libstdc++, which Envoy offers for rings that other programs share.
// By BigInt: it runs when a ring is built, never for a request. Strings are latin1: one character is one byte.
import type { Hash64 } from "./xxhash64.ts";

const multiplier = 0xc6a4_a793_5bd1_e995n;
const seed = 0xc70f_6907n;

const wrap = (value: bigint): bigint => BigInt.asUintN(64, value);
const mix = (value: bigint): bigint => value ^ (value >> 47n);

/** Hashes the bytes of `text`. */
export function murmurHash2(text: string): Hash64 {
  const bytes = Buffer.from(text, "latin1");
  const whole = bytes.length & ~7;
  let hash = seed ^ wrap(BigInt(bytes.length) * multiplier);
  for (let at = 0; at < whole; at += 8) {
    const data = wrap(mix(wrap(bytes.readBigUInt64LE(at) * multiplier)) * multiplier);
    hash = wrap((hash ^ data) * multiplier);
  }
  if (whole < bytes.length) {
    let data = 0n;
    for (let at = bytes.length - 1; at >= whole; at--) data = (data << 8n) | BigInt(bytes[at]!);
    hash = wrap((hash ^ data) * multiplier);
  }
  hash = mix(wrap(mix(hash) * multiplier));
  return { hi: Number(hash >> 32n), lo: Number(hash & 0xffff_ffffn) };
}
