// The drain state of a worker.
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { WorkerDrain } from "../../../src/worker/drain.ts";

suite("worker drain", () => {
  test("tells each listener once, also those who come late, and not those who left", () => {
    const drain = new WorkerDrain();
    const heard: string[] = [];
    drain.onDrain(() => heard.push("early"));
    drain.onDrain(() => heard.push("left"))();
    assert.equal(drain.draining, false);
    drain.start();
    drain.start();
    drain.onDrain(() => heard.push("late"));
    assert.equal(drain.draining, true);
    assert.deepEqual(heard, ["early", "late"]);
  });
});
