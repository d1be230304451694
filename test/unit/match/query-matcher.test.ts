import assert from "node:assert/strict";
import { test } from "node:test";
import { compileQueryMatcher, queryParameter } from "../../../src/match/query-matcher.ts";

for (const [query, name, value] of [
  ["q=1", "q", "1"],
  ["a=1&q=2", "q", "2"],
  ["q=1&q=2", "q", "1"],
  ["q", "q", ""],
  ["q=", "q", ""],
  ["q=a=b", "q", "a=b"],
  ["q=%31", "q", "%31"],
  ["qq=1", "q", undefined],
  ["a=q", "q", undefined],
  ["", "q", undefined],
  ["&&q=1&", "q", "1"],
] as const) {
  test(`the value of ${name} in "${query}" is ${JSON.stringify(value)}`, () => {
    assert.equal(queryParameter(query, name), value);
  });
}

test("a string matcher needs the parameter, a present matcher decides on it", () => {
  const one = compileQueryMatcher({ name: "q", match: { kind: "string", matcher: { kind: "prefix", value: "", ignoreCase: false } } });
  assert.deepEqual([one("q"), one("q=x"), one("r=1")], [true, true, false]);
  const absent = compileQueryMatcher({ name: "q", match: { kind: "present", present: false } });
  assert.deepEqual([absent("q"), absent("r=1")], [false, true]);
  const there = compileQueryMatcher({ name: "q", match: { kind: "present", present: true } });
  assert.deepEqual([there("q"), there("r=1")], [true, false]);
});
