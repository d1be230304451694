// Envoy's arithmetic of priorities, case by case (envoy.io, "Priority levels", and its load balancer's own tables).
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { spreadLoad } from "../../../../src/upstream/lb/priority-load.ts";

type Case = readonly [
  title: string,
  priorities: readonly (readonly [total: number, healthy: number, degraded?: number])[],
  healthy: readonly number[],
  degraded: readonly number[],
  panic: readonly boolean[],
];

const off = [false, false];
const cases: readonly Case[] = [
  [
    "everything healthy",
    [
      [100, 100],
      [100, 100],
    ],
    [100, 0],
    [0, 0],
    off,
  ],
  [
    "72 % healthy still takes all",
    [
      [100, 72],
      [100, 100],
    ],
    [100, 0],
    [0, 0],
    off,
  ],
  [
    "71 % healthy spills one percent",
    [
      [100, 71],
      [100, 100],
    ],
    [99, 1],
    [0, 0],
    off,
  ],
  [
    "half healthy spills 30 %",
    [
      [100, 50],
      [100, 100],
    ],
    [70, 30],
    [0, 0],
    off,
  ],
  [
    "nothing healthy in the first",
    [
      [100, 0],
      [100, 100],
    ],
    [0, 100],
    [0, 0],
    off,
  ],
  [
    "both poor: shares are scaled up",
    [
      [100, 25],
      [100, 25],
    ],
    [50, 50],
    [0, 0],
    [true, true],
  ],
  [
    "both dead: by the number of hosts",
    [
      [30, 0],
      [10, 0],
    ],
    [75, 25],
    [0, 0],
    [true, true],
  ],
  ["degraded hosts take what healthy ones cannot", [[100, 50, 50]], [70], [30], [false]],
  ["only degraded", [[100, 0, 100]], [0], [100], [false]],
  [
    "an empty first priority",
    [
      [0, 0],
      [10, 10],
    ],
    [0, 100],
    [0, 0],
    off,
  ],
  [
    "three priorities",
    [
      [100, 20],
      [100, 30],
      [100, 100],
    ],
    [28, 42, 30],
    [0, 0, 0],
    [false, false, false],
  ],
];

suite("load by priority", () => {
  for (const [title, priorities, healthy, degraded, panic] of cases) {
    test(title, () => {
      const load = spreadLoad(
        priorities.map(([total, good, fair]) => ({ total, healthy: good, degraded: fair ?? 0 })),
        140,
        50,
      );
      assert.deepEqual(load, { healthy, degraded, panic });
    });
  }

  test("a threshold of 0 never panics", () => {
    assert.deepEqual(spreadLoad([{ total: 10, healthy: 0, degraded: 0 }], 140, 0), { healthy: [100], degraded: [0], panic: [false] });
  });

  test("always adds up to 100", () => {
    for (let a = 0; a <= 7; a++) {
      for (let b = 0; b <= 7; b++) {
        for (let d = 0; d <= 7 - a; d++) {
          const load = spreadLoad(
            [
              { total: 7, healthy: a, degraded: d },
              { total: 7, healthy: b, degraded: 0 },
            ],
            140,
            50,
          );
          assert.equal(
            [...load.healthy, ...load.degraded].reduce((x, y) => x + y, 0),
            100,
            `${a} ${d} ${b}`,
          );
        }
      }
    }
  });
});
