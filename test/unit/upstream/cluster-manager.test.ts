// What publishes do to clusters and hosts: identity, removal, discovery, and the choice of a host around the policy.
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import type { Cluster } from "../../../src/envoy/cluster/cluster.ts";
import { defaultZoneAware } from "../../../src/envoy/cluster/zone-aware.ts";
import type { ClientTransport } from "../../../src/identity/transport.ts";
import { HeaderMap } from "../../../src/wire/header-map.ts";
import { ClusterManager } from "../../../src/upstream/cluster-manager.ts";
import type { Host, HttpPoolHandle, LbContext } from "../../../src/upstream/cluster.ts";
import type { HostLookup, ResolvedAddress } from "../../../src/upstream/discovery/host-lookup.ts";
import {
  assignment,
  cluster,
  endpoint,
  group,
  lbContext,
  redirected,
  removing,
  seededRandom,
  setting,
  staticCluster,
  unchanged,
} from "../../support/cluster-models.ts";
import { manualClock } from "../../support/manual-clock.ts";
import { outlierDetection } from "../../support/outlier-models.ts";
import { recordingStats } from "../../support/recording-stats.ts";
import { recordingLogger, commonTls, upstreamTls } from "../../support/tls-models.ts";

const neverReady: ClientTransport = { ready: false, handshake: () => ({ cancel: () => {} }) };

function manage(lookupHost: HostLookup = () => Promise.reject(new Error("no resolver"))) {
  const clock = manualClock();
  const stats = recordingStats();
  const snis: string[] = [];
  const manager = new ClusterManager({
    clock,
    stats,
    random: seededRandom(11),
    logger: recordingLogger(),
    createClientTransport: (tls) => {
      snis.push(tls.sni);
      return neverReady;
    },
    lookupHost,
  });
  return { manager, clock, stats, snis };
}

const addresses = (manager: ClusterManager, name: string): string[] => (manager.get(name)?.hosts() ?? []).map((host) => host.addressText);
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

function counts(manager: ClusterManager, name: string, picks: number, context: LbContext = lbContext()): Record<string, number> {
  const found: Record<string, number> = {};
  for (let i = 0; i < picks; i++) {
    const key = manager.get(name)?.pick(context)?.addressText ?? "none";
    found[key] = (found[key] ?? 0) + 1;
  }
  return found;
}

function pooled(host: Host | undefined): { drained: number } {
  const pool = { drained: 0 };
  const handle: HttpPoolHandle = { drain: () => void pool.drained++ };
  assert.ok(host);
  host.pools = new Map([["", handle]]);
  return pool;
}

const subsetsBy = (key: string): NonNullable<Cluster["lbSubset"]> => ({
  fallback: "NO_FALLBACK",
  defaultSubset: {},
  selectors: [{ keys: new Set([key]), fallback: "NOT_DEFINED", fallbackKeys: [], singleHost: false }],
  listAsAny: false,
  panicModeAny: false,
});

