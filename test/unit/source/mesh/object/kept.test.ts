import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { keepList, sameItems } from "../../../../../src/kept-list.ts";
import { Kept, KeptByText } from "../../../../../src/source/mesh/object/kept.ts";

suite("kept values", () => {
  const [owner, other, a, b] = [{}, {}, { name: "a" }, { name: "a" }];

  test("are made once for the same ingredients, again for others, and apart for each owner", () => {
    const kept = new Kept<object, number>();
    let made = 0;
    const get = (of: object, ingredients: readonly unknown[]): number => kept.get(of, ingredients, () => ++made);
    assert.deepEqual(
      [get(owner, [a, 1]), get(owner, [a, 1]), get(owner, [b, 1]), get(owner, [b, 1]), get(owner, [b]), get(other, [b])],
      [1, 1, 2, 2, 3, 4],
    );
  });

  test("lists are the same when their items are", () => {
    const list = [a, b];
    assert.deepEqual(
      [[a, b], [b, a], [a], []].map((next) => [sameItems(list, next), keepList(list, next) === list]),
      [
        [true, true],
        [false, false],
        [false, false],
        [false, false],
      ],
    );
    assert.equal(keepList(undefined, list), list);
  });

  test("named values are those of before while they say the same, and forgotten when they are not given", () => {
    const kept = new KeptByText<{ readonly name: string; readonly value: number }>();
    const all = (...values: readonly { readonly name: string; readonly value: number }[]) => kept.getAll(owner, values, ({ name }) => name);
    const [one, two] = [
      { name: "one", value: 1 },
      { name: "two", value: 2 },
    ];
    all(one, two);
    const again = all({ ...one }, { ...two, value: 3 });
    assert.deepEqual([again[0] === one, again[1]?.value], [true, 3]);
    all();
    assert.notEqual(all({ ...one })[0], one);
  });
});
