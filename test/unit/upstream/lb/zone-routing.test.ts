// How much of the load stays in the proxy's own zone, and where the rest goes.
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { defaultZoneAware, type ZoneAware } from "../../../../src/envoy/cluster/zone-aware.ts";
import { createBalancer, type HostHealth, type PlacedHost } from "../../../../src/upstream/lb/balancer.ts";
import { createZoneStats } from "../../../../src/upstream/lb/lb-stats.ts";
import { localPanic, planZones, type ZoneContext } from "../../../../src/upstream/lb/zone-routing.ts";
import { seededRandom } from "../../../support/cluster-models.ts";
import { recordingStats } from "../../../support/recording-stats.ts";

// "aab" is two hosts in zone a and one in b; capitals are unhealthy.
function hostsOf(zones: string, over: Partial<PlacedHost> = {}): PlacedHost[] {
  return Array.from(zones, (letter, i) => ({
    addressText: `10.0.${letter.charCodeAt(0)}.${i}:80`,
    weight: 1,
    activeRequests: 0,
    health: (letter === letter.toUpperCase() ? "unhealthy" : "healthy") satisfies HostHealth,
    priority: 0,
    locality: { region: "r", zone: letter.toLowerCase(), subZone: "" },
    localityWeight: 0,
    ...over,
  }));
}

function at(local: readonly PlacedHost[], settings: Partial<ZoneAware> = {}): { context: ZoneContext; count: (name: string) => number } {
  const stats = recordingStats();
  const context = {
    settings: { ...defaultZoneAware, minClusterSize: 1, ...settings },
    locality: { region: "r", zone: "a", subZone: "" },
    localHosts: local,
    stats: createZoneStats(stats),
  };
  return { context, count: (name) => Number(stats.value(name)) };
}

suite("zone plans", () => {
  const plans: readonly (readonly [title: string, upstream: string, local: string, settings: Partial<ZoneAware>, plan: object])[] = [
    ["a zone with its fair share keeps everything", "aabb", "ab", {}, { direct: true }],
    ["so does one with more", "aaab", "ab", {}, { direct: true }],
    // local 50/50, upstream 25/75: half of what comes from here can stay.
    ["a zone with less keeps what it can take", "abbb", "ab", {}, { direct: false, localShare: 5000, residual: [0, 2500] }],
    [
      "the rest goes where capacity is left",
      "abbbbccc",
      "aabbbc",
      {},
      { direct: false, localShare: Math.floor((1250 * 10_000) / 3333), residual: [0, 0, 2084] },
    ],
    [
      "a zone without upstream hosts sends everything elsewhere",
      "bbcc",
      "abc",
      {},
      { direct: false, localShare: 0, residual: [1667, 3334] },
    ],
    ["hosts that are not healthy take nothing", "aABBb", "ab", {}, { direct: true }],
    ["a zone whose hosts are all unhealthy keeps nothing", "AAbb", "ab", {}, { direct: false, localShare: 0, residual: [0, 5000] }],
    ["force_local_zone keeps everything", "abbb", "ab", { forceLocalMinSize: 1 }, { direct: true }],
    ["but only with as many healthy hosts as it says", "aAbbb", "ab", { forceLocalMinSize: 2 }, { direct: false, localShare: 5000 }],
  ];
  for (const [title, upstream, local, settings, expected] of plans) {
    test(title, () => {
      const plan = planZones(hostsOf(upstream), at(hostsOf(local), settings).context);
      assert.deepEqual({ ...plan, ...expected }, plan);
    });
  }

  const none: readonly (readonly [
    title: string,
    upstream: string,
    local: string,
    settings: Partial<ZoneAware>,
    stat: string | undefined,
  ])[] = [
    ["one upstream zone", "aaa", "ab", {}, undefined],
    ["one local zone", "aabb", "aa", {}, undefined],
    ["a local cluster that does not have this zone", "aabb", "bc", {}, "lb_local_cluster_not_ok"],
    ["too few healthy hosts", "aAbb", "ab", { minClusterSize: 4 }, "lb_zone_cluster_too_small"],
  ];
  for (const [title, upstream, local, settings, stat] of none) {
    test(`zones count for nothing with ${title}`, () => {
      const { context, count } = at(hostsOf(local), settings);
      assert.equal(planZones(hostsOf(upstream), context), undefined);
      assert.equal(count("lb_recalculate_zone_structures"), 1);
      if (stat !== undefined) assert.equal(count(stat), 1);
    });
  }

  test("a zone is as large as its weights where those are the basis", () => {
    const upstream = [...hostsOf("a", { weight: 3 }), ...hostsOf("bbb")];
    const { context } = at(hostsOf("ab"));
    assert.equal(planZones(upstream, context)?.localShare, 5000);
    assert.equal(planZones(upstream, { ...context, settings: { ...context.settings, byWeight: true } })?.direct, true);
  });

  test("the local cluster panics like any other", () => {
    assert.deepEqual([localPanic(hostsOf("aAB"), 50), localPanic(hostsOf("aB"), 50), localPanic([], 50)], [true, false, true]);
  });
});

