// How a big publish is split.
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { splitUpdate } from "../../../src/snapshot/update-parts.ts";
import type { SnapshotUpdate } from "../../../src/snapshot/update.ts";
import { assignment, cluster } from "../../support/cluster-models.ts";

const numbered = <T>(count: number, make: (name: string) => T) =>
  Array.from({ length: count }, (_, index) => ({ name: `n${index}`, version: "1", value: make(`n${index}`) }));

const update = (clusters: number, endpoints: number): SnapshotUpdate => ({
  version: 7,
  secrets: { set: [], removed: ["old secret"] },
  endpoints: { set: numbered(endpoints, (name) => assignment(name, [])), removed: ["old assignment"] },
  clusters: { set: numbered(clusters, cluster), removed: ["old cluster"] },
  routes: { set: [], removed: ["old routes"], patched: [] },
  listeners: { set: [], removed: ["old listener"] },
});

suite("parts of an update", () => {
  test("a small one stays whole", () => {
    const whole = update(2, 1);
    assert.deepEqual(splitUpdate(whole, 3), { ahead: [], rest: whole });
  });

  test("assignments come before clusters, and nothing goes before the rest", () => {
    const whole = update(5, 3);
    const { ahead, rest } = splitUpdate(whole, 2);
    assert.deepEqual(
      ahead.map(({ endpoints, clusters }) => [endpoints.set.length, clusters.set.length]),
      [
        [0, 0],
        [2, 0],
        [1, 0],
        [0, 2],
        [0, 2],
        [0, 1],
      ],
    );
    assert.deepEqual(
      ahead.flatMap(({ clusters }) => clusters.set),
      whole.clusters.set,
    );
    assert.deepEqual(
      ahead.flatMap(({ endpoints }) => endpoints.set),
      whole.endpoints.set,
    );
    assert.ok(
      ahead.every(({ secrets, endpoints, clusters }) => [secrets, endpoints, clusters].every(({ removed }) => removed.length === 0)),
    );
    assert.deepEqual([rest.endpoints.set, rest.clusters.set], [[], []]);
    assert.deepEqual(
      [rest.secrets, rest.endpoints, rest.clusters, rest.routes, rest.listeners].flatMap(({ removed }) => removed),
      ["old secret", "old assignment", "old cluster", "old routes", "old listener"],
    );
  });
});
