// The demo on loopback: the whole crossing in processes of their own, twice, the second time beside a first that still runs.
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { startDemo } from "../../support/demo-process.ts";

suite("isthmus demo", () => {
  test("--once crosses the clusters and exits 0, also where another demo holds the usual ports", { timeout: 120_000 }, async () => {
    const first = startDemo("--loopback");
    try {
      await first.saw("Try it");
      const second = startDemo("--loopback", "--once");
      assert.equal(await second.exited, 0, second.output());
      assert.match(second.output(), /port \d+ is taken on this machine/);
      assert.doesNotMatch(second.output(), /FAIL/);
    } finally {
      first.child.kill("SIGINT");
    }
    assert.equal(await first.exited, 0, first.output());
    const pids = [...first.output().matchAll(/process (\d+)/g)].map(([, pid]) => Number(pid));
    assert.equal(pids.length, 5);
    assert.deepEqual(pids.filter(isAlive), [], "every process that the demo started has ended");
  });
});

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false; // no such process
  }
}
