import assert from "node:assert/strict";
import { test } from "node:test";
import { mergeStruct } from "../../../../../src/filter/http/set-metadata/merge-struct.ts";

test("joins lists, merges structs and replaces the rest", () => {
  const before = { list: [1], struct: { a: 1, b: { c: 1 } }, text: "x", kind: [1], kept: true };
  const added = { list: [2], struct: { b: { d: 2 } }, text: 5, kind: { now: "a struct" } };
  assert.deepEqual(mergeStruct(before, added), {
    list: [1, 2],
    struct: { a: 1, b: { c: 1, d: 2 } },
    text: 5,
    kind: { now: "a struct" },
    kept: true,
  });
  assert.deepEqual(before.struct, { a: 1, b: { c: 1 } });
});
