// What is accepted while descriptors run out, and how often the log hears of it.
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { DescriptorGuard, descriptorLimit } from "../../../src/net/descriptor-guard.ts";
import { manualClock } from "../../support/manual-clock.ts";
import { recordingLogger } from "../../support/tls-models.ts";

suite("descriptor guard", () => {
  for (const [limit, last] of [
    [800, 699],
    [20_000, 18_975],
    [1_048_576, 1_047_551],
    [Infinity, 1 << 30],
  ] as const) {
    test(`of ${limit} descriptors, ${last} is the last one that is taken`, () => {
      const logger = recordingLogger();
      const guard = new DescriptorGuard(limit, { clock: manualClock(), logger });
      assert.equal(guard.admits(last), true);
      assert.equal(logger.warnings.length, 0);
      if (limit !== Infinity) assert.equal(guard.admits(last + 1), false);
    });
  }

  test("the log hears of it at once, then once a minute for as long as it lasts", () => {
    const logger = recordingLogger();
    const clock = manualClock();
    const guard = new DescriptorGuard(800, { clock, logger });
    for (let i = 0; i < 100; i++) guard.admits(700);
    assert.equal(logger.warnings.length, 1);
    guard.failed();
    clock.advance(60_000);
    assert.equal(logger.warnings.length, 2);
    clock.advance(60_000);
    assert.deepEqual([logger.warnings.length, clock.pending()], [2, 0]);
    guard.failed();
    assert.equal(logger.warnings.length, 3);
  });

  test("the limit of this process is known on Linux", { skip: process.platform !== "linux" }, () => {
    assert.ok(descriptorLimit() > 16 && descriptorLimit() <= 2 ** 31);
  });
});
