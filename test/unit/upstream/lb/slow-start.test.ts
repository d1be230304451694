// Slow start and the weights of least request: shares of picks over time.
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import type { LbPolicy, SlowStart } from "../../../../src/envoy/cluster/cluster.ts";
import { ClusterManager } from "../../../../src/upstream/cluster-manager.ts";
import type { Candidate } from "../../../../src/upstream/lb/host-picker.ts";
import { createHostPicker } from "../../../../src/upstream/lb/policy.ts";
import { slowStartFactor } from "../../../../src/upstream/lb/slow-start.ts";
import { assignment, cluster, endpoint, group, lbContext, seededRandom, setting, unchanged } from "../../../support/cluster-models.ts";
import { manualClock } from "../../../support/manual-clock.ts";
import { recordingStats } from "../../../support/recording-stats.ts";
import { recordingLogger } from "../../../support/tls-models.ts";

const host = (over: Partial<Candidate>): Candidate => ({ addressText: "h", weight: 1, activeRequests: 0, ...over });
const slow = (over: Partial<SlowStart> = {}): SlowStart => ({ windowMs: 10_000, aggression: 1, minWeightPercent: 10, ...over });

suite("slow start", () => {
  const factors: readonly (readonly [string, SlowStart, number, number])[] = [
    ["at first the least share", slow(), 0, 0.1],
    ["half-way half of the weight", slow(), 5000, 0.5],
    ["past the window all of it", slow(), 10_000, 1],
    ["a greater aggression is faster", slow({ aggression: 2 }), 2500, 0.5],
    ["a smaller one slower", slow({ aggression: 0.5 }), 5000, 0.25],
    ["without a least share as good as nothing", slow({ minWeightPercent: 0 }), 0, 0.0001],
  ];
  for (const [title, settings, usedMs, expected] of factors) {
    test(title, () => {
      const factor = slowStartFactor(settings, host({ inUseSinceMs: 1000 }), 1000 + usedMs);
      assert.ok(Math.abs(factor - expected) < 1e-9, `${factor}`);
    });
  }

  for (const kind of ["ROUND_ROBIN", "LEAST_REQUEST"] as const) {
    test(`${kind}: a host that joins gets a growing share, and an equal one past the window`, () => {
      const clock = manualClock();
      const manager = new ClusterManager({
        clock,
        stats: recordingStats(),
        random: seededRandom(5),
        logger: recordingLogger(),
        createClientTransport: () => ({ ready: false, handshake: () => ({ cancel: () => {} }) }),
      });
      const policy: LbPolicy = { ...(kind === "ROUND_ROBIN" ? { kind } : { kind, choiceCount: 2 }), slowStart: slow() };
      const groups = (...addresses: readonly string[]) => setting(assignment("c", [group(addresses.map((address) => endpoint(address)))]));
      manager.apply(setting(cluster("c", { type: "EDS", lbPolicy: policy })), groups("10.0.0.1:80"));
      clock.advance(20_000);
      manager.apply(unchanged, groups("10.0.0.1:80", "10.0.0.2:80"));
      const share = (): number => {
        let found = 0;
        for (let i = 0; i < 1100; i++) if (manager.get("c")?.pick(lbContext())?.addressText === "10.0.0.2:80") found++;
        return found / 1100;
      };
      // Shares of 0.1, 0.5 and 1 beside a weight of 1.
      const near = (expected: number): void => {
        const found = share();
        assert.ok(Math.abs(found - expected) < 0.04, `${found} where ${expected} is due`);
      };
      near(0.1 / 1.1);
      clock.advance(5000);
      near(0.5 / 1.5);
      clock.advance(5000);
      near(0.5);
      assert.equal(clock.pending(), 0);
    });
  }
});

suite("least request", () => {
  const shares: readonly (readonly [number, number])[] = [
    [0, 0.5],
    [1, 0.25],
    [2, 0.1],
  ];
  for (const [activeRequestBias, expected] of shares) {
    test(`with an active_request_bias of ${activeRequestBias} a host with 2 active requests is due ${expected}`, () => {
      // Weights 2 and 2.001 are unequal, which is what makes a schedule of them.
      const busy = host({ weight: 2, activeRequests: 2 });
      const idle = host({ weight: 2.001, activeRequests: 0 });
      const policy: LbPolicy = { kind: "LEAST_REQUEST", choiceCount: 2, activeRequestBias };
      const picker = createHostPicker(policy, [busy, idle], seededRandom(9));
      let found = 0;
      for (let i = 0; i < 2000; i++) if (picker.pick(undefined, 0) === busy) found++;
      assert.ok(Math.abs(found / 2000 - expected) < 0.01, `${found / 2000}`);
    });
  }

  test("a full scan finds the one idle host among many, and idle hosts share", () => {
    const hosts = Array.from({ length: 50 }, (_, i) => host({ addressText: String(i), activeRequests: i === 33 ? 0 : 1 }));
    const picker = createHostPicker({ kind: "LEAST_REQUEST", choiceCount: 2, fullScan: true }, hosts, seededRandom(1));
    for (let i = 0; i < 20; i++) assert.equal(picker.pick(undefined, 0).addressText, "33");
    const idle = createHostPicker({ kind: "LEAST_REQUEST", choiceCount: 2, fullScan: true }, [host({}), host({})], seededRandom(1));
    assert.equal(new Set(Array.from({ length: 20 }, () => idle.pick(undefined, 0))).size, 2);
  });
});
