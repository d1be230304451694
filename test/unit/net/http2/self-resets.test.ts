// What is remembered of own resets is bounded.
import assert from "node:assert/strict";
import { test } from "node:test";
import { SelfResets } from "../../../../src/net/http2/self-resets.ts";

test("the last 256 are known", () => {
  const resets = new SelfResets();
  for (let id = 1; id <= 257; id++) resets.add(id);
  assert.deepEqual([resets.has(1), resets.has(2), resets.has(257), resets.has(300)], [false, true, true, false]);
});
