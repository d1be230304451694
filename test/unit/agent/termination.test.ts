import assert from "node:assert/strict";
import { setImmediate } from "node:timers/promises";
import { suite, test } from "node:test";
import { waitForTermination } from "../../../src/agent/termination.ts";
import { manualClock } from "../../support/manual-clock.ts";

function waiting(exitOnZeroConnections: boolean, connections: () => number = () => 0) {
  const clock = manualClock();
  const stop = Promise.withResolvers<void>();
  let over = false;
  const settings = { exitOnZeroConnections, minimumDrainMs: 2_000 };
  void waitForTermination({ settings, drainTimeMs: 5_000, connections, clock, stopped: stop.promise }).then(() => (over = true));
  const after = async (ms: number): Promise<boolean> => {
    clock.advance(ms);
    await setImmediate();
    return over;
  };
  return { clock, stop: stop.resolve, after };
}

suite("waiting for the application to end", () => {
  test("lasts the drain time, however few connections there are", async () => {
    const { after } = waiting(false);
    assert.equal(await after(4_999), false);
    assert.equal(await after(1), true);
  });

  test("lasts at least the minimum, and then as long as there are connections", async () => {
    let open = 1;
    const { after } = waiting(true, () => open);
    assert.equal(await after(2_000), false);
    assert.equal(await after(60_000), false);
    open = 0;
    assert.equal(await after(999), false);
    assert.equal(await after(1), true);
  });

  test("ends when the proxy has been stopped, and leaves no timer", async () => {
    const { after, stop, clock } = waiting(true, () => 1);
    stop();
    await after(0);
    assert.equal(await after(0), true);
    assert.equal(clock.pending(), 0);
  });
});
