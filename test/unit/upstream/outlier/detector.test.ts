// What sequences of results do to hosts, by the manual clock.
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import type { Metadata } from "../../../../src/envoy/address.ts";
import type { OutlierDetection } from "../../../../src/envoy/cluster/outlier-detection.ts";
import type { HostResult } from "../../../../src/upstream/cluster.ts";
import { OutlierDetector, type Watched } from "../../../../src/upstream/outlier/detector.ts";
import { manualClock } from "../../../support/manual-clock.ts";
import { outlierDetection } from "../../../support/outlier-models.ts";
import { recordingStats } from "../../../support/recording-stats.ts";

function detect(settings: OutlierDetection, hostCount: number, random: () => number = () => 0.5) {
  const clock = manualClock();
  const stats = recordingStats();
  let changes = 0;
  const detector = new OutlierDetector(settings, { clock, random, scope: stats, onChange: () => changes++ });
  const hosts = Array.from({ length: hostCount }, () => watched());
  detector.watch(hosts);
  const put = (host: number, ...results: readonly (HostResult | number)[]): void => {
    for (const result of results) hosts[host]?.outlier?.record(result);
  };
  return {
    clock,
    stats,
    detector,
    hosts,
    put,
    changes: () => changes,
    ejected: () => hosts.flatMap((host, i) => (host.outlier?.ejected === true ? [i] : [])),
    /** What was counted, without zeros. */
    counted: () =>
      Object.fromEntries(
        stats
          .names()
          .map((name) => [name.replace("outlier_detection.ejections_", ""), stats.value(name) ?? 0] as const)
          .filter(([, value]) => value !== 0),
      ),
  };
}

function watched(priority = 0, metadata: Metadata = {}): Watched {
  return {
    outlier: undefined,
    priority,
    metadata,
    get healthy() {
      return this.outlier?.ejected !== true;
    },
  };
}

const times = <T extends HostResult | number>(count: number, result: T): T[] => Array.from({ length: count }, () => result);
const rates = (failures: number, total: number): number[] => [...times(failures, 500), ...times(total - failures, 200)];

const enforcedGateway = { ...outlierDetection().enforcing, consecutive_gateway_failure: 100 };
const split = { splitExternalLocalOriginErrors: true };

suite("rows of failures", () => {
  const cases: readonly [title: string, over: Partial<OutlierDetection>, results: (HostResult | number)[], detected: string[]][] = [
    ["five 5xx", {}, times(5, 500), ["consecutive_5xx"]],
    ["four 5xx", {}, times(4, 500), []],
    ["a success in between", {}, [...times(4, 500), 200, ...times(4, 500)], []],
    ["a 404 is a success", {}, [...times(4, 500), 404, 500], []],
    ["a connection alone ends no row", {}, [...times(4, 500), "connected", 500], ["consecutive_5xx"]],
    ["gateway failures are 5xx too", {}, times(5, 503), ["consecutive_5xx", "consecutive_gateway_failure"]],
    ["a 500 ends a row of gateway failures", { consecutive5xx: 0 }, [...times(4, 502), 500, ...times(4, 504)], []],
    ["gateway failures that eject", { enforcing: enforcedGateway }, times(5, 502), ["consecutive_gateway_failure"]],
    ["failed connects count as 503", {}, times(5, "connect_failed"), ["consecutive_5xx", "consecutive_gateway_failure"]],
    ["timeouts count as 504", {}, times(5, "timeout"), ["consecutive_5xx", "consecutive_gateway_failure"]],
    ["a connection for bytes is a success", {}, [...times(4, "connect_failed"), "tcp_connected", "connect_failed"], []],
    ["zero means never", { consecutive5xx: 0, consecutiveGatewayFailure: 0 }, times(50, 503), []],
    ["split: failed connects are of local origin", split, times(5, "connect_failed"), ["consecutive_local_origin_failure"]],
    ["split: timeouts are of local origin", split, [...times(4, "connect_failed"), "timeout"], ["consecutive_local_origin_failure"]],
    ["split: a connection ends the local row", split, [...times(4, "timeout"), "connected", ...times(4, "timeout")], []],
    ["split: a connection for bytes ends the local row", split, [...times(4, "connect_failed"), "tcp_connected", "connect_failed"], []],
    ["split: answers are not", split, times(5, 500), ["consecutive_5xx"]],
    ["split: local failures do not end a row of answers", split, [...times(4, 500), "timeout", 500], ["consecutive_5xx"]],
  ];
  for (const [title, over, results, detected] of cases) {
    test(title, () => {
      const { put, counted, ejected } = detect(outlierDetection(over), 2);
      put(0, ...results);
      const names = Object.keys(counted()).filter((name) => name.startsWith("detected_"));
      assert.deepEqual(names.map((name) => name.slice("detected_".length)).toSorted(), detected);
      assert.deepEqual(ejected(), detected.length > 0 ? [0] : []);
    });
  }
});

