import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { backOffMs, defaultRenewal, renewalTimeMs } from "../../../../src/identity/workload/schedule.ts";

const dayMs = 86_400_000;

suite("renewalTimeMs", () => {
  const cases: readonly (readonly [string, number, number, number, number])[] = [
    ["half of the life by default", 0.5, 0.01, 0.5, 0.5],
    ["as early as the jitter allows", 0.5, 0.01, 0.999999, 0.49],
    ["as late as the jitter allows", 0.5, 0.01, 0, 0.51],
    ["at once where all of the life is grace", 1, 0.01, 0.999, 0],
    ["at the end where none is", 0, 0, 0.5, 1],
  ];
  for (const [what, graceRatio, graceJitter, random, expected] of cases) {
    test(what, () => {
      const at = renewalTimeMs(1_000, 1_000 + dayMs, { graceRatio, graceJitter }, random);
      assert.ok(Math.abs((at - 1_000) / dayMs - expected) < 1e-6, String((at - 1_000) / dayMs));
    });
  }
  test("never before now, for a certificate that has expired", () => {
    assert.equal(renewalTimeMs(5_000, 4_000, defaultRenewal, 0.5), 5_000);
  });
});

test("backOffMs doubles up to a minute, less up to a quarter", () => {
  assert.deepEqual(
    [1, 2, 3, 7, 8, 1000].map((failures) => backOffMs(failures, 0)),
    [1_000, 2_000, 4_000, 60_000, 60_000, 60_000],
  );
  assert.equal(backOffMs(1, 1), 750);
});