suite("clusters", () => {
  for (const [failTrafficOnPanic, expected] of [
    [false, { "10.0.0.1:80": 10, "10.0.0.2:80": 10, "10.0.0.3:80": 10 }],
    [true, { none: 30 }],
  ] as const) {
    test(`in panic ${failTrafficOnPanic ? "nobody serves with fail_traffic_on_panic" : "everybody serves"}`, () => {
      const { manager } = manage();
      const hosts = ["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"].map((address, i) =>
        endpoint(address, { healthStatus: i === 0 ? "HEALTHY" : "UNHEALTHY" }),
      );
      manager.apply(
        setting(cluster("c", { zoneAware: { ...defaultZoneAware, failTrafficOnPanic }, loadAssignment: assignment("c", [group(hosts)]) })),
        unchanged,
      );
      assert.deepEqual(counts(manager, "c", 30), expected);
    });
  }

  test("a host keeps its identity and pools while its address stays, and drains when it leaves", () => {
    const { manager, stats } = manage();
    const model = cluster("c", { type: "EDS", edsServiceName: "svc" });
    manager.apply(setting(model), setting(assignment("svc", [group([endpoint("10.0.0.1:80"), endpoint("10.0.0.2:80")])])));
    const [first, second] = manager.get("c")?.hosts() ?? [];
    const [kept, gone] = [pooled(first), pooled(second)];
    manager.apply(
      unchanged,
      setting(
        assignment("svc", [
          group([endpoint("10.0.0.3:80"), endpoint("10.0.0.1:80", { weight: 5, healthStatus: "UNHEALTHY" })], { priority: 1 }),
        ]),
      ),
    );
    assert.deepEqual(addresses(manager, "c"), ["10.0.0.3:80", "10.0.0.1:80"]);
    assert.equal(manager.get("c")?.hosts()[1], first);
    assert.deepEqual([first?.weight, first?.priority, first?.healthy, first?.removed, kept.drained], [5, 1, false, false, 0]);
    assert.deepEqual([second?.removed, gone.drained], [true, 1]);
    assert.deepEqual(
      ["total", "healthy", "change"].map((what) => stats.value(`cluster.c.membership_${what}`)),
      [2, 1, 3],
    );
  });

  test("an EDS cluster has no hosts until its assignment comes, and none after it left", () => {
    const { manager } = manage();
    manager.apply(setting(cluster("c", { type: "EDS", edsServiceName: "svc" })), unchanged);
    assert.equal(manager.get("c")?.pick(lbContext()), undefined);
    manager.apply(unchanged, setting(assignment("svc", [group([endpoint("10.0.0.1:80")])])));
    const host = manager.get("c")?.pick(lbContext());
    assert.equal(host?.addressText, "10.0.0.1:80");
    manager.apply(unchanged, removing("svc"));
    assert.equal(manager.get("c")?.pick(lbContext()), undefined);
    assert.equal(host?.removed, true);
  });

  test("a change of policy keeps hosts and counts, a change of transport makes new hosts", () => {
    const { manager } = manage();
    const model = staticCluster("c", ["10.0.0.1:80"]);
    manager.apply(setting(model), unchanged);
    const first = manager.get("c");
    const host = first?.hosts()[0];
    const pool = pooled(host);
    manager.apply(setting({ ...model, lbPolicy: { kind: "RANDOM" } }), unchanged);
    const second = manager.get("c");
    assert.notEqual(second, first);
    assert.equal(second?.hosts()[0], host);
    assert.equal(second?.resources, first?.resources);
    assert.equal(pool.drained, 0);
    manager.apply(setting({ ...model, transportSocket: { kind: "tls", tls: upstreamTls(commonTls(undefined)) } }), unchanged);
    assert.notEqual(manager.get("c")?.hosts()[0], host);
    assert.deepEqual([host?.removed, pool.drained, manager.get("c")?.resources === first?.resources], [true, 1, true]);
  });

  test("an equal version changes nothing, a removed cluster is gone and its hosts drain", () => {
    const { manager, stats } = manage();
    const update = setting(staticCluster("c", ["10.0.0.1:80"]));
    manager.apply(update, unchanged);
    const before = manager.get("c");
    manager.apply(update, unchanged);
    assert.equal(manager.get("c"), before);
    manager.apply(removing("c"), unchanged);
    assert.equal(manager.get("c"), undefined);
    assert.equal(before?.hosts().length, 0);
    assert.deepEqual([stats.value("cluster_manager.cluster_added"), stats.value("cluster_manager.active_clusters")], [1, 0]);
  });

  test("instruments are made on first use only, under alt_stat_name, colons replaced", () => {
    const { manager, stats } = manage();
    manager.apply(setting(staticCluster("plain", []), staticCluster("other", [], { altStatName: "a:b|c" })), unchanged);
    assert.equal(stats.names().filter((name) => name.includes("upstream_")).length, 0);
    manager.get("other")?.stats.response(503);
    for (const name of ["upstream_rq_completed", "upstream_rq_5xx", "upstream_rq_503"])
      assert.equal(stats.value(`cluster.a_b|c.${name}`), 1, name);
  });

  test("transport sockets are matched by endpoint metadata, the first whose keys all match", () => {
    const { manager } = manage();
    const tls = (sni: string) => ({ kind: "tls", tls: upstreamTls(commonTls(undefined), { sni }) }) as const;
    const meta = (value: Record<string, unknown>) => ({ "envoy.transport_socket_match": value });
    const model = cluster("c", {
      transportSocketMatches: [
        { name: "mtls", match: { tlsMode: "istio" }, transportSocket: tls("mesh") },
        { name: "plain", match: {}, transportSocket: { kind: "raw_buffer" } },
      ],
      transportSocket: tls("unused"),
      loadAssignment: assignment("c", [
        group([
          endpoint("10.0.0.1:80", { metadata: meta({ tlsMode: "istio", more: 1 }) }),
          endpoint("10.0.0.2:80", { metadata: meta({ tlsMode: "off" }) }),
          endpoint("10.0.0.3:80"),
        ]),
      ]),
    });
    manager.apply(setting(model), unchanged);
    assert.deepEqual(
      manager.describe()[0]?.hosts.map((host) => [host.address, host.tls]),
      [
        ["10.0.0.1:80", true],
        ["10.0.0.2:80", false],
        ["10.0.0.3:80", false],
      ],
    );
  });
});

