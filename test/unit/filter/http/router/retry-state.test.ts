import assert from "node:assert/strict";
import { test } from "node:test";
import type { Clock } from "../../../../../src/clock.ts";
import type { RetryPolicy } from "../../../../../src/envoy/route/route.ts";
import { ProxyError, type ProxyErrorCode } from "../../../../../src/error.ts";
import { compileRetryPolicy, RetryState, type RetryVerdict } from "../../../../../src/filter/http/router/retry-state.ts";
import { CircuitBreakers } from "../../../../../src/upstream/circuit-breakers.ts";
import type { UpstreamCluster } from "../../../../../src/upstream/cluster.ts";
import { manualClock } from "../../../../support/manual-clock.ts";
import { HeaderMap } from "../../../../../src/wire/header-map.ts";
import { emptyPolicy } from "../../../../../src/filter/http/router/request-controls.ts";

const counter = { inc: () => undefined, add: () => undefined };

/** Only what RetryState reads of a cluster. */
function cluster(maxRetries = 3, more: object = {}, requests = 0): UpstreamCluster {
  const thresholds = { maxConnections: 1, maxPendingRequests: 1, maxRequests: 1, maxRetries, ...more };
  const stats = {
    upstreamRqRetry: counter,
    upstreamRqRetryLimitExceeded: counter,
    upstreamRqRetryOverflow: counter,
    upstreamRqRetryBackoffExponential: counter,
    upstreamRqRetryBackoffRatelimited: counter,
  };
  const breakers = new CircuitBreakers(thresholds);
  for (let request = 0; request < requests; request++) breakers.requests.take();
  return { stats, resources: { default: breakers, high: breakers } } as unknown as UpstreamCluster;
}

function state(retryOn: readonly string[], more: Partial<RetryPolicy> = {}, maxRetries = 3, of = cluster(maxRetries)): RetryState {
  const policy: RetryPolicy = { ...emptyPolicy, retryOn, numRetries: 2, ...more };
  return new RetryState(compileRetryPolicy(policy), of, () => 0.5);
}

const clock = hasty([]);
const istioDefault = ["connect-failure", "refused-stream", "unavailable", "cancelled", "retriable-status-codes"];

const responses: readonly (readonly [readonly string[], number, RetryVerdict])[] = [
  [["5xx"], 503, "retry"],
  [["5xx"], 404, "no"],
  [["gateway-error"], 502, "retry"],
  [["gateway-error"], 500, "no"],
  [["retriable-4xx"], 409, "retry"],
  [["retriable-4xx"], 404, "no"],
  [istioDefault, 503, "no"],
];
for (const [retryOn, status, expected] of responses) {
  test(`${retryOn.join(",")} on status ${status}: ${expected}`, () =>
    assert.equal(state(retryOn).onResponse(status, new HeaderMap(), clock), expected));
}

const resets: readonly (readonly [readonly string[], ProxyErrorCode, boolean, RetryVerdict])[] = [
  [["connect-failure"], "upstream_connect_refused", false, "retry"],
  [["connect-failure"], "upstream_connect_timeout", false, "retry"],
  [["connect-failure"], "upstream_tls_failed", false, "retry"],
  [["connect-failure"], "upstream_closed", true, "no"],
  [["reset"], "upstream_closed", true, "retry"],
  [["5xx"], "upstream_closed", true, "retry"],
  [["reset-before-request"], "upstream_closed", true, "no"],
  [["reset-before-request"], "upstream_connect_refused", false, "retry"],
  [["5xx"], "upstream_overflow", false, "no"],
  [istioDefault, "upstream_closed", true, "no"],
];
for (const [retryOn, code, sent, expected] of resets) {
  test(`${retryOn.join(",")} on ${code}${sent ? " after the request was sent" : ""}: ${expected}`, () => {
    assert.equal(state(retryOn).onReset(new ProxyError(code, { side: "upstream" }), sent), expected);
  });
}

test("listed status codes count only with retriable-status-codes", () => {
  assert.equal(state(["retriable-status-codes"], { retriableStatusCodes: [418] }).onResponse(418, new HeaderMap(), clock), "retry");
  assert.equal(state(["5xx"], { retriableStatusCodes: [418] }).onResponse(418, new HeaderMap(), clock), "no");
});

test("gRPC conditions look at grpc-status of a trailers-only response", () => {
  const headers = new HeaderMap();
  headers.add("grpc-status", "14");
  assert.equal(state(["unavailable"]).onResponse(200, headers, clock), "retry");
  assert.equal(state(["cancelled"]).onResponse(200, headers, clock), "no");
});

test("stops at num_retries and says so", () => {
  const retries = state(["5xx"]);
  assert.deepEqual(
    [1, 2, 3].map(() => retries.onResponse(503, new HeaderMap(), clock)),
    ["retry", "retry", "limit"],
  );
  assert.equal(retries.used, 2);
});

