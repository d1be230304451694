import assert from "node:assert/strict";
import { test } from "node:test";
import type { HeaderMatcher, StringMatcher } from "../../../src/envoy/string-matcher.ts";
import { compileAllHeaders, compileFieldMatcher, compileHeaderMatcher } from "../../../src/match/header-matcher.ts";
import { HeaderMap } from "../../../src/wire/header-map.ts";

type Fields = readonly (readonly [string, string])[];

function request(fields: Fields) {
  const headers = new HeaderMap();
  for (const [name, value] of fields) headers.add(name, value);
  return { headers, method: "GET", path: "/a?b", authority: "lab:80", scheme: "http" };
}

function matcher(name: string, match: HeaderMatcher["match"], invertMatch = false, treatMissingHeaderAsEmpty = false): HeaderMatcher {
  return { name, match, invertMatch, treatMissingHeaderAsEmpty };
}

const exact = (value: string): HeaderMatcher["match"] => ({ kind: "string", matcher: { kind: "exact", value, ignoreCase: false } });
const regex = (text: string): HeaderMatcher["match"] => ({
  kind: "string",
  matcher: { kind: "safeRegex", regex: text } satisfies StringMatcher,
});
const present = (is: boolean): HeaderMatcher["match"] => ({ kind: "present", present: is });
const range: HeaderMatcher["match"] = { kind: "range", start: 10, end: 20 };

const cases: readonly (readonly [title: string, matcher: HeaderMatcher, fields: Fields, expected: boolean])[] = [
  ["exact", matcher("x", exact("one")), [["x", "one"]], true],
  ["exact, another value", matcher("x", exact("one")), [["x", "two"]], false],
  ["exact, absent", matcher("x", exact("one")), [], false],
  [
    "exact, the first of two fields",
    matcher("x", exact("one")),
    [
      ["x", "one"],
      ["x", "two"],
    ],
    true,
  ],
  [
    "exact, the second of two fields",
    matcher("x", exact("two")),
    [
      ["x", "one"],
      ["y", ""],
      ["x", "two"],
    ],
    true,
  ],
  [
    "exact, two fields are not their join",
    matcher("x", exact("one,two")),
    [
      ["x", "one"],
      ["x", "two"],
    ],
    false,
  ],
  ["exact, one field with a comma is one value", matcher("x", exact("one,two")), [["x", "one,two"]], true],
  ["inverted, absent", matcher("x", exact("no"), true), [], false],
  ["inverted, another value", matcher("x", exact("no"), true), [["x", "yes"]], true],
  [
    "inverted, one of two fields has the value",
    matcher("x", exact("no"), true),
    [
      ["x", "yes"],
      ["x", "no"],
    ],
    false,
  ],
  ["absent as empty", matcher("x", exact(""), false, true), [], true],
  ["absent as empty, another value wanted", matcher("x", exact("a"), false, true), [], false],
  ["absent as empty, inverted", matcher("x", exact("a"), true, true), [], true],
  ["present, empty value", matcher("x", present(true)), [["x", ""]], true],
  ["present, absent", matcher("x", present(true)), [], false],
  ["present inverted, absent", matcher("x", present(true), true), [], true],
  ["present false, absent", matcher("x", present(false)), [], true],
  ["present false, there", matcher("x", present(false)), [["x", "v"]], false],
  ["present false inverted, there", matcher("x", present(false), true), [["x", "v"]], true],
  ["range, its start", matcher("x", range), [["x", "10"]], true],
  ["range, its end", matcher("x", range), [["x", "20"]], false],
  ["range, signed", matcher("x", { kind: "range", start: -10, end: 0 }), [["x", "-1"]], true],
  ["range, not an integer", matcher("x", range), [["x", "12.5"]], false],
  ["range, text behind the number", matcher("x", range), [["x", "12x"]], false],
  ["range, no digits", matcher("x", { kind: "range", start: -1, end: 1 }), [["x", ""]], false],
  ["regex is for the whole value", matcher("x", regex("a+")), [["x", "aab"]], false],
  [":method", matcher(":method", exact("GET")), [], true],
  [":authority", matcher(":authority", exact("lab:80")), [], true],
  ["host is the authority", matcher("host", exact("lab:80")), [["host", "other"]], true],
  [":path has the query", matcher(":path", exact("/a?b")), [], true],
  [":scheme inverted", matcher(":scheme", exact("https"), true), [], true],
];

for (const [title, model, fields, expected] of cases) {
  test(`${title}: ${expected ? "match" : "no match"}`, () => {
    assert.equal(compileHeaderMatcher(model)(request(fields)), expected);
  });
}

test("an absent pseudo-header is an absent header", () => {
  const connect = { ...request([]), path: "" };
  assert.equal(compileHeaderMatcher(matcher(":path", present(true)))(connect), false);
  assert.equal(compileHeaderMatcher(matcher(":path", exact("/"), true))(connect), false);
});

test("plain fields know no pseudo-headers", () => {
  assert.equal(compileFieldMatcher(matcher(":method", present(true)))(new HeaderMap()), false);
});

test("a list matches when all its members do, and an empty list needs no test", () => {
  assert.equal(compileAllHeaders([]), undefined);
  const both = compileAllHeaders([matcher("x", present(true)), matcher("y", present(true))]);
  assert.equal(
    both?.(
      request([
        ["x", ""],
        ["y", ""],
      ]),
    ),
    true,
  );
  assert.equal(both?.(request([["x", ""]])), false);
});
