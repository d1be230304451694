// Where a text of many documents is cut, and how much of that a change leaves as it is.
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { isBareMarker, resplitDocuments, splitDocuments } from "../../../src/source/yaml-pieces.ts";

const piecesOf = (text: string): readonly string[] => {
  const starts = splitDocuments(text);
  return starts.map((start, index) => text.slice(start, starts[index + 1] ?? text.length));
};

suite("pieces", () => {
  for (const [title, text, expected] of [
    ["an empty text has none", "", []],
    ["a marker alone on its line is one", "a: 1\n---\nb: 2\n", ["a: 1\n", "---\n", "b: 2\n"]],
    ["a marker with content belongs to it", "a: 1\n--- {b: 2}\n", ["a: 1\n", "--- {b: 2}\n"]],
    ["a marker ends the text", "a: 1\n---", ["a: 1\n", "---"]],
    ["four dashes are none", "a: 1\n----\n", ["a: 1\n----\n"]],
    ["a directive keeps the text whole", "%YAML 1.2\n---\na: 1\n---\nb: 2\n", ["%YAML 1.2\n---\na: 1\n---\nb: 2\n"]],
    ["so does the end of a document", "a: 1\n...\n---\nb: 2\n", ["a: 1\n...\n---\nb: 2\n"]],
  ] as const)
    test(title, () => assert.deepEqual(piecesOf(text), expected));

  test("a marker is told from a document", () =>
    assert.deepEqual(["---\n", "--- \r\n", "---", "--- a\n", ""].map(isBareMarker), [true, true, true, false, false]));
});

suite("pieces after a change", () => {
  const documents = Array.from({ length: 400 }, (_, index) => `name: item-${index}\nfiller: ${"x".repeat(400)}\n`);
  const text = documents.join("---\n");
  const starts = splitDocuments(text);

  for (const [title, from, to, most] of [
    ["one value of one document", "item-200\n", "item-changed\n", 7],
    ["the first document", "item-0\n", "item-changed\n", 4],
    ["the last document", "item-399\n", "item-changed\n", 3],
    ["a document more", "---\nname: item-200\n", "---\nnew: 1\n---\nname: item-200\n", 8],
    ["a document less", documents[200] ?? "", "", 6],
    ["nothing", "", "", 4],
  ] as const) {
    test(`few are looked at again for ${title}`, () => {
      const now = text.replace(from, to);
      const { head, tail, middle } = resplitDocuments(text, starts, now);
      const moved = now.length - text.length;
      const all = [...starts.slice(0, head), ...middle, ...starts.slice(starts.length - tail).map((start) => start + moved)];
      assert.deepEqual(all, splitDocuments(now));
      assert.ok(middle.length <= most, `${middle.length} of ${all.length}`);
    });
  }

  test("a document end that comes or goes makes all of them new", () => {
    const ended = text.replace("item-200\n", "item-200\n...\n");
    assert.deepEqual(resplitDocuments(text, starts, ended), { head: 0, tail: 0, middle: [0] });
    assert.deepEqual(resplitDocuments(ended, [0], text), { head: 0, tail: 0, middle: starts });
  });
});