suite("ejection", () => {
  test("counts under Envoy's names", () => {
    const { put, counted, changes } = detect(outlierDetection(), 2);
    put(0, ...times(5, 500));
    assert.deepEqual(counted(), {
      active: 1,
      enforced_total: 1,
      detected_consecutive_5xx: 1,
      enforced_consecutive_5xx: 1,
      total: 1,
      consecutive_5xx: 1,
    });
    assert.equal(changes(), 1);
  });

  // [hosts, percent, always one, how many of them fail] -> [ejected, overflow]
  for (const [hosts, maxEjectionPercent, alwaysEjectOneHost, failing, ejections, overflow] of [
    [10, 10, false, 3, 1, 2],
    [9, 10, false, 1, 0, 1],
    [9, 10, true, 2, 1, 1],
    [3, 50, false, 3, 1, 2],
    [4, 50, false, 4, 2, 2],
    [2, 100, false, 2, 2, 0],
    [1, 0, false, 1, 0, 1],
  ] as const) {
    test(`of ${hosts} hosts ${maxEjectionPercent}%${alwaysEjectOneHost ? " or one" : ""} may be out: ${ejections} of ${failing}`, () => {
      const { put, ejected, stats } = detect(outlierDetection({ maxEjectionPercent, alwaysEjectOneHost }), hosts);
      for (let host = 0; host < failing; host++) put(host, ...times(5, 500));
      assert.equal(ejected().length, ejections);
      assert.equal(stats.value("outlier_detection.ejections_overflow"), overflow);
      assert.equal(stats.value("outlier_detection.ejections_active"), ejections);
    });
  }

  test("an outlier that was not ejected is detected again after another row", () => {
    const { put, stats } = detect(outlierDetection({ maxEjectionPercent: 0 }), 2);
    put(0, ...times(10, 500));
    assert.equal(stats.value("outlier_detection.ejections_detected_consecutive_5xx"), 2);
  });

  for (const [drawn, ejections] of [
    [0.29, [0]],
    [0.31, []],
  ] as const) {
    test(`enforcing 30% with ${drawn} drawn`, () => {
      const enforcing = { ...outlierDetection().enforcing, consecutive_5xx: 30 };
      const { put, ejected, counted } = detect(outlierDetection({ enforcing }), 2, () => drawn);
      put(0, ...times(5, 500));
      assert.deepEqual(ejected(), ejections);
      assert.equal(counted()["detected_consecutive_5xx"], 1);
    });
  }

  test("what an ejected host answers in a panic neither ejects it again nor counts after its return", () => {
    const { put, ejected, stats, clock } = detect(outlierDetection(), 1);
    put(0, ...times(9, 500));
    assert.equal(stats.value("outlier_detection.ejections_detected_consecutive_5xx"), 1);
    clock.advance(30_000);
    assert.deepEqual(ejected(), []);
    put(0, ...times(4, 500));
    assert.deepEqual(ejected(), []);
    put(0, 500);
    assert.deepEqual(ejected(), [0]);
  });
});

