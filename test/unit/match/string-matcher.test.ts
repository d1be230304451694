import assert from "node:assert/strict";
import { test } from "node:test";
import type { StringMatcher } from "../../../src/envoy/string-matcher.ts";
import { compileStringMatcher } from "../../../src/match/string-matcher.ts";

const cases: readonly (readonly [matcher: StringMatcher, hits: readonly string[], misses: readonly string[]])[] = [
  [{ kind: "exact", value: "abc", ignoreCase: false }, ["abc"], ["", "ab", "abcd", "ABC"]],
  [{ kind: "exact", value: "", ignoreCase: false }, [""], ["a"]],
  [{ kind: "exact", value: "aBc", ignoreCase: true }, ["abc", "ABC"], ["ab", "abcd"]],
  [{ kind: "prefix", value: "ab", ignoreCase: false }, ["ab", "abc"], ["a", "Abc", "xab"]],
  [{ kind: "prefix", value: "Ab", ignoreCase: true }, ["aBc"], ["a", "xab"]],
  [{ kind: "prefix", value: "", ignoreCase: false }, ["", "x"], []],
  [{ kind: "suffix", value: "bc", ignoreCase: false }, ["bc", "abc"], ["c", "aBC", "bcd"]],
  [{ kind: "suffix", value: "bC", ignoreCase: true }, ["aBc"], ["c", "bcd"]],
  [{ kind: "contains", value: "b", ignoreCase: false }, ["abc", "b"], ["", "aBc"]],
  [{ kind: "contains", value: "B", ignoreCase: true }, ["abc", "aBc"], ["", "ac"]],
  [{ kind: "safeRegex", regex: "a[0-9]+" }, ["a1", "a12"], ["a", "xa1", "a1x"]],
  [{ kind: "safeRegex", regex: "a|ab" }, ["a", "ab"], ["abc"]],
];

for (const [matcher, hits, misses] of cases) {
  test(`${JSON.stringify(matcher)} takes ${JSON.stringify(hits)} and nothing of ${JSON.stringify(misses)}`, () => {
    const matches = compileStringMatcher(matcher);
    for (const value of hits) assert.equal(matches(value), true, value);
    for (const value of misses) assert.equal(matches(value), false, value);
  });
}

test("a regex outside RE2 is refused when it is compiled", () => {
  assert.throws(() => compileStringMatcher({ kind: "safeRegex", regex: "(?=a)" }), /RE2/);
});
