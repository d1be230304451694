import assert from "node:assert/strict";
import { test } from "node:test";
import { takeControls } from "../../../../../src/filter/http/router/request-controls.ts";
import { HeaderMap } from "../../../../../src/wire/header-map.ts";

function headersOf(fields: Readonly<Record<string, string>>): HeaderMap {
  const headers = new HeaderMap();
  for (const [name, value] of Object.entries(fields)) headers.add(name, value);
  return headers;
}

test("control headers say how long and how often, and go no further", () => {
  const headers = headersOf({
    "x-envoy-upstream-rq-timeout-ms": "250",
    "x-envoy-upstream-rq-per-try-timeout-ms": "50",
    "x-envoy-upstream-rq-timeout-alt-response": "1",
    "x-envoy-retry-on": "5xx, retriable-status-codes",
    "x-envoy-retry-grpc-on": "cancelled",
    "x-envoy-max-retries": "4",
    "x-envoy-retriable-status-codes": "418,nonsense",
    "x-envoy-retriable-header-names": "X-Again",
    "x-mine": "stays",
  });
  const { timeoutMs, perTryTimeoutMs, alternativeTimeoutStatus, retryPolicy } = takeControls(headers, undefined);
  assert.deepEqual([timeoutMs, perTryTimeoutMs, alternativeTimeoutStatus], [250, 50, true]);
  assert.deepEqual(retryPolicy?.retryOn, ["5xx", "retriable-status-codes", "cancelled"]);
  assert.deepEqual([retryPolicy?.numRetries, retryPolicy?.retriableStatusCodes], [4, [418]]);
  assert.equal(retryPolicy?.retriableHeaders[0]?.name, "x-again");
  assert.deepEqual(headers.names, ["x-mine"]);
});

test("without conditions of a route or a header there are no retries", () => {
  assert.equal(takeControls(headersOf({ "x-envoy-max-retries": "4" }), undefined).retryPolicy, undefined);
  assert.equal(takeControls(headersOf({}), undefined).retryPolicy, undefined);
});

test("values that are no numbers count for nothing", () => {
  for (const value of ["", "-1", "1.5", "99999999999", "1s"]) {
    assert.equal(takeControls(headersOf({ "x-envoy-upstream-rq-timeout-ms": value }), undefined).timeoutMs, undefined);
  }
});

for (const [value, expected] of [
  ["true", true],
  ["false", false],
  ["1", undefined],
] as const) {
  test(`x-envoy-hedge-on-per-try-timeout: ${value} says ${expected}, and goes no further`, () => {
    const headers = headersOf({ "x-envoy-hedge-on-per-try-timeout": value });
    assert.equal(takeControls(headers, undefined).hedge, expected);
    assert.equal(headers.size, 0);
  });
}