suite("return", () => {
  test("comes with the first sweep after the ejection time", () => {
    const { put, ejected, clock, stats, changes } = detect(outlierDetection({ baseEjectionTimeMs: 25_000 }), 2);
    put(0, 200);
    clock.advance(1_000);
    put(0, ...times(5, 500));
    clock.advance(28_999);
    assert.deepEqual(ejected(), [0]);
    clock.advance(1);
    assert.deepEqual(ejected(), []);
    assert.equal(stats.value("outlier_detection.ejections_active"), 0);
    assert.equal(changes(), 2);
  });

  test("takes a base time longer after each ejection, up to the maximum", () => {
    const { put, ejected, clock } = detect(
      outlierDetection({ intervalMs: 1_000, baseEjectionTimeMs: 10_000, maxEjectionTimeMs: 25_000 }),
      1,
    );
    const seconds: number[] = [];
    for (let round = 0; round < 4; round++) {
      put(0, ...times(5, 500));
      let waited = 0;
      for (; ejected().length > 0; waited++) clock.advance(1_000);
      seconds.push(waited);
    }
    assert.deepEqual(seconds, [10, 20, 25, 25]);
  });

  test("an interval of good behaviour takes a base time off", () => {
    const { put, ejected, clock } = detect(outlierDetection({ intervalMs: 1_000, baseEjectionTimeMs: 10_000 }), 1);
    const eject = (): number => {
      put(0, ...times(5, 500));
      let waited = 0;
      for (; ejected().length > 0; waited++) clock.advance(1_000);
      return waited;
    };
    assert.deepEqual([eject(), eject()], [10, 20]);
    clock.advance(1_000);
    assert.equal(eject(), 20);
    clock.advance(60_000);
    assert.equal(eject(), 10);
  });

  test("is put off by jitter", () => {
    const { put, ejected, clock } = detect(
      outlierDetection({ intervalMs: 1_000, baseEjectionTimeMs: 10_000, maxEjectionTimeJitterMs: 4_000 }),
      1,
    );
    put(0, ...times(5, 500));
    clock.advance(11_999);
    assert.deepEqual(ejected(), [0]);
    clock.advance(1);
    assert.deepEqual(ejected(), []);
  });
});

suite("success rates", () => {
  test("a host far below the others is ejected at the sweep", () => {
    const { put, ejected, clock, counted } = detect(outlierDetection({ consecutive5xx: 0, consecutiveGatewayFailure: 0 }), 6);
    put(0, ...rates(50, 100));
    for (let host = 1; host < 6; host++) put(host, ...times(100, 200));
    assert.deepEqual(ejected(), []);
    clock.advance(10_000);
    assert.deepEqual(ejected(), [0]);
    assert.deepEqual(counted(), {
      active: 1,
      enforced_total: 1,
      detected_success_rate: 1,
      enforced_success_rate: 1,
      total: 1,
      success_rate: 1,
    });
  });

  for (const [title, hosts, requests] of [
    ["too few hosts", 4, 100],
    ["too few requests", 6, 99],
  ] as const) {
    test(`${title} are not compared`, () => {
      const { put, ejected, clock } = detect(outlierDetection({ consecutive5xx: 0 }), hosts);
      put(0, ...rates(50, requests));
      for (let host = 1; host < hosts; host++) put(host, ...times(requests, 200));
      clock.advance(10_000);
      assert.deepEqual(ejected(), []);
    });
  }

  test("an interval's results count once", () => {
    const { put, ejected, clock, stats } = detect(outlierDetection({ consecutive5xx: 0, baseEjectionTimeMs: 1, maxEjectionPercent: 0 }), 6);
    put(0, ...rates(50, 100));
    for (let host = 1; host < 6; host++) put(host, ...times(100, 200));
    clock.advance(30_000);
    assert.deepEqual(ejected(), []);
    assert.equal(stats.value("outlier_detection.ejections_detected_success_rate"), 1);
  });

  for (const [failures, ejections] of [
    [84, []],
    [85, [0]],
  ] as const) {
    test(`${failures}% of failures against a threshold of 85%`, () => {
      const settings = outlierDetection({
        consecutive5xx: 0,
        successRate: { minimumHosts: 99, requestVolume: 1, stdevFactor: 1 },
        enforcing: { ...outlierDetection().enforcing, failure_percentage: 100 },
      });
      const { put, ejected, clock } = detect(settings, 5);
      put(0, ...rates(failures, 100));
      for (let host = 1; host < 5; host++) put(host, ...times(100, 200));
      clock.advance(10_000);
      assert.deepEqual(ejected(), ejections);
    });
  }

  test("failures to reach a host are compared by themselves when origins are split", () => {
    const { put, ejected, clock, counted } = detect(outlierDetection({ ...split, consecutiveLocalOriginFailure: 0 }), 6);
    put(0, ...times(100, "timeout"));
    for (let host = 1; host < 6; host++) put(host, ...times(100, "connected"));
    clock.advance(10_000);
    assert.deepEqual(ejected(), [0]);
    assert.equal(counted()["enforced_local_origin_success_rate"], 1);
  });
});

