// Server names: exact before the most specific suffix before any.
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { ServerNameTable } from "../../../src/match/sni.ts";

function table(...patterns: readonly string[]): ServerNameTable<string> {
  const made = new ServerNameTable<string>();
  for (const pattern of patterns) made.getOrAdd(pattern, () => pattern || "any");
  return made;
}

suite("server names", () => {
  const all = table("a.example.com", "*.example.com", "*.b.example.com", "*.com", "");
  const cases: readonly (readonly [string, string])[] = [
    ["a.example.com", "a.example.com"],
    ["c.example.com", "*.example.com"],
    ["x.a.example.com", "*.example.com"],
    ["x.b.example.com", "*.b.example.com"],
    ["b.example.com", "*.example.com"],
    ["example.com", "*.com"],
    ["com", "any"],
    ["", "any"],
    ["example.org", "any"],
    [".com", "any"],
    ["outbound_.80_._.h.com", "*.com"],
  ];
  for (const [name, expected] of cases) test(`${JSON.stringify(name)} finds ${expected}`, () => assert.equal(all.find(name), expected));

  test("a suffix does not take the name itself", () => assert.equal(table("*.mtls.example.com").find("mtls.example.com"), undefined));
  test("without a value for any name nothing is found", () => assert.equal(table("a.test").find("b.test"), undefined));
  test("the same pattern twice gives the same value", () => {
    const made = table("*.a.test");
    assert.equal(
      made.getOrAdd("*.a.test", () => "second"),
      "*.a.test",
    );
    assert.equal(
      made.getOrAdd("*", () => "any"),
      made.getOrAdd("", () => "other"),
    );
  });
});