suite("choice of a host", () => {
  test("spills to the next priority and comes back", () => {
    const { manager } = manage();
    const eds = (sick: number) =>
      assignment("c", [
        group(Array.from({ length: 4 }, (_, i) => endpoint(`10.0.0.${i + 1}:80`, { healthStatus: i < sick ? "UNHEALTHY" : "HEALTHY" }))),
        group([endpoint("10.0.1.1:80")], { priority: 1 }),
      ]);
    manager.apply(setting(cluster("c", { type: "EDS" })), setting(eds(0)));
    assert.equal(counts(manager, "c", 400)["10.0.1.1:80"], undefined);
    manager.apply(unchanged, setting(eds(2)));
    const spilled = counts(manager, "c", 1000)["10.0.1.1:80"] ?? 0;
    assert.ok(spilled > 230 && spilled < 370, `${spilled} of 1000, 30 % expected`);
    manager.apply(unchanged, setting(eds(4)));
    assert.equal(counts(manager, "c", 100)["10.0.1.1:80"], 100);
  });

  test("panics below the threshold, and has no host when the threshold is 0", () => {
    const { manager } = manage();
    const sick = cluster("sick", { loadAssignment: assignment("sick", [group([endpoint("10.0.0.1:80", { healthStatus: "UNHEALTHY" })])]) });
    manager.apply(setting(sick, { ...sick, name: "strict", healthyPanicThreshold: 0 }), unchanged);
    assert.deepEqual([counts(manager, "sick", 2), counts(manager, "strict", 2)], [{ "10.0.0.1:80": 2 }, { none: 2 }]);
  });

  test("localities get load by their weight, scaled by their health; weight 0 gets none", () => {
    const { manager } = manage();
    const hosts = (zone: number, sick: number) =>
      Array.from({ length: 4 }, (_, i) => endpoint(`10.0.${zone}.${i}:80`, { healthStatus: i < sick ? "UNHEALTHY" : "HEALTHY" }));
    const zones = (sick: number) =>
      cluster("c", {
        localityWeightedLb: true,
        loadAssignment: assignment("c", [
          group(hosts(1, sick), { zone: "a", weight: 1 }),
          group(hosts(2, 0), { zone: "b", weight: 3 }),
          group(hosts(3, 0), { zone: "c", weight: 0 }),
        ]),
      });
    const byZone = (picks: Record<string, number>): number[] =>
      [1, 2, 3].map((zone) =>
        Object.entries(picks).reduce((sum, [address, n]) => (address.startsWith(`10.0.${zone}.`) ? sum + n : sum), 0),
      );
    manager.apply(setting(zones(0)), unchanged);
    const [a = 0, b = 0, c] = byZone(counts(manager, "c", 400));
    assert.ok(Math.abs(a - 100) <= 2 && Math.abs(b - 300) <= 2 && c === 0, `${a}/${b}/${c}`);
    manager.apply(setting(zones(2)), unchanged);
    // Zone a: 1 * 1.4 * 0.5 = 0.7 against 3.
    const [poor = 0] = byZone(counts(manager, "c", 370));
    assert.ok(Math.abs(poor - 70) <= 2, `${poor}`);
  });

  test("degraded hosts are used for what healthy ones cannot take", () => {
    const { manager } = manage();
    const endpoints = [endpoint("10.0.0.1:80"), endpoint("10.0.0.2:80", { healthStatus: "DEGRADED" })];
    manager.apply(setting(cluster("c", { loadAssignment: assignment("c", [group(endpoints)]) })), unchanged);
    const degraded = counts(manager, "c", 1000)["10.0.0.2:80"] ?? 0;
    assert.ok(degraded > 230 && degraded < 370, `${degraded} of 1000, 30 % expected`);
  });

  test("avoids hosts already tried as often as allowed, then takes what there is", () => {
    const { manager } = manage();
    manager.apply(setting(staticCluster("c", ["10.0.0.1:80", "10.0.0.2:80"]), staticCluster("one", ["10.0.0.1:80"])), unchanged);
    const avoid = new Set(manager.get("c")?.hosts().slice(0, 1));
    assert.deepEqual(counts(manager, "c", 10, lbContext({ avoid, avoidAttempts: 1 })), { "10.0.0.2:80": 10 });
    const only = new Set(manager.get("one")?.hosts());
    assert.deepEqual(counts(manager, "one", 3, lbContext({ avoid: only, avoidAttempts: 5 })), { "10.0.0.1:80": 3 });
  });

  test("a metadata match narrows to the subset, also after the hosts changed", () => {
    const { manager } = manage();
    const version = (v: string) => ({ metadata: { "envoy.lb": { version: v } } });
    const eds = (...endpoints: ReturnType<typeof endpoint>[]) => setting(assignment("c", [group(endpoints)]));
    manager.apply(
      setting(cluster("c", { type: "EDS", lbSubset: subsetsBy("version") })),
      eds(endpoint("10.0.0.1:80", version("v1")), endpoint("10.0.0.2:80", version("v2"))),
    );
    const v2 = lbContext({ metadataMatch: { version: "v2" } });
    assert.deepEqual(counts(manager, "c", 4, v2), { "10.0.0.2:80": 4 });
    manager.apply(unchanged, eds(endpoint("10.0.0.1:80", version("v2"))));
    assert.deepEqual(counts(manager, "c", 4, v2), { "10.0.0.1:80": 4 });
    assert.deepEqual(counts(manager, "c", 1, lbContext({ metadataMatch: { version: "v3" } })), { none: 1 });
  });

  test("drop_overloads drops its share", () => {
    const { manager, stats } = manage();
    manager.apply(
      setting(cluster("c", { loadAssignment: assignment("c", [group([endpoint("10.0.0.1:80")])], { dropShare: 0.25 }) })),
      unchanged,
    );
    const dropped = counts(manager, "c", 1000)["none"] ?? 0;
    assert.ok(dropped > 190 && dropped < 310, `${dropped}`);
    assert.equal(stats.value("cluster.c.upstream_rq_drop_overload"), dropped);
  });
});

