// Runs that wait for a thread hear of it when none comes.
import assert from "node:assert/strict";
import { test } from "node:test";
import { sharedNowMs } from "../../../../../src/filter/http/script/messages.ts";
import { Patience } from "../../../../../src/filter/http/script/patience.ts";
import type { Run, RunOutcome } from "../../../../../src/filter/http/script/run.ts";
import { manualClock } from "../../../../support/manual-clock.ts";

const limits = { module: "a.ts", timeoutMs: 2_000, memoryBytes: 0 };

test("whoever waits for six time limits fails, the others wait on", () => {
  const outcomes: (RunOutcome | string)[] = [];
  const waiting = (agoMs: number, name: string): Run => ({
    invocation: {} as Run["invocation"],
    config: {},
    lost: 0,
    cancelled: false,
    askedMs: sharedNowMs() - agoMs,
    onDone: (outcome) => outcomes.push(name, outcome),
  });
  const queues = [[waiting(13_000, "late"), waiting(11_000, "early")], [waiting(12_500, "late too")]];
  const clock = manualClock();
  let looks = 0;
  const patience = new Patience({ limits, clock, queues, onWaiting: () => looks++ });
  patience.begin();
  patience.begin();
  clock.advance(250);
  const failed = { ok: false, failure: "thread_ended", message: "a.ts: no thread came to run it in time" };
  assert.deepEqual(outcomes, ["late", failed, "late too", failed]);
  assert.deepEqual([queues[0]!.length, queues[1]!.length, looks], [1, 0, 1]);
  queues[0]!.length = 0;
  clock.advance(250);
  assert.equal(looks, 1);
  assert.equal(clock.pending(), 0);
});