suite("a detector", () => {
  test("has no timer before the first result nor once its hosts have been quiet", () => {
    const { put, clock } = detect(outlierDetection(), 2);
    assert.equal(clock.pending(), 0);
    put(0, 200);
    assert.equal(clock.pending(), 1);
    clock.advance(20_000);
    assert.equal(clock.pending(), 0);
    put(0, ...times(5, 500));
    clock.advance(20_000);
    assert.equal(clock.pending(), 1);
    clock.advance(60_000);
    assert.equal(clock.pending(), 0);
  });

  test("hands its hosts' records to the next one", () => {
    const first = detect(outlierDetection(), 2);
    first.put(0, ...times(5, 500));
    first.put(1, ...times(4, 500));
    const next = new OutlierDetector(outlierDetection(), { clock: first.clock, random: () => 0.5, scope: first.stats, onChange: () => {} });
    next.watch(first.hosts);
    first.detector.close();
    assert.equal(first.stats.value("outlier_detection.ejections_active"), 1);
    first.put(1, 500);
    assert.deepEqual(first.ejected(), [0, 1]);
    first.clock.advance(40_000);
    assert.deepEqual(first.ejected(), []);
    assert.equal(first.stats.value("outlier_detection.ejections_active"), 0);
  });

  test("counts no host as ejected that has left", () => {
    const { put, detector, hosts, stats } = detect(outlierDetection(), 2);
    put(0, ...times(5, 500));
    detector.watch(hosts.slice(1));
    assert.equal(stats.value("outlier_detection.ejections_active"), 0);
  });
});

suite("a network's gateway", () => {
  const gatewayMetadata: Metadata = { istio: { workload: ";;;;west" } };
  // Hosts by priority, g = gateway, w = workload.
  const watch = (...priorities: readonly string[]) => {
    const { detector, clock, stats } = detect(outlierDetection({ baseEjectionTimeMs: 30_000 }), 0);
    const hosts = priorities.flatMap((kinds, priority) =>
      kinds.split("").map((kind) => watched(priority, kind === "g" ? gatewayMetadata : { istio: { workload: "web-1;shop;web;v1;east" } })),
    );
    detector.watch(hosts);
    return {
      detector,
      clock,
      stats,
      hosts,
      fail: (host: number, result: HostResult | number = 500) => {
        for (let i = 0; i < 5; i++) hosts[host]?.outlier?.record(result);
      },
      ejected: () => hosts.flatMap((host, i) => (host.healthy ? [] : [i])),
    };
  };

  // [title, hosts by priority, which fail in turn, with what, who is out in the end]
  const cases: readonly [title: string, priorities: string[], failing: number[], result: HostResult | number, out: number[]][] = [
    ["alone in its priority stays, with another to go to", ["g", "w"], [0], 500, []],
    ["alone in the cluster stays", ["g"], [0], 503, []],
    ["is ejected beside a workload", ["wg"], [1], 500, [1]],
    ["is ejected beside another gateway", ["gg"], [0], 500, [0]],
    ["stays when it is the last of two gateways", ["gg"], [0, 1], 500, [0]],
    ["comes back when the last workload beside it goes", ["wg", "w"], [1, 0], 500, [0]],
    ["of another priority does not save it", ["w", "g", "g"], [1], 500, []],
    ["that cannot be reached leaves the load to another priority", ["g", "w"], [0], "connect_failed", [0]],
    ["that cannot be reached stays when nobody else is left", ["g", "w"], [1, 0], "connect_failed", [1]],
    ["that takes no connection in time leaves the load to another priority", ["g", "w"], [0], "timeout", [0]],
    ["is no workload that is alone", ["w", "g"], [0], 500, [0]],
  ];
  for (const [title, priorities, failing, result, out] of cases) {
    test(title, () => {
      const { fail, ejected, stats } = watch(...priorities);
      for (const host of failing) fail(host, result);
      assert.deepEqual(ejected(), out);
      assert.equal(stats.value("outlier_detection.ejections_active") ?? 0, out.length);
    });
  }

  test("that is out comes back when an update leaves it alone, and the refusal to eject it is counted", () => {
    const { fail, ejected, detector, hosts, stats } = watch("wg");
    fail(1);
    assert.deepEqual(ejected(), [1]);
    detector.watch(hosts.slice(1));
    assert.deepEqual(ejected(), []);
    assert.equal(stats.value("outlier_detection.ejections_active"), 0);
    fail(1);
    assert.deepEqual(ejected(), []);
    assert.equal(stats.value("outlier_detection.ejections_overflow"), 1);
  });
});
