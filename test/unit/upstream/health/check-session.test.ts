// When a host is checked: intervals, jitter, time-outs.
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { ActiveHealth } from "../../../../src/upstream/health/active-health.ts";
import { CheckSession } from "../../../../src/upstream/health/check-session.ts";
import { createHealthStats } from "../../../../src/upstream/health/health-stats.ts";
import type { CheckResult, Probe } from "../../../../src/upstream/health/probe.ts";
import { healthCheck } from "../../../support/health-models.ts";
import { manualClock } from "../../../support/manual-clock.ts";
import { recordingStats } from "../../../support/recording-stats.ts";

const passed: CheckResult = { kind: "success", degraded: false };
const unreachable: CheckResult = { kind: "failure", why: "network", reason: "" };
const wrong: CheckResult = { kind: "failure", why: "active", reason: "" };

/** A session whose checks end at once as `results` say, the last of them for ever ("silence": no answer). */
function session(over: object, results: readonly (CheckResult | "silence")[], more: { traffic?: boolean; random?: number } = {}) {
  const clock = manualClock();
  const stats = recordingStats();
  const startedMs: number[] = [];
  let givenUp = 0;
  const probe: Probe = {
    start: (done) => {
      const result = results[Math.min(startedMs.length, results.length - 1)];
      startedMs.push(clock.nowMs());
      if (result !== undefined && result !== "silence") done(result);
    },
    giveUp: () => void givenUp++,
    close: () => {},
  };
  const checks = new CheckSession(new ActiveHealth(), probe, {
    settings: healthCheck({ tcp_health_check: {}, ...over }),
    clock,
    random: () => more.random ?? 0,
    stats: createHealthStats(stats),
    hasTraffic: () => more.traffic ?? true,
    onResult: () => {},
  });
  return { clock, checks, startedMs, stats, givenUp: () => givenUp };
}

suite("check session", () => {
  const edges = { unhealthy_interval: "3s", unhealthy_edge_interval: "1s", healthy_edge_interval: "2s", healthy_threshold: 3 };
  const cases: readonly (readonly [
    string,
    object,
    readonly (CheckResult | "silence")[],
    { traffic?: boolean; random?: number },
    readonly number[],
  ])[] = [
    ["a healthy host is checked every interval", {}, [passed], {}, [0, 10_000, 20_000]],
    ["without traffic every no_traffic_interval", {}, [passed], { traffic: false }, [0, 60_000]],
    [
      "no_traffic_healthy_interval is for hosts that pass",
      { no_traffic_healthy_interval: "20s" },
      [passed, wrong],
      { traffic: false },
      [0, 20_000, 80_000],
    ],
    ["an unhealthy host every unhealthy_interval", edges, [wrong], {}, [0, 3000, 6000, 9000]],
    [
      "the edge intervals while a row decides",
      edges,
      [passed, unreachable, unreachable, unreachable, passed, passed, passed, passed],
      {},
      [0, 10_000, 11_000, 14_000, 17_000, 19_000, 21_000, 31_000],
    ],
    ["the first check comes after its jitter", { initial_jitter: "4s" }, [passed], { random: 0.5 }, [2000, 12_000]],
    [
      "jitter adds a share and a time",
      { interval_jitter: "2s", interval_jitter_percent: 10 },
      [passed],
      { random: 0.5 },
      [0, 11_500, 23_000],
    ],
    ["a check that times out is followed like a failure", edges, ["silence", passed], {}, [0, 4000, 6000]],
  ];
  for (const [title, over, results, more, expected] of cases) {
    test(title, () => {
      const { clock, startedMs } = session(over, results, more);
      clock.advance((expected.at(-1) ?? 0) + 500);
      assert.deepEqual(startedMs, expected);
    });
  }

  test("counts attempts and results by kind", () => {
    const { clock, stats, checks, givenUp } = session({}, [passed, unreachable, wrong, "silence"]);
    clock.advance(35_000);
    checks.failPassively();
    const value = (name: string): number | undefined => stats.value(`health_check.${name}`);
    const names = ["attempt", "success", "failure", "network_failure", "passive_failure"];
    assert.deepEqual(names.map(value), [4, 1, 4, 2, 1]);
    assert.equal(givenUp(), 1);
    assert.equal(checks.health.excluded, true);
  });

  test("a closed session checks no more", () => {
    const { clock, checks, startedMs } = session({}, [passed]);
    clock.advance(1);
    checks.close();
    clock.advance(100_000);
    assert.deepEqual(startedMs, [0]);
    assert.equal(clock.pending(), 0);
  });
});
