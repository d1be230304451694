import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { type ExportRank, exportRank } from "../../../../../src/source/mesh/scope/exports.ts";

suite("exportTo", () => {
  const cases: readonly (readonly [string, readonly string[], readonly string[], string, ExportRank | undefined])[] = [
    ["nothing said is the default, public", [], ["*"], "b", 2],
    ["nothing said is the default, private", [], ["."], "b", undefined],
    ["private to its own namespace", [], ["."], "a", 0],
    ["what is said outweighs the default", ["*"], ["."], "b", 2],
    ["* outweighs other targets", ["*", "~", "."], ["*"], "b", 2],
    ["~ is for nobody, not even its own namespace", ["~", ".", "b"], ["*"], "a", undefined],
    ["a name exports to that namespace", ["b"], ["*"], "b", 1],
    ["and to no other", ["b"], ["*"], "c", undefined],
    ["nor to its own", ["b"], ["*"], "a", undefined],
    ["its own name is as good as .", ["a"], ["*"], "a", 0],
    [". is not for others", ["."], ["*"], "b", undefined],
  ];
  for (const [title, exportTo, defaults, namespace, expected] of cases) {
    test(title, () => {
      assert.equal(exportRank(exportTo, defaults, "a", namespace), expected);
    });
  }
});
