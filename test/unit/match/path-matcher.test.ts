import assert from "node:assert/strict";
import { test } from "node:test";
import type { PathMatcher } from "../../../src/envoy/string-matcher.ts";
import { compilePathMatcher, withoutQuery } from "../../../src/match/path-matcher.ts";

const literal = (kind: "prefix" | "path" | "pathSeparatedPrefix", value: string, caseSensitive = true): PathMatcher => ({
  kind,
  value,
  caseSensitive,
});
const template = (text: string): PathMatcher => ({ kind: "template", template: text });

const cases: readonly (readonly [matcher: PathMatcher, hits: readonly string[], misses: readonly string[]])[] = [
  [literal("prefix", "/a"), ["/a", "/ab", "/a/b"], ["/", "/A"]],
  [literal("prefix", "/CaSe", false), ["/cAsE1"], ["/cas"]],
  [literal("path", "/a"), ["/a"], ["/a/", "/A"]],
  [literal("path", "/a", false), ["/A"], ["/ab"]],
  [literal("pathSeparatedPrefix", "/seg"), ["/seg", "/seg/x", "/seg/"], ["/segx", "/se"]],
  [literal("pathSeparatedPrefix", "/Seg", false), ["/sEG/x"], ["/segx"]],
  [{ kind: "safeRegex", regex: "/re/[0-9]+/?" }, ["/re/12", "/re/12/"], ["/re/12/more", "/re/"]],
  [{ kind: "connect" }, [], ["", "/"]],
  [template("/a/{id}"), ["/a/1", "/a/x-y"], ["/a", "/a/", "/a/1/2"]],
  [template("/a/*/c"), ["/a/b/c"], ["/a/b/b/c", "/a//c"]],
  [template("/a/**"), ["/a/", "/a/b/c"], ["/b/"]],
  [template("/**/b"), ["/a/b", "/a/c/b", "//b"], ["/b", "/a/bc"]],
  [template("/a/{rest=**}"), ["/a/b/c"], ["/b"]],
  [template("/{v=v1/*}/x"), ["/v1/a/x"], ["/v2/a/x"]],
  [template("/a.b+c"), ["/a.b+c"], ["/axb+c", "/a.bbc"]],
];

for (const [matcher, hits, misses] of cases) {
  test(`${JSON.stringify(matcher)} takes ${JSON.stringify(hits)} and nothing of ${JSON.stringify(misses)}`, () => {
    const matches = compilePathMatcher(matcher);
    for (const path of hits) assert.equal(matches(path), true, path);
    for (const path of misses) assert.equal(matches(path), false, path);
  });
}

for (const bad of [
  "a",
  "/{a}/{a}",
  "/{a",
  "/**/*",
  "/**/**",
  "/**/{a}",
  "/{1a}",
  "/a{b}c",
  "/{a}/{b}/{c}/{d}/{e}/{f}",
  `/${"a".repeat(255)}`,
]) {
  test(`the template ${bad.slice(0, 30)} is refused`, () => {
    assert.throws(() => compilePathMatcher(template(bad)), /path template/);
  });
}

test("a path without a query is the same path", () => {
  assert.deepEqual([withoutQuery("/a"), withoutQuery("/a?"), withoutQuery("/a?b?c")], ["/a", "/a", "/a"]);
});
