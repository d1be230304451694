import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { alignLists, keepList, KeptFlat, KeptIndex, KeptMap, KeptOrder } from "../../src/kept-list.ts";
import { seededRandom } from "../support/cluster-models.ts";

const owner = {};
const items = (text: string): readonly { readonly name: string }[] => text.split("").map((name) => ({ name }));

describe("lists that change in one place", () => {
  test("where two lists differ", () => {
    for (const [before, next, expected] of [
      ["", "", [0, 0]],
      ["abc", "abc", [3, 0]],
      ["abc", "axc", [1, 1]],
      ["abc", "ac", [1, 1]],
      ["ac", "abc", [1, 1]],
      ["aa", "a", [1, 0]],
      ["ab", "xy", [0, 0]],
    ] as const)
      assert.deepEqual(Object.values(alignLists(before.split(""), next.split(""))), expected, `${before} ${next}`);
  });

  test("an equal list is the one of before", () => {
    const before = [1, 2];
    assert.equal(keepList(before, [1, 2]), before);
    assert.deepEqual(keepList(before, [1, 3]), [1, 3]);
  });

  test("values are made for new items alone, and the list stays when none is", () => {
    const made: string[] = [];
    const kept = new KeptMap<{ readonly name: string }, object>();
    const make = (item: { readonly name: string }): object => {
      made.push(item.name);
      return { of: item.name };
    };
    const [a, b, c, d] = items("abcd") as [{ name: string }, { name: string }, { name: string }, { name: string }];
    const first = kept.map(owner, [a, b, c], [1], make);
    assert.equal(kept.map(owner, [a, b, c], [1], make), first);
    const second = kept.map(owner, [a, d, b, c], [1], make);
    assert.deepEqual(made, ["a", "b", "c", "d"]);
    assert.equal(second[2], first[1]);
    kept.map(owner, [c, b, a], [1], make);
    assert.equal(made.length, 4);
    kept.map(owner, [c, b, a], [2], make);
    assert.equal(made.length, 7);
  });

  test("random changes give what a fresh start gives", () => {
    const random = seededRandom(7);
    const pool = items("abcdefghijklmnopqrstuvwxyz");
    const names = new KeptMap<{ readonly name: string }, string>();
    const order = new KeptOrder<{ readonly name: string }>((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
    const index = new KeptIndex<{ readonly name: string }, string>(({ name }) => name);
    let list = pool.slice(0, 10);
    for (let round = 0; round < 500; round++) {
      const at = Math.floor(random() * (list.length + 1));
      const free = pool.filter((item) => !list.includes(item));
      const item = free[Math.floor(random() * free.length)];
      list = list.toSpliced(at, Math.floor(random() * 3), ...(item !== undefined && random() < 0.7 ? [item] : []));
      assert.deepEqual(
        names.map(owner, list, [], ({ name }) => name),
        list.map(({ name }) => name),
      );
      assert.deepEqual(
        order.of(owner, list).map(({ name }) => name),
        list.map(({ name }) => name).toSorted(),
      );
      const repeated = random() < 0.2 ? [...list, { name: list[0]?.name ?? "none" }] : list;
      assert.equal(index.isUnique(repeated), new Set(repeated.map(({ name }) => name)).size === repeated.length);
      for (const each of pool)
        assert.equal(
          index.get(repeated, each.name),
          repeated.find(({ name }) => name === each.name),
        );
    }
  });

  test("a flat list is made once", () => {
    const flat = new KeptFlat<number>();
    const lists = [[1], [], [2, 3]];
    assert.deepEqual(flat.of(lists), [1, 2, 3]);
    assert.equal(flat.of(lists), flat.of(lists));
  });
});
