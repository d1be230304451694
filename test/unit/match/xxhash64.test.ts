import assert from "node:assert/strict";
import { test } from "node:test";
import { hashToHex, xxHash64 } from "../../../src/match/xxhash64.ts";

// Published vectors of the algorithm.
for (const [text, hex] of [
  ["", "ef46db3751d8e999"],
  ["a", "d24ec4f1a98c6e5b"],
  ["abc", "44bc2cf5ad770999"],
] as const) {
  test(`hashes ${JSON.stringify(text)} to ${hex}`, () => {
    assert.equal(hashToHex(xxHash64(text)), hex);
  });
}

// The algorithm once more, on BigInt, as the specification writes it.
function reference(bytes: Buffer, seed: bigint): bigint {
  const [p1, p2, p3, p4, p5] = [0x9e3779b185ebca87n, 0xc2b2ae3d27d4eb4fn, 0x165667b19e3779f9n, 0x85ebca77c2b2ae63n, 0x27d4eb2f165667c5n];
  const wrap = (x: bigint): bigint => BigInt.asUintN(64, x);
  const rotate = (x: bigint, bits: bigint): bigint => wrap((x << bits) | (x >> (64n - bits)));
  const round = (lane: bigint, input: bigint): bigint => wrap(rotate(wrap(lane + input * p2), 31n) * p1);
  let at = 0;
  let h = wrap(seed + p5);
  if (bytes.length >= 32) {
    const lanes = [wrap(seed + p1 + p2), wrap(seed + p2), seed, wrap(seed - p1)];
    for (; at + 32 <= bytes.length; at += 32)
      for (const [i, lane] of lanes.entries()) lanes[i] = round(lane, bytes.readBigUInt64LE(at + 8 * i));
    h = 0n;
    for (const [i, bits] of [1n, 7n, 12n, 18n].entries()) h = wrap(h + rotate(lanes[i]!, bits));
    for (const lane of lanes) h = wrap((h ^ round(0n, lane)) * p1 + p4);
  }
  h = wrap(h + BigInt(bytes.length));
  for (; at + 8 <= bytes.length; at += 8) h = wrap(rotate(h ^ round(0n, bytes.readBigUInt64LE(at)), 27n) * p1 + p4);
  for (; at + 4 <= bytes.length; at += 4) h = wrap(rotate(h ^ wrap(BigInt(bytes.readUInt32LE(at)) * p1), 23n) * p2 + p3);
  for (; at < bytes.length; at++) h = wrap(rotate(h ^ wrap(BigInt(bytes[at]!) * p5), 11n) * p1);
  h = wrap((h ^ (h >> 33n)) * p2);
  h = wrap((h ^ (h >> 29n)) * p3);
  return h ^ (h >> 32n);
}

test("agrees with the specification for every length up to 100 and any seed", () => {
  let state = 1;
  const next = (): number => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0);
  for (let length = 0; length <= 100; length++) {
    const bytes = Buffer.from(Array.from({ length }, () => next() >>> 24));
    const seed = { hi: next(), lo: next() };
    const expected = reference(bytes, (BigInt(seed.hi) << 32n) | BigInt(seed.lo));
    assert.equal(hashToHex(xxHash64(bytes.toString("latin1"), seed)), expected.toString(16).padStart(16, "0"), `length ${length}`);
  }
});