suite("DNS clusters", () => {
  const dnsCluster = (type: "STRICT_DNS" | "LOGICAL_DNS", over = {}) => staticCluster("c", ["name.example:80"], { type, ...over });
  const answers = (...ips: readonly string[]): ResolvedAddress[] => ips.map((address) => ({ address, ttlSeconds: undefined }));

  test("STRICT_DNS has all addresses, follows changes and keeps hosts over a failing refresh", async () => {
    let next: () => Promise<readonly ResolvedAddress[]> = () => Promise.resolve(answers("10.0.0.1", "10.0.0.2"));
    const { manager, clock, stats } = manage(() => next());
    let warm = false;
    manager.apply(setting(dnsCluster("STRICT_DNS")), unchanged);
    manager.whenWarm(["c"], () => (warm = true));
    assert.equal(warm, false);
    await settled();
    assert.equal(warm, true);
    assert.deepEqual(addresses(manager, "c"), ["10.0.0.1:80", "10.0.0.2:80"]);
    const [first] = manager.get("c")?.hosts() ?? [];
    assert.equal(first?.hostname, "name.example");

    next = () => Promise.reject(new Error("SERVFAIL"));
    clock.advance(5_500);
    await settled();
    assert.deepEqual(addresses(manager, "c"), ["10.0.0.1:80", "10.0.0.2:80"]);
    assert.equal(stats.value("cluster.c.update_failure"), 1);

    next = () => Promise.resolve(answers("10.0.0.3", "10.0.0.1"));
    clock.advance(5_500);
    await settled();
    assert.deepEqual(addresses(manager, "c"), ["10.0.0.3:80", "10.0.0.1:80"]);
    assert.equal(manager.get("c")?.hosts()[1], first);
  });

  test("LOGICAL_DNS has one host, and its pools stay when the name moves", async () => {
    let ips = answers("10.0.0.1", "10.0.0.2");
    const { manager, clock } = manage(() => Promise.resolve(ips));
    manager.apply(setting(dnsCluster("LOGICAL_DNS")), unchanged);
    await settled();
    assert.deepEqual(addresses(manager, "c"), ["10.0.0.1:80"]);
    const host = manager.get("c")?.hosts()[0];
    const pool = pooled(host);
    ips = answers("10.0.0.9");
    clock.advance(5_500);
    await settled();
    assert.deepEqual(addresses(manager, "c"), ["10.0.0.9:80"]);
    assert.deepEqual([manager.get("c")?.hosts()[0] === host, host?.removed, pool.drained], [true, false, 0]);
  });

  test("a lookup that never answers does not hold the worker, and is asked again", async () => {
    let asked = 0;
    const { manager, clock } = manage(() => {
      asked++;
      return new Promise(() => {});
    });
    let warm = false;
    manager.apply(setting(dnsCluster("STRICT_DNS")), unchanged);
    manager.whenWarm(["c"], () => (warm = true));
    clock.advance(10_000);
    await settled();
    assert.deepEqual([warm, asked], [true, 1]);
    clock.advance(5_500);
    assert.equal(asked, 2);
  });

  test("warmth is a matter of the clusters asked about, and of names that were not known", async () => {
    let next: () => Promise<readonly ResolvedAddress[]> = () => new Promise(() => {});
    const { manager } = manage(() => next());
    const warm: string[] = [];
    const ask = (...names: readonly string[]) => manager.whenWarm(names, () => warm.push(names.join("+")));
    manager.apply(setting(dnsCluster("STRICT_DNS")), unchanged);
    next = () => Promise.resolve(answers("10.0.0.1"));
    manager.apply(setting(staticCluster("d", ["other.example:80"], { type: "STRICT_DNS" })), unchanged);
    ask("c");
    ask("d");
    ask("c", "d");
    ask();
    ask("unknown");
    await settled();
    assert.deepEqual(warm.toSorted(), ["", "d", "unknown"]);

    // A change of a cluster whose name is known waits for nothing, though its new lookup hangs.
    next = () => new Promise(() => {});
    manager.apply(setting(staticCluster("d", ["other.example:80"], { type: "STRICT_DNS", connectTimeoutMs: 1 })), unchanged);
    warm.length = 0;
    ask("d");
    await settled();
    assert.deepEqual([warm, addresses(manager, "d")], [["d"], ["10.0.0.1:80"]]);
    manager.apply(removing("c"), unchanged);
    await settled();
    assert.deepEqual(warm, ["d", "c", "c+d"]);
  });

  test("respects TTLs when told to", async () => {
    let asked = 0;
    const { manager, clock } = manage(() => {
      asked++;
      return Promise.resolve([{ address: "10.0.0.1", ttlSeconds: 60 }]);
    });
    manager.apply(setting(dnsCluster("STRICT_DNS", { respectDnsTtl: true })), unchanged);
    await settled();
    clock.advance(59_000);
    assert.equal(asked, 1);
    clock.advance(8_000);
    assert.equal(asked, 2);
    await settled();
  });

  test("a changed cluster starts with the answers it had, and asks no more for the old", async () => {
    const { manager, clock } = manage(() => Promise.resolve(answers("10.0.0.1")));
    manager.apply(setting(dnsCluster("STRICT_DNS")), unchanged);
    await settled();
    manager.apply(setting(dnsCluster("STRICT_DNS", { connectTimeoutMs: 1 })), unchanged);
    assert.deepEqual(addresses(manager, "c"), ["10.0.0.1:80"]);
    await settled();
    manager.close();
    assert.equal(clock.pending(), 0);
  });

  test("an address needs no lookup", () => {
    const { manager } = manage(() => assert.fail("asked"));
    manager.apply(setting(staticCluster("c", ["10.0.0.1:80"], { type: "STRICT_DNS" })), unchanged);
    assert.deepEqual(addresses(manager, "c"), ["10.0.0.1:80"]);
  });
});

