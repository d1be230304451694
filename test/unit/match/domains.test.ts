import assert from "node:assert/strict";
import { test } from "node:test";
import { compileDomains, portStart } from "../../../src/match/domains.ts";

const entries = [
  { domains: ["example.com", "example.com:8443"], value: "exact" },
  { domains: ["*.example.com"], value: "wild" },
  { domains: ["*.long.example.com", "*-x.example.com"], value: "longer" },
  { domains: ["pre.*", "pre.fix.*"], value: "prefix" },
];
const withDefault = [...entries, { domains: ["*"], value: "default" }];

const cases: readonly (readonly [authority: string, expected: string | undefined])[] = [
  ["example.com", "exact"],
  ["EXAMPLE.com", "exact"],
  ["example.com:8443", "exact"],
  ["example.com:80", undefined],
  ["foo.example.com", "wild"],
  ["a.b.example.com", "wild"],
  ["z.long.example.com", "longer"],
  ["y-x.example.com", "longer"],
  ["-x.example.com", "wild"],
  [".example.com", undefined],
  ["pre.anything", "prefix"],
  ["pre.", undefined],
  ["pre.example.com", "wild"],
  ["unknown.test", undefined],
  ["example.com.", undefined],
  ["", undefined],
];

for (const [authority, expected] of cases) {
  test(`${JSON.stringify(authority)} belongs to ${expected ?? "no virtual host, or to the default one"}`, () => {
    assert.equal(compileDomains(entries).find(authority), expected);
    assert.equal(compileDomains(withDefault).find(authority), expected ?? "default");
  });
}

test("the longest prefix wins", () => {
  const table = compileDomains([
    { domains: ["pre.*"], value: 1 },
    { domains: ["pre.fix.*"], value: 2 },
  ]);
  assert.deepEqual([table.find("pre.fix.a"), table.find("pre.fiy.a")], [2, 1]);
});

test("a table with only the default host looks nothing up", () => {
  assert.equal(compileDomains([{ domains: ["*"], value: 1 }]).find("any:1"), 1);
});

test("ignorePort compares names without the port", () => {
  const table = compileDomains([{ domains: ["example.com", "[::1]"], value: 1 }], { ignorePort: true });
  assert.deepEqual(
    [table.find("example.com:80"), table.find("[::1]:80"), table.find("[::1]"), table.find("example.org:80")],
    [1, 1, 1, undefined],
  );
});

test("a domain given twice is reported and stays with the first", () => {
  const table = compileDomains([
    { domains: ["a", "*.b", "c.*", "*"], value: 1 },
    { domains: ["a", "*.b", "c.*", "*"], value: 2 },
  ]);
  assert.deepEqual(table.duplicates, ["a", "*.b", "c.*", "*"]);
  assert.deepEqual([table.find("a"), table.find("x.b"), table.find("c.x"), table.find("d")], [1, 1, 1, 1]);
});

test("portStart sees through IPv6 literals", () => {
  assert.deepEqual([portStart("a:1"), portStart("[::1]:1"), portStart("[::1]"), portStart("a")], [1, 5, -1, -1]);
});
