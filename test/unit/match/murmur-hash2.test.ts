import assert from "node:assert/strict";
import { test } from "node:test";
import { murmurHash2 } from "../../../src/match/murmur-hash2.ts";
import { hashToHex } from "../../../src/match/xxhash64.ts";

// What std::hash of libstdc++ gives.
for (const [text, hash] of [
  ["", "553e93901e462a6e"],
  ["a", "454ddee488c1ed6b"],
  ["127.0.0.1:80_0", "f46ef02bbe939e15"],
  ["12345678", "8c5b90a33a04dca5"],
  ["10.11.12.13:65535_1023", "5b43d40bd0205695"],
] as const) {
  test(`MurmurHash2 of "${text}"`, () => assert.equal(hashToHex(murmurHash2(text)), hash));
}