suite("zone-aware picks", () => {
  const options = { policy: { kind: "ROUND_ROBIN" }, localityWeighted: false, overprovisioningFactor: 140, panicThreshold: 50 } as const;
  const request = { hash: undefined, avoid: undefined, avoidAttempts: 0 };
  function picks(upstream: readonly PlacedHost[], local: string, settings: Partial<ZoneAware> = {}, over: object = {}) {
    const { context, count } = at(hostsOf(local), settings);
    const balancer = createBalancer(upstream, { ...options, ...over, zones: context }, seededRandom(11));
    const zones: Record<string, number> = {};
    for (let i = 0; i < 10_000; i++) {
      const zone = balancer.pick(request)?.locality.zone ?? "none";
      zones[zone] = (zones[zone] ?? 0) + 1;
    }
    return { zones, count };
  }
  const near = (actual: number | undefined, expected: number): void =>
    assert.ok(Math.abs((actual ?? 0) - expected) < 250, `${actual} instead of ${expected}`);

  test("all of a zone's load stays when it can", () => {
    const { zones, count } = picks(hostsOf("aabb"), "ab");
    assert.deepEqual(zones, { a: 10_000 });
    assert.equal(count("lb_zone_routing_all_directly"), 10_000);
  });

  test("the rest goes by what is left elsewhere", () => {
    const { zones, count } = picks(hostsOf("abbbcc"), "abc");
    // Upstream 1667/5000/3333, local 3333 each: half stays, and only b has anything left.
    near(zones["a"], 5000);
    near(zones["b"], 5000);
    assert.equal(zones["c"], undefined);
    assert.equal(count("lb_zone_routing_sampled") + count("lb_zone_routing_cross_zone"), 10_000);
  });

  test("routing_enabled leaves a share of the picks to all zones", () => {
    const { zones } = picks(hostsOf("aabb"), "ab", { routingPercent: 40 });
    near(zones["b"], 3000);
  });

  test("a local cluster in panic says nothing of zones, or stops traffic", () => {
    const { zones, count } = picks(hostsOf("aabb"), "abABC");
    near(zones["b"], 5000);
    assert.equal(count("lb_local_cluster_not_ok"), 10_000);
    assert.deepEqual(picks(hostsOf("aabb"), "abABC", { failTrafficOnPanic: true }).zones, { none: 10_000 });
  });

  test("hashing policies and further priorities know no zones", () => {
    const ring = { kind: "RING_HASH", minimumRingSize: 1024, maximumRingSize: 2048 };
    // A ring is only about even.
    assert.ok((picks(hostsOf("aabb"), "ab", {}, { policy: ring }).zones["b"] ?? 0) > 3000);
    near(picks([...hostsOf("AABB"), ...hostsOf("aabb", { priority: 1 })], "ab").zones["b"], 5000);
  });

  test("panic takes all zones", () => {
    near(picks(hostsOf("aAABBBb"), "ab").zones["b"], 5714);
  });
});
