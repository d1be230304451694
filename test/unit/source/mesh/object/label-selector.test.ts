import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { Fields, IssueSink } from "../../../../../src/source/mesh/object/fields.ts";
import { readLabelSelector, selectsLabels } from "../../../../../src/source/mesh/object/label-selector.ts";

const expression = (key: string, operator: string, ...values: readonly string[]): Readonly<Record<string, unknown>> => ({
  matchExpressions: [{ key, operator, ...(values.length === 0 ? {} : { values }) }],
});

suite("label selector", () => {
  const cases: readonly (readonly [Readonly<Record<string, unknown>>, boolean])[] = [
    [{}, true],
    [{ matchLabels: { a: "1" } }, true],
    [{ matchLabels: { a: "1", b: "1" } }, false],
    [expression("a", "In", "0", "1"), true],
    [expression("a", "In", "0"), false],
    [expression("b", "In", "0"), false],
    [expression("a", "NotIn", "1"), false],
    [expression("b", "NotIn", "1"), true],
    [expression("a", "Exists"), true],
    [expression("b", "Exists"), false],
    [expression("a", "DoesNotExist"), false],
    [expression("b", "DoesNotExist"), true],
    [{ matchLabels: { a: "1" }, ...expression("a", "DoesNotExist") }, false],
  ];
  for (const [json, expected] of cases) {
    test(`${JSON.stringify(json)} ${expected ? "selects" : "does not select"} a=1`, () => {
      const sink = new IssueSink();
      assert.equal(selectsLabels(readLabelSelector(new Fields(json, [], sink)), { a: "1" }), expected);
      assert.deepEqual(sink.issues, []);
    });
  }

  for (const [json, expected] of [
    [expression("a", "In"), /values: is empty/],
    [expression("a", "Exists", "1"), /values: is given, expected none/],
    [expression("a", "Like", "1"), /operator: is "Like"/],
    [{ matchExpressions: [{ key: "a" }] }, /operator: is missing/],
    [{ matchLabel: {} }, /matchLabel: is an unknown field/],
  ] as const) {
    test(`${JSON.stringify(json)} is refused`, () => {
      const sink = new IssueSink();
      readLabelSelector(new Fields(json, [], sink));
      assert.match(sink.issues.map(({ path, message }) => `${path.join(".")}: ${message}`).join("\n"), expected);
    });
  }
});
