import assert from "node:assert/strict";
import { test } from "node:test";
import { hostAndPort } from "../../../../../src/filter/http/csrf/origin.ts";

for (const [text, expected] of [
  ["http://a.test", "a.test"],
  ["https://a.test:8443/x?y", "a.test:8443"],
  ["http://[::1]:80/", "[::1]:80"],
  ["http://u:p@a.test", "a.test"],
  ["http://a.test?x", "a.test"],
  ["http://a.test#x", "http://a.test#x"],
  ["http://a.test@evil@b", "http://a.test@evil@b"],
  ["http://a.test:65536", "http://a.test:65536"],
  ["http://a.test:", "http://a.test:"],
  ["http:///x", "http:///x"],
  ["a.test:81", "a.test:81"],
  ["null", "null"],
  ["", ""],
] as const)
  test(`the host and port of ${JSON.stringify(text)}`, () => assert.equal(hostAndPort(text), expected));

test("takes hostile texts apart in linear time", () => {
  const text = `http://${"a:".repeat(50_000)}`;
  const started = performance.now();
  assert.equal(hostAndPort(text), text);
  assert.ok(performance.now() - started < 1000);
});
