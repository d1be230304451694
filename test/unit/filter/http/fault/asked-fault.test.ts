import assert from "node:assert/strict";
import { test } from "node:test";
import { askedAbort, askedDelayMs, askedShare } from "../../../../../src/filter/http/fault/asked-fault.ts";
import { HeaderMap } from "../../../../../src/wire/header-map.ts";

const headersOf = (fields: Readonly<Record<string, string>>): HeaderMap => {
  const headers = new HeaderMap();
  for (const [name, value] of Object.entries(fields)) headers.add(`x-envoy-fault-${name}`, value);
  return headers;
};

test("an HTTP status comes before gRPC's, where it is one", () => {
  assert.deepEqual(askedAbort(headersOf({ "abort-request": "503", "abort-grpc-request": "5" })), { kind: "http", code: 503 });
  assert.deepEqual(askedAbort(headersOf({ "abort-request": "199", "abort-grpc-request": "5" })), { kind: "grpc", code: 5 });
  assert.equal(askedAbort(headersOf({ "abort-request": "600" })), undefined);
});

for (const [text, expected] of [
  ["20", 20],
  ["+20", 20],
  [" 20 ", 20],
  ["0", 0],
  ["-1", undefined],
  ["1.5", undefined],
  ["9999999999", undefined],
  ["", undefined],
] as const) {
  test(`a delay of ${JSON.stringify(text)} is ${expected}`, () =>
    assert.equal(askedDelayMs(headersOf({ "delay-request": text })), expected));
}

test("a share is the smaller numerator over the configuration's denominator", () => {
  const configured = { numerator: 50, denominator: 10_000 };
  for (const [asked, numerator] of [
    ["10", 10],
    ["100", 50],
    ["x", 50],
  ] as const)
    assert.deepEqual(askedShare(headersOf({ share: asked }), "x-envoy-fault-share", configured), { numerator, denominator: 10_000 });
});
