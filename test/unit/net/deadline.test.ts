// The lazy deadline: right time, and no timer touched on the hot path.
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import type { Clock } from "../../../src/clock.ts";
import { LazyDeadline } from "../../../src/net/deadline.ts";
import { manualClock } from "../../support/manual-clock.ts";
import type { ManualClock } from "../../support/manual-clock.ts";

interface Fixture {
  readonly clock: ManualClock;
  readonly deadline: LazyDeadline;
  readonly fired: number[];
  timers(): number;
}

function fixture(): Fixture {
  const clock = manualClock();
  const fired: number[] = [];
  let timers = 0;
  const counting: Clock = {
    ...clock,
    after: (delayMs, fire) => {
      timers++;
      return clock.after(delayMs, fire);
    },
  };
  return { clock, deadline: new LazyDeadline(counting, () => fired.push(clock.nowMs())), fired, timers: () => timers };
}

suite("lazy deadline", () => {
  test("fires once, at the deadline", () => {
    const { clock, deadline, fired } = fixture();
    deadline.set(100);
    clock.advance(99);
    assert.deepEqual(fired, []);
    clock.advance(500);
    assert.deepEqual(fired, [100]);
    assert.equal(deadline.armed, false);
  });

  test("a deadline that moves on a thousand times uses one timer until it fires", () => {
    const { clock, deadline, fired, timers } = fixture();
    for (let i = 0; i < 1_000; i++) {
      deadline.set(10_000);
      clock.advance(1);
    }
    assert.equal(timers(), 1);
    clock.advance(20_000);
    assert.deepEqual(fired, [10_999]);
    assert.equal(timers(), 2);
  });

  test("clearing touches no timer, and what was cleared does not fire", () => {
    const { clock, deadline, fired, timers } = fixture();
    for (let i = 0; i < 100; i++) {
      deadline.set(50);
      deadline.clear();
    }
    assert.equal(timers(), 1);
    clock.advance(1_000);
    assert.deepEqual(fired, []);
    assert.equal(clock.pending(), 0);
  });

  test("an earlier deadline is kept, though a later timer is pending", () => {
    const { clock, deadline, fired } = fixture();
    deadline.set(10_000);
    deadline.set(5);
    clock.advance(20_000);
    assert.deepEqual(fired, [5]);
  });

  test("can be set again from its callback's time on", () => {
    const { clock, deadline, fired } = fixture();
    deadline.set(5);
    clock.advance(5);
    deadline.set(7);
    clock.advance(100);
    assert.deepEqual(fired, [5, 12]);
  });

  test("disposing leaves no timer behind", () => {
    const { clock, deadline, fired } = fixture();
    deadline.set(3_600_000);
    deadline.dispose();
    assert.equal(clock.pending(), 0);
    clock.advance(4_000_000);
    assert.deepEqual(fired, []);
  });
});