suite("ORIGINAL_DST clusters", () => {
  const passthrough = (over = {}) => cluster("c", { type: "ORIGINAL_DST", lbPolicy: { kind: "CLUSTER_PROVIDED" }, ...over });
  const to = (ip: string, port: number, restored = true): LbContext => lbContext({ downstream: redirected(ip, port, restored) });

  test("the host is where the client wanted to go; without that there is none", () => {
    const { manager } = manage();
    manager.apply(setting(passthrough()), unchanged);
    const pick = (context: LbContext): Host | undefined => manager.get("c")?.pick(context);
    assert.equal(pick(to("10.1.2.3", 8080))?.addressText, "10.1.2.3:8080");
    assert.equal(pick(to("2001:db8::1", 80))?.addressText, "[2001:db8::1]:80");
    assert.equal(pick(to("10.1.2.3", 8080)), pick(to("10.1.2.3", 8080)));
    assert.equal(pick(to("10.1.2.3", 8080, false)), undefined);
    assert.equal(pick(lbContext()), undefined);
  });

  test("hosts go when nothing used them for an interval, and stay while something does", () => {
    const { manager, clock } = manage();
    manager.apply(setting(passthrough()), unchanged);
    const busy = manager.get("c")?.pick(to("10.0.0.1", 80));
    const idle = manager.get("c")?.pick(to("10.0.0.2", 80));
    assert.ok(busy && idle);
    busy.activeRequests = 1;
    clock.advance(5_000);
    assert.deepEqual(addresses(manager, "c"), ["10.0.0.1:80", "10.0.0.2:80"]);
    clock.advance(5_000);
    assert.deepEqual(addresses(manager, "c"), ["10.0.0.1:80"]);
    assert.deepEqual([busy.removed, idle.removed], [false, true]);
    busy.activeRequests = 0;
    clock.advance(5_000);
    assert.deepEqual([addresses(manager, "c"), clock.pending()], [[], 0]);
  });

  const destinations: readonly [value: string, expected: string | undefined][] = [
    ["10.9.9.9:81", "10.9.9.9:81"],
    ["[2001:db8::1]:81", "[2001:db8::1]:81"],
    ["example.com:81", undefined],
    ["10.9.9.9", undefined],
    ["10.9.9.9:0", undefined],
    ["10.9.9.9:70000", undefined],
    ["2001:db8::1:81", undefined],
    ["[10.9.9.9]:81", undefined],
  ];
  for (const [value, expected] of destinations) {
    test(`the destination header ${JSON.stringify(value)} gives ${expected ?? "no host"}`, () => {
      const { manager } = manage();
      const useHttpHeader = "x-envoy-original-dst-host";
      manager.apply(setting(passthrough({ originalDst: { useHttpHeader, portOverride: 0 } })), unchanged);
      const headers = new HeaderMap();
      headers.add(useHttpHeader, value);
      const context = { ...to("10.1.1.1", 80), headers };
      assert.equal(manager.get("c")?.pick(context)?.addressText, expected);
    });
  }

  test("the port can be overridden", () => {
    const { manager } = manage();
    manager.apply(setting(passthrough({ originalDst: { useHttpHeader: "", portOverride: 15_008 } })), unchanged);
    assert.equal(manager.get("c")?.pick(to("10.1.2.3", 80))?.addressText, "10.1.2.3:15008");
  });
});

