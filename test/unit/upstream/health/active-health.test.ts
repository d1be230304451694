// How many results of checks it takes to take a host out and back in.
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { ActiveHealth, type CheckFailure } from "../../../../src/upstream/health/active-health.ts";

const thresholds = { healthyThreshold: 2, unhealthyThreshold: 3 };

/** Results in turn ("ok", "degraded" or why a check failed) and what each did to the host. */
function run(health: ActiveHealth, ...results: readonly ("ok" | "degraded" | CheckFailure)[]): string[] {
  return results.map((result) => {
    const transition =
      result === "ok" || result === "degraded" ? health.succeed(thresholds, result === "degraded") : health.fail(thresholds, result);
    return `${transition} ${health.failed ? "out" : "in"}`;
  });
}

suite("active health", () => {
  const cases: readonly (readonly [string, readonly ("ok" | "degraded" | CheckFailure)[], readonly string[]])[] = [
    ["the first success makes a host healthy whatever the threshold", ["ok", "ok"], ["changed in", "unchanged in"]],
    ["after a first failure the threshold counts", ["network", "ok", "ok"], ["changed out", "pending out", "changed in"]],
    [
      "a failure between successes begins the row anew",
      ["active", "ok", "network", "ok", "ok"],
      ["changed out", "pending out", "unchanged out", "pending out", "changed in"],
    ],
    [
      "failures of the network take a row",
      ["ok", "network", "timeout", "network"],
      ["changed in", "pending in", "pending in", "changed out"],
    ],
    [
      "a success between failures begins the row anew",
      ["ok", "network", "network", "ok", "network"],
      ["changed in", "pending in", "pending in", "unchanged in", "pending in"],
    ],
    ["a wrong answer takes the host out at once", ["ok", "active"], ["changed in", "changed out"]],
    ["so does an ordinary response that asks for it", ["ok", "passive"], ["changed in", "changed out"]],
    [
      "a retriable status counts towards the row",
      ["ok", "retriable", "retriable", "retriable"],
      ["changed in", "pending in", "pending in", "changed out"],
    ],
    ["degraded and back are changes", ["ok", "degraded", "degraded", "ok"], ["changed in", "changed in", "unchanged in", "changed in"]],
  ];
  for (const [title, results, expected] of cases) {
    test(title, () => assert.deepEqual(run(new ActiveHealth(), ...results), expected));
  }

  test("a host that was in use stays in use until a row of failures", () => {
    const health = ActiveHealth.inUse();
    assert.equal(health.failed, false);
    assert.deepEqual(run(health, "network", "network", "network"), ["pending in", "pending in", "changed out"]);
  });

  test("the time-out is shown of a host that is out, and ends with the next other failure", () => {
    const health = new ActiveHealth();
    run(health, "ok", "timeout");
    assert.equal(health.timedOut, false);
    run(health, "timeout", "timeout");
    assert.equal(health.timedOut, true);
    run(health, "network");
    assert.equal(health.timedOut, false);
  });

  test("a host that asked to be left out counts again once it is back in", () => {
    const health = new ActiveHealth();
    run(health, "ok", "passive");
    health.excluded = true;
    run(health, "ok");
    assert.equal(health.leftOut, true);
    run(health, "ok");
    assert.equal(health.leftOut, false);
  });

  test("with ignore_new_hosts_until_first_hc a host counts from its first check on", () => {
    assert.equal(new ActiveHealth().leftOut, false);
    const health = new ActiveHealth(true);
    assert.equal(health.leftOut, true);
    run(health, "network");
    assert.equal(health.leftOut, false);
  });
});
