import assert from "node:assert/strict";
import { test } from "node:test";
import { readLocation } from "../../../../../src/filter/http/router/internal-redirect.ts";

const cases: readonly (readonly [string, readonly [string, string, string] | undefined])[] = [
  ["http://shop/a?b=c", ["http", "shop", "/a?b=c"]],
  ["HTTPS://shop:8443/a#part", ["https", "shop:8443", "/a"]],
  ["http://shop", ["http", "shop", "/"]],
  // No path at all before the query: no route takes it, as in Envoy.
  ["http://shop?q", ["http", "shop", "?q"]],
  ["http://user:word@shop/a", ["http", "shop", "/a"]],
  ["http://[::1]:80/a", ["http", "[::1]:80", "/a"]],
  ["ftp://shop/a", ["ftp", "shop", "/a"]],
  ["/a", undefined],
  ["//shop/a", undefined],
  ["http:///a", undefined],
  ["http://sh op/a", undefined],
  ["http://shop/a b", undefined],
  ["http://shop/a\tb", undefined],
  ["http://shop\\evil/a", undefined],
  ["", undefined],
];

for (const [location, expected] of cases) {
  test(`a Location of ${JSON.stringify(location)} leads ${expected === undefined ? "nowhere" : `to ${expected.join(" ")}`}`, () => {
    const target = readLocation(location);
    assert.deepEqual(target && [target.scheme, target.authority, target.path], expected);
  });
}

test("a Location is read in time that grows with its length", () => {
  const started = performance.now();
  readLocation(`http://${"a:@".repeat(20_000)}`);
  readLocation(`http://${"a".repeat(60_000)}\\`);
  assert.ok(performance.now() - started < 1000);
});
