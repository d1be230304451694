// xxHash64 (https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md), the hash Envoy's consistent balancers use. BigInt
// arithmetic: meant for building tables and for the one hash of a request, not for streams of bytes.

const mask = (1n << 64n) - 1n;
const prime1 = 0x9e3779b185ebca87n;
const prime2 = 0xc2b2ae3d27d4eb4fn;
const prime3 = 0x165667b19e3779f9n;
const prime4 = 0x85ebca77c2b2ae63n;
const prime5 = 0x27d4eb2f165667c5n;

const rotate = (x: bigint, by: bigint): bigint => ((x << by) | (x >> (64n - by))) & mask;
const round = (lane: bigint, input: bigint): bigint => (rotate((lane + input * prime2) & mask, 31n) * prime1) & mask;
const merge = (sum: bigint, lane: bigint): bigint => ((sum ^ round(0n, lane)) * prime1 + prime4) & mask;

/** The 64-bit hash of UTF-8 text or bytes. */
export function xxHash64(input: string | Uint8Array, seed = 0n): bigint {
  const bytes = typeof input === "string" ? Buffer.from(input) : Buffer.from(input.buffer, input.byteOffset, input.length);
  let at = 0;
  let sum: bigint;
  if (bytes.length >= 32) {
    const lanes: [bigint, bigint, bigint, bigint] = [
      (seed + prime1 + prime2) & mask,
      (seed + prime2) & mask,
      seed,
      (seed - prime1) & mask,
    ];
    for (; at + 32 <= bytes.length; at += 32) {
      lanes[0] = round(lanes[0], bytes.readBigUInt64LE(at));
      lanes[1] = round(lanes[1], bytes.readBigUInt64LE(at + 8));
      lanes[2] = round(lanes[2], bytes.readBigUInt64LE(at + 16));
      lanes[3] = round(lanes[3], bytes.readBigUInt64LE(at + 24));
    }
    sum = (rotate(lanes[0], 1n) + rotate(lanes[1], 7n) + rotate(lanes[2], 12n) + rotate(lanes[3], 18n)) & mask;
    for (const lane of lanes) sum = merge(sum, lane);
  } else sum = (seed + prime5) & mask;
  sum = (sum + BigInt(bytes.length)) & mask;

  for (; at + 8 <= bytes.length; at += 8) sum = (rotate(sum ^ round(0n, bytes.readBigUInt64LE(at)), 27n) * prime1 + prime4) & mask;
  if (at + 4 <= bytes.length) {
    sum = (rotate(sum ^ ((BigInt(bytes.readUInt32LE(at)) * prime1) & mask), 23n) * prime2 + prime3) & mask;
    at += 4;
  }
  for (; at < bytes.length; at++) sum = (rotate(sum ^ ((BigInt(bytes[at] ?? 0) * prime5) & mask), 11n) * prime1) & mask;

  sum = ((sum ^ (sum >> 33n)) * prime2) & mask;
  sum = ((sum ^ (sum >> 29n)) * prime3) & mask;
  return sum ^ (sum >> 32n);
}

/** The upper half of the hash: what LbContext.hash carries and hash rings are ordered by. */
export function upperHash(input: string | Uint8Array): number {
  return Number(xxHash64(input) >> 32n);
}
