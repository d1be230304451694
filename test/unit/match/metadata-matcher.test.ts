import assert from "node:assert/strict";
import { suite, test } from "node:test";
import type { ValueMatcher } from "../../../src/envoy/metadata-matcher.ts";
import { compileMetadataMatcher } from "../../../src/match/metadata-matcher.ts";

const exact = (value: string): ValueMatcher => ({ kind: "string", matcher: { kind: "exact", value, ignoreCase: false } });
const oneOf = (value: string): ValueMatcher => ({ kind: "oneOf", item: exact(value) });
const said = new Map([
  ["f", { text: "a", list: ["a", 1, null], nested: { deep: "a" }, number: 1.5, yes: true, nothing: null, "a.b": "dotted" } as const],
]);

suite("matchers over dynamic metadata", () => {
  for (const [path, value, expected] of [
    ["text", exact("a"), true],
    ["text", exact("b"), false],
    ["list", exact("a"), false],
    ["list", oneOf("a"), true],
    ["list", oneOf("b"), false],
    ["text", oneOf("a"), false],
    ["text", { kind: "or", matchers: [oneOf("a"), exact("a")] }, true],
    ["nested/deep", exact("a"), true],
    ["nested/other", exact("a"), false],
    ["text/deep", exact("a"), false],
    ["list/0", exact("a"), false],
    ["a.b", exact("dotted"), true],
    ["number", { kind: "double", exact: 1.5 }, true],
    ["number", { kind: "range", start: 1, end: 1.5 }, false],
    ["yes", { kind: "bool", value: true }, true],
    ["nothing", { kind: "null" }, true],
    ["text", { kind: "present", present: true }, true],
    ["absent", { kind: "present", present: true }, false],
    ["absent", { kind: "present", present: false }, true],
    // Never a member of the object's prototype.
    ["constructor", { kind: "present", present: true }, false],
    ["__proto__/toString", { kind: "present", present: true }, false],
  ] as const) {
    test(`${path} ${JSON.stringify(value)} is ${expected}`, () => {
      const model = { filter: "f", path: path.split("/"), value, invert: false };
      assert.equal(compileMetadataMatcher(model)(said), expected);
      assert.equal(compileMetadataMatcher({ ...model, invert: true })(said), !expected);
    });
  }

  test("nothing said by the filter, or by any, is absent", () => {
    const test = compileMetadataMatcher({ filter: "g", path: ["text"], value: exact("a"), invert: false });
    assert.equal(test(said), false);
    assert.equal(test(undefined), false);
  });
});
