// When the garbage of a small configuration is collected.
import assert from "node:assert/strict";
import { test } from "node:test";
import { keepHeapSmall } from "../../../src/agent/heap.ts";
import { manualClock } from "../../support/manual-clock.ts";

const mebibyte = 2 ** 20;

/** A heap with so much in it that stays. */
function start(live: number) {
  const clock = manualClock();
  const state = { garbage: 50 * mebibyte, collections: 0 };
  keepHeapSmall(clock, {
    used: () => live + state.garbage,
    collect: () => {
      state.garbage = 0;
      state.collections += 1;
    },
  });
  return { clock, state };
}

test("a small heap is collected when garbage has gathered, and looked at for ever", () => {
  const { clock, state } = start(20 * mebibyte);
  assert.equal(state.collections, 1, "what the start left behind");
  state.garbage = 60 * mebibyte;
  clock.advance(60_000);
  assert.equal(state.collections, 1);
  for (let round = 2; round < 5; round++) {
    state.garbage = 65 * mebibyte;
    clock.advance(30_000);
    assert.equal(state.collections, round);
  }
});

test("a big one is left to V8, whether garbage hides it at first or not", () => {
  for (const [live, collections] of [
    [70, 1],
    [300, 0],
  ] as const) {
    const { clock, state } = start(live * mebibyte);
    state.garbage = 500 * mebibyte;
    clock.advance(3_600_000);
    assert.deepEqual([state.collections, clock.pending()], [collections, 0]);
  }
});
