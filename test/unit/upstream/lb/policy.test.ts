// The policies by themselves: shares over many picks, and what a policy does with load or a hash.
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import type { Hash64 } from "../../../../src/match/xxhash64.ts";
import { anyHash } from "../../../../src/upstream/lb/hashing.ts";
import type { LbPolicy } from "../../../../src/envoy/cluster/cluster.ts";
import { createHostPicker } from "../../../../src/upstream/lb/policy.ts";
import { seededRandom } from "../../../support/cluster-models.ts";

interface TestHost {
  readonly addressText: string;
  readonly weight: number;
  activeRequests: number;
}

const hostsOf = (...weights: readonly number[]): TestHost[] =>
  weights.map((weight, i) => ({ addressText: `10.0.0.${i + 1}:80`, weight, activeRequests: 0 }));

function shares(policy: LbPolicy, hosts: readonly TestHost[], picks: number, hash?: () => Hash64): number[] {
  const picker = createHostPicker(policy, hosts, seededRandom(7));
  const counts = hosts.map(() => 0);
  for (let i = 0; i < picks; i++) {
    const at = hosts.indexOf(picker.pick(hash?.(), 0));
    counts[at] = (counts[at] ?? 0) + 1;
  }
  return counts;
}

const ring: LbPolicy = { kind: "RING_HASH", minimumRingSize: 1024, maximumRingSize: 8_388_608 };
const maglev: LbPolicy = { kind: "MAGLEV", tableSize: 65_537 };
const close = (actual: number[], expected: number[], slack: number): void => {
  actual.forEach((count, i) =>
    assert.ok(Math.abs(count - (expected[i] ?? 0)) <= slack, `${actual.join("/")} instead of ${expected.join("/")}`),
  );
};

suite("load-balancing policies", () => {
  test("round robin takes equal hosts in turn", () => {
    const hosts = hostsOf(1, 1, 1);
    const picker = createHostPicker({ kind: "ROUND_ROBIN" }, hosts, seededRandom(1));
    const order = Array.from({ length: 6 }, () => hosts.indexOf(picker.pick(undefined, 0)));
    assert.deepEqual(new Set(order.slice(0, 3)), new Set([0, 1, 2]));
    assert.deepEqual(order.slice(3), order.slice(0, 3));
  });

  test("round robin starts at a random host", () => {
    const hosts = hostsOf(1, 1, 1, 1);
    const firsts = new Set(
      Array.from({ length: 40 }, (_, seed) => createHostPicker({ kind: "ROUND_ROBIN" }, hosts, seededRandom(seed)).pick(undefined, 0)),
    );
    assert.equal(firsts.size, 4);
  });

  test("weighted round robin is exact to one pick over a cycle, and spreads the heavy host", () => {
    const hosts = hostsOf(5, 3, 2);
    close(shares({ kind: "ROUND_ROBIN" }, hosts, 100), [50, 30, 20], 1);
    const picker = createHostPicker({ kind: "ROUND_ROBIN" }, hosts, seededRandom(3));
    let run = 0;
    for (let i = 0; i < 200; i++) {
      run = picker.pick(undefined, 0) === hosts[0] ? run + 1 : 0;
      assert.ok(run <= 2, "the host with half the weight came up three times in a row");
    }
  });

  test("random follows the weights", () => {
    close(shares({ kind: "RANDOM" }, hostsOf(1, 1), 10_000), [5_000, 5_000], 250);
    close(shares({ kind: "RANDOM" }, hostsOf(1, 2, 7), 10_000), [1_000, 2_000, 7_000], 250);
  });

  test("least request prefers the idle host of those it draws", () => {
    const hosts = hostsOf(1, 1);
    (hosts[0] as TestHost).activeRequests = 10;
    // Both draws hit the busy host in a quarter of the picks.
    close(shares({ kind: "LEAST_REQUEST", choiceCount: 2 }, hosts, 10_000), [2_500, 7_500], 300);
    close(shares({ kind: "LEAST_REQUEST", choiceCount: 4 }, hosts, 10_000), [625, 9_375], 200);
  });

  test("least request with unequal weights goes by weight over active requests plus one", () => {
    const hosts = hostsOf(1, 3);
    close(shares({ kind: "LEAST_REQUEST", choiceCount: 2 }, hosts, 400), [100, 300], 2);
    (hosts[1] as TestHost).activeRequests = 2;
    close(shares({ kind: "LEAST_REQUEST", choiceCount: 2 }, hosts, 400), [200, 200], 3);
  });

  for (const [name, policy] of [
    ["ring hash", ring],
    ["maglev", maglev],
  ] as const) {
    test(`${name}: a hash always finds the same host, others are spread by weight`, () => {
      const hosts = hostsOf(1, 1, 2);
      const picker = createHostPicker(policy, hosts, seededRandom(1));
      const random = seededRandom(99);
      const hash = (): Hash64 => anyHash(random);
      for (let i = 0; i < 50; i++) {
        const key = hash();
        assert.equal(picker.pick(key, 0), picker.pick(key, 0));
      }
      close(shares(policy, hosts, 20_000, hash), [5_000, 5_000, 10_000], policy === ring ? 1_500 : 400);
      close(shares(policy, hosts, 20_000), [5_000, 5_000, 10_000], policy === ring ? 1_500 : 400);
    });

    test(`${name}: a host that leaves moves hardly any of the others' keys`, () => {
      const hosts = hostsOf(1, 1, 1, 1, 1);
      const before = createHostPicker(policy, hosts, seededRandom(1));
      const afterwards = createHostPicker(policy, hosts.slice(0, 4), seededRandom(1));
      const random = seededRandom(5);
      let moved = 0;
      for (let i = 0; i < 5_000; i++) {
        const key = anyHash(random);
        const host = before.pick(key, 0);
        if (host !== hosts[4] && afterwards.pick(key, 0) !== host) moved++;
      }
      // A modulus would move three quarters. The ring moves some, because its points per host depend on the number of hosts.
      assert.ok(moved <= (policy === ring ? 1_000 : 500), `${moved} of 5000 keys moved`);
    });

    test(`${name}: no host has more than 125 percent of the average load, and each key keeps its place while it may`, () => {
      const hosts = hostsOf(1, 1, 1, 1);
      const picker = createHostPicker({ ...policy, hashing: { useHostname: false, balanceFactor: 125 } }, hosts, seededRandom(1));
      const key = { hi: 77, lo: 99 };
      const first = picker.pick(key, 0);
      assert.equal(picker.pick(key, 0), first);
      for (let i = 1; i <= 40; i++) {
        picker.pick(key, 0).activeRequests++;
        const most = Math.max(...hosts.map((host) => host.activeRequests));
        assert.ok(most <= Math.ceil((1.25 * i) / 4) + 1, `${most} of ${i}`);
      }
      for (const host of hosts) host.activeRequests = 0;
      assert.equal(picker.pick(key, 0), first);
    });

    test(`${name}: further attempts reach another host`, () => {
      const hosts = hostsOf(1, 1, 1);
      const picker = createHostPicker(policy, hosts, seededRandom(1));
      const reached = new Set(Array.from({ length: 50 }, (_, attempt) => picker.pick({ hi: 12_345, lo: 678 }, attempt)));
      assert.equal(reached.size, 3);
    });
  }
});