suite("outlier detection", () => {
  const watched = outlierDetection({ consecutive5xx: 1 });
  const fail = (manager: ClusterManager, at: number): void => manager.get("c")?.hosts()[at]?.onResult(500);

  test("an ejected host gets nothing until it is back, and the gauges know", () => {
    const { manager, clock, stats } = manage();
    manager.apply(setting(staticCluster("c", ["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"], { outlierDetection: watched })), unchanged);
    assert.deepEqual(Object.keys(counts(manager, "c", 9)).length, 3);
    fail(manager, 1);
    assert.deepEqual(Object.keys(counts(manager, "c", 9)).toSorted(), ["10.0.0.1:80", "10.0.0.3:80"]);
    assert.equal(manager.get("c")?.hosts()[1]?.healthy, false);
    assert.equal(stats.value("cluster.c.membership_healthy"), 2);
    assert.deepEqual(
      manager.describe()[0]?.hosts.map((host) => [host.health, host.failedOutlierCheck]),
      [
        ["healthy", false],
        ["healthy", true],
        ["healthy", false],
      ],
    );
    clock.advance(30_000);
    assert.equal(counts(manager, "c", 9)["10.0.0.2:80"], 3);
    assert.equal(stats.value("cluster.c.membership_healthy"), 3);
  });

  test("a subset leaves ejected hosts out too", () => {
    const { manager } = manage();
    const metadata = { "envoy.lb": { v: "1" } };
    const endpoints = ["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"].map((address) => endpoint(address, { metadata }));
    const lbSubset = subsetsBy("v");
    manager.apply(
      setting(cluster("c", { loadAssignment: assignment("c", [group(endpoints)]), outlierDetection: watched, lbSubset })),
      unchanged,
    );
    const context = lbContext({ metadataMatch: { v: "1" } });
    assert.equal(Object.keys(counts(manager, "c", 9, context)).length, 3);
    fail(manager, 0);
    assert.deepEqual(Object.keys(counts(manager, "c", 9, context)).toSorted(), ["10.0.0.2:80", "10.0.0.3:80"]);
  });

  // Priorities of one host each; [panic threshold, hosts that fail] -> who is picked.
  for (const [title, healthyPanicThreshold, failing, picked] of [
    ["nobody ejected", 0, [], { "10.0.0.1:80": 20 }],
    ["the first priority's only host ejected", 0, [0], { "10.0.0.2:80": 20 }],
    ["the same under a panic threshold", 50, [0], { "10.0.0.2:80": 20 }],
    ["everybody ejected, no panic", 0, [0, 1], { none: 20 }],
  ] as const) {
    test(`priorities: ${title}`, () => {
      const { manager } = manage();
      const loadAssignment = assignment("c", [group([endpoint("10.0.0.1:80")]), group([endpoint("10.0.0.2:80")], { priority: 1 })]);
      manager.apply(setting(cluster("c", { loadAssignment, healthyPanicThreshold, outlierDetection: watched })), unchanged);
      for (const at of failing) fail(manager, at);
      assert.deepEqual(counts(manager, "c", 20), picked);
    });
  }

  test("max_ejection_percent keeps a priority's only host in", () => {
    const { manager } = manage();
    const loadAssignment = assignment("c", [group([endpoint("10.0.0.1:80")]), group([endpoint("10.0.0.2:80")], { priority: 1 })]);
    const detection = { ...watched, maxEjectionPercent: 49 };
    manager.apply(setting(cluster("c", { loadAssignment, outlierDetection: detection })), unchanged);
    fail(manager, 0);
    assert.deepEqual(counts(manager, "c", 20), { "10.0.0.1:80": 20 });
  });

  test("an ejection outlives changes of the endpoints and of the cluster, but not of the host", () => {
    const { manager, clock, stats } = manage();
    const addresses = ["10.0.0.1:80", "10.0.0.2:80"];
    const state = (): unknown => [
      manager
        .get("c")
        ?.hosts()
        .map((host) => host.healthy),
      stats.value("cluster.c.outlier_detection.ejections_active"),
    ];
    manager.apply(setting(staticCluster("c", addresses, { outlierDetection: watched })), unchanged);
    fail(manager, 0);
    assert.deepEqual(state(), [[false, true], 1]);
    manager.apply(setting(staticCluster("c", addresses, { outlierDetection: watched, healthyPanicThreshold: 0 })), unchanged);
    assert.deepEqual(state(), [[false, true], 1]);
    clock.advance(30_000);
    assert.deepEqual(state(), [[true, true], 0]);
    fail(manager, 0);
    manager.apply(setting(staticCluster("c", addresses.slice(1), { outlierDetection: watched })), unchanged);
    manager.apply(setting(staticCluster("c", addresses, { outlierDetection: watched })), unchanged);
    assert.deepEqual(state(), [[true, true], 0]);
  });

  test("without detection hosts are readmitted, and nothing is left of it after the cluster", () => {
    const { manager, clock, stats } = manage();
    const addresses = ["10.0.0.1:80", "10.0.0.2:80"];
    manager.apply(setting(staticCluster("c", addresses, { outlierDetection: watched })), unchanged);
    fail(manager, 0);
    manager.apply(setting(staticCluster("c", addresses)), unchanged);
    assert.deepEqual(
      manager
        .get("c")
        ?.hosts()
        .map((host) => host.healthy),
      [true, true],
    );
    assert.equal(stats.value("cluster.c.outlier_detection.ejections_active"), 0);
    manager.apply(setting(staticCluster("c", addresses, { outlierDetection: watched })), unchanged);
    const host = manager.get("c")?.hosts()[0];
    fail(manager, 0);
    manager.apply(removing("c"), unchanged);
    host?.onResult(500);
    assert.equal(clock.pending(), 0);
    assert.equal(stats.value("cluster.c.outlier_detection.ejections_active"), 0);
  });
});
