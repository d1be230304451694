import assert from "node:assert/strict";
import { test } from "node:test";
import { CircuitBreakers } from "../../../src/upstream/circuit-breakers.ts";
import { recordingStats } from "../../support/recording-stats.ts";

const limits = { maxConnections: 2, maxPendingRequests: 2, maxRequests: 2, maxRetries: 2 };

test("a resource is full at its limit, and its gauge says so from then on until one is given back", () => {
  const stats = recordingStats();
  const breakers = new CircuitBreakers({ ...limits, trackRemaining: true });
  breakers.requests.take();
  breakers.showIn(stats);
  const seen = (): unknown[] => [breakers.requests.full, stats.value("rq_open"), stats.value("remaining_rq")];
  assert.deepEqual(seen(), [false, 0, 1]);
  breakers.requests.take();
  assert.deepEqual(seen(), [true, 1, 0]);
  breakers.requests.take();
  assert.deepEqual(seen(), [true, 1, 0], "retries take theirs whatever the limit");
  breakers.requests.give();
  breakers.requests.give();
  assert.deepEqual(seen(), [false, 0, 1]);
});

test("another version's limits hold at once for what is in use", () => {
  const stats = recordingStats();
  const breakers = new CircuitBreakers(limits);
  breakers.showIn(stats);
  breakers.connections.take();
  assert.deepEqual([stats.value("cx_open"), stats.names().includes("remaining_cx")], [0, false]);
  breakers.limit({ ...limits, maxConnections: 1, trackRemaining: true });
  assert.deepEqual([breakers.connections.full, stats.value("cx_open"), stats.value("remaining_cx")], [true, 1, 0]);
});

test("a retry budget is a share of what is under way", () => {
  const breakers = new CircuitBreakers({ ...limits, retryBudget: { budgetPercent: 50, minRetryConcurrency: 1 } });
  breakers.retries.take();
  assert.equal(breakers.retries.full, true);
  for (let request = 0; request < 4; request++) breakers.requests.take();
  assert.equal(breakers.retries.full, false);
});