test("max_retries of the cluster wins over the policy", () => {
  assert.equal(state(["5xx"], {}, 0).onResponse(503, new HeaderMap(), clock), "overflow");
});

/** Fires at once and remembers for how long it should have waited. */
function hasty(delays: number[]): Clock {
  return {
    nowMs: () => 0,
    wallMs: () => 100_000,
    after: (delayMs, fire) => {
      delays.push(delayMs);
      fire();
      return { cancel: () => undefined };
    },
  };
}

const asked: readonly (readonly [string, string, number | undefined])[] = [
  ["retry-after", "2", 2000],
  ["retry-after", "soon", undefined],
  ["retry-after", "9", undefined],
  ["x-reset", "103", 3000],
  ["x-reset", "99", undefined],
];
for (const [name, value, leastMs] of asked) {
  test(`${name}: ${value} ${leastMs === undefined ? "leaves the back-off as it is" : `waits ${leastMs} ms and up to half as long again`}`, () => {
    const resetHeaders = [
      { name: "retry-after", format: "SECONDS" },
      { name: "x-reset", format: "UNIX_TIMESTAMP" },
    ] as const;
    const retries = state(["5xx"], { rateLimitedBackOff: { resetHeaders, maxMs: 5000 } });
    const headers = new HeaderMap();
    headers.add(name, value);
    const delays: number[] = [];
    assert.equal(retries.onResponse(503, headers, hasty(delays)), "retry");
    retries.schedule(hasty(delays), () => undefined);
    // The next one is on its own again.
    retries.schedule(hasty(delays), () => undefined);
    assert.deepEqual(delays, leastMs === undefined ? [12.5, 37.5] : [leastMs * 1.25, 12.5]);
  });
}

test("only requests that meet retriable_request_headers are tried again", () => {
  const header = { name: "x-ok", match: { kind: "present", present: true }, invertMatch: false, treatMissingHeaderAsEmpty: false } as const;
  const { policy } = state(["5xx"], { retriableRequestHeaders: [header] });
  const headers = new HeaderMap();
  assert.equal(policy.admits(headers), false);
  headers.add("x-ok", "1");
  assert.equal(policy.admits(headers), true);
  assert.equal(state(["5xx"]).policy.admits(new HeaderMap()), true);
});

test("backs off exponentially, fully jittered and capped, and gives its circuit-breaker slot back", () => {
  const retries = state(["5xx"], { backOffBaseMs: 100, backOffMaxMs: 250 });
  const delays: number[] = [];
  let fired = 0;
  for (let i = 0; i < 3; i++) retries.schedule(hasty(delays), () => fired++);
  assert.deepEqual(delays, [50, 125, 125]);
  assert.equal(fired, 3);
});

test("a retry holds its slot of max_retries until its own result, and gives it back then", () => {
  const clock = manualClock();
  const shared = cluster(1);
  const [first, second] = [state(["5xx"], {}, 1, shared), state(["5xx"], {}, 1, shared)];
  const failed = (retries: RetryState): RetryVerdict => retries.onResponse(503, new HeaderMap(), clock);
  assert.equal(failed(first), "retry");
  first.schedule(clock, () => undefined);
  clock.advance(1000);
  assert.equal(failed(second), "overflow");
  assert.equal(first.onResponse(200, new HeaderMap(), clock), "no");
  assert.equal(failed(second), "retry");
  second.schedule(clock, () => undefined);
  second.release();
  second.release();
  assert.equal(shared.resources.default.retries.count, 0);
});

for (const [requests, allowed] of [
  [0, 3],
  [20, 4],
  [50, 10],
] as const) {
  test(`a retry budget of 20 percent, 3 at least, allows ${allowed} retries beside ${requests} requests, whatever max_retries says`, () => {
    const shared = cluster(0, { retryBudget: { budgetPercent: 20, minRetryConcurrency: 3 } }, requests);
    const clock = manualClock();
    let started = 0;
    for (let i = 0; i < 20; i++) {
      const retries = state(["5xx"], {}, 0, shared);
      if (retries.onResponse(503, new HeaderMap(), clock) !== "retry") break;
      retries.schedule(clock, () => undefined);
      started++;
    }
    assert.equal(started, allowed);
  });
}

test("a hedged attempt needs no condition, only a retry that is left", () => {
  const retries = state(["connect-failure"], { numRetries: 1 });
  assert.deepEqual([retries.onHedge(), retries.onHedge()], ["retry", "limit"]);
  assert.equal(retries.wants(503, new HeaderMap()), false);
  assert.equal(state(["5xx"], { numRetries: 0 }).wants(503, new HeaderMap()), true);
});
