// Header fields as scripts see them: reads, changes, and what cannot be set.
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { HeaderView } from "../../../../../../src/filter/http/script/thread/header-view.ts";

const view = (): HeaderView => new HeaderView(["a", "1", "b", "2", "a", "3"]);

suite("headers of a script", () => {
  test("are read without case, one by one or joined", () => {
    const headers = view();
    assert.deepEqual([headers.get("A"), headers.get("c"), headers.getAll("a"), headers.has("B")], ["1, 3", undefined, ["1", "3"], true]);
    assert.deepEqual(
      [...headers],
      [
        ["a", "1"],
        ["b", "2"],
        ["a", "3"],
      ],
    );
  });

  test("are changed at once, and the changes are noted in order", () => {
    const headers = view();
    headers.set("A", " 4 ");
    headers.append("c", "5");
    headers.delete("b");
    headers.delete("nothing");
    assert.deepEqual(
      [...headers],
      [
        ["a", "4"],
        ["c", "5"],
      ],
    );
    assert.deepEqual(headers.changes, ["s", "a", "4", "a", "c", "5", "d", "b", ""]);
  });

  for (const [title, name, value] of [
    ["an empty name", "", "x"],
    ["a pseudo-header", ":path", "/"],
    ["a name with a space", "a b", "x"],
    ["a line end", "x", "a\r\nb: c"],
    ["a NUL", "x", "a\0"],
    ["what is more than a byte", "x", "€"],
    ["a length", "Content-Length", "1"],
    ["an encoding of transfer", "transfer-encoding", "chunked"],
    ["the host", "Host", "a"],
    ["an upgrade", "upgrade", "h2c"],
  ] as const) {
    test(`${title} is refused and changes nothing`, () => {
      const headers = view();
      assert.throws(() => headers.set(name, value), TypeError);
      assert.throws(() => headers.append(name, value), TypeError);
      assert.deepEqual(headers.changes, []);
      assert.equal([...headers].length, 3);
    });
  }
});
