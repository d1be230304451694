// Expressions of configuration: whatever way a pattern is matched, it says what RE2 says.
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { RE2JS } from "re2js";
import { compileRegex } from "../../src/regex.ts";

suite("regular expressions", () => {
  const cases: readonly (readonly [pattern: string, text: string, matches: boolean])[] = [
    ["/api/items/[0-9]+", "/api/items/42", true],
    ["/api/items/[0-9]+", "/api/items/42/", false],
    ["^/api/v\\d/.*$", "/api/v1/", true],
    ["/a\\.b", "/axb", false],
    ["/a.*", "/a\nb", false],
    ["[^/]+", "a\nb", true],
    ["/a|/b", "/b", true],
    ["(?i)/a", "/A", true],
    ["a{2}", "aa", true],
    ["ab+c", "abbc", true],
    ["ab*", "a", true],
    ["a+?b", "aab", true],
    ["a\\$", "a$", true],
    ["", "", true],
    [".*a.*", "bab", true],
  ];
  for (const [pattern, text, matches] of cases) {
    test(`${JSON.stringify(pattern)} ${matches ? "takes" : "refuses"} ${JSON.stringify(text)}`, () => {
      const regex = compileRegex(pattern);
      assert.ok("matches" in regex);
      assert.equal(regex.matches(text), matches);
    });
  }

  test("says what is wrong with a pattern", () => {
    for (const pattern of ["(", "a**", "\\", "(?=a)", "a".repeat(5000)]) assert.ok("error" in compileRegex(pattern), pattern);
  });

  test("agrees with RE2 on random patterns and texts", () => {
    // Numerical Recipes' generator: the same run each time.
    let state = 7;
    const below = (limit: number): number => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) % limit;
    const draw = (pieces: readonly string[]): string =>
      Array.from({ length: 1 + below(6) }, () => pieces[(below(1 << 16) >> 4) % pieces.length]!).join("");
    const patterns =
      "a b / api [0-9] [0-9]+ \\d \\d+ .* . \\. \\w* [^/]+ x? a+ (b) ^ $ {2} \\$ \\/ - _ + * ? (?i) [a-c.] \\b | é \\n".split(" ");
    const texts = "a b / 0 4 . $ - _ x é c A api 42".split(" ").concat("\n", " ");
    let matched = 0;
    for (let round = 0; round < 8000; round++) {
      const pattern = draw(patterns);
      const regex = compileRegex(pattern);
      if ("error" in regex) continue;
      const reference = RE2JS.compile(pattern);
      const text = draw(texts);
      const expected = reference.matches(text);
      if (expected) matched++;
      assert.equal(regex.matches(text), expected, JSON.stringify([pattern, text]));
    }
    assert.ok(matched > 200, `${matched} matches`);
  });

  test("stays linear where the engine's own expressions would not", () => {
    const regex = compileRegex("(a+)+b");
    assert.ok("matches" in regex);
    const begun = performance.now();
    assert.equal(regex.matches("a".repeat(5000)), false);
    assert.ok(performance.now() - begun < 2000);
  });
});
