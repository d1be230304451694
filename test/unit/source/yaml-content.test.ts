// The parser without positions must say what the one with positions says, wherever it says anything.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { suite, test } from "node:test";
import { parseAllDocuments } from "yaml";
import { readPlainContent } from "../../../src/source/yaml-content.ts";

const root = new URL("../../..", import.meta.url).pathname;

function careful(text: string): unknown {
  const documents = parseAllDocuments(text, { merge: true, uniqueKeys: true, stringKeys: false });
  assert.ok(Array.isArray(documents) && documents.length <= 1);
  const [document] = documents;
  if (document !== undefined && document.errors.length > 0) return "an error";
  return document?.toJS({ maxAliasCount: 100 }) ?? null;
}

suite("readPlainContent", () => {
  for (const text of [
    "a: 1",
    "a: 0x1f\nb: 0o17\nc: 017\nd: 1e3\ne: .5\nf: -.inf\ng: 1_000\nh: 0b11",
    "a: true\nb: True\nc: TRUE\nd: yes\ne: on\nf: no",
    "a: null\nb: ~\nc:\nd: Null",
    "a: 2020-01-02\nb: 2020-01-02T03:04:05Z\nc: 12:30",
    "a: '1'\nb: \"2\\n\"\nc: 1.20",
    "1: a\ntrue: b\n1.5: d",
    "a: |\n  text\n  more\n\nb: >-\n  folded\n  text\n",
    "a: plain text\n  over lines\nb: [x, 'y', {z: 1}]",
    "- a\n- b: 1\n  c: 2\n-\n  - d",
    "a: 9007199254740993\nb: 123456789012345678901234567890",
    "---\na: 1 # comment\n# another\n",
    "--- {a: 1}",
    "a: 10.0.0.1/8\nb: a:b\nc: '#x'\nd: x#y",
    "a: 1\r\nb: 2\r\n",
    "\ufeffa: 1",
    '{"a": [1, 2.5, "x\\u00e9", null, true], "b": {}}',
    "just text",
    "",
    "# only a comment",
  ]) {
    test(`agrees on ${JSON.stringify(text)}`, () => {
      const plain = readPlainContent(text);
      if (plain !== undefined) assert.deepEqual(plain.json ?? null, careful(text));
    });
  }

  for (const text of ["a: &x 1\nb: *x", "a: !!str 1", "a: 1\na: 2", "a: [1", "<<: {a: 1}", "__proto__: {a: 1}", "? [a]\n: b", "a:\t1"]) {
    test(`leaves ${JSON.stringify(text)} to the other parser`, () => assert.equal(readPlainContent(text), undefined));
  }

  test("agrees on every configuration of this repository, and reads most of them", () => {
    let read = 0;
    let left = 0;
    for (const folder of ["config", "test/golden"]) {
      for (const name of readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })) {
        if (!/\.ya?ml$/.test(name)) continue;
        for (const text of readFileSync(join(root, folder, name), "utf8").split(/^---$/m)) {
          const plain = readPlainContent(text);
          if (plain === undefined) left++;
          else {
            read++;
            assert.deepEqual(plain.json ?? null, careful(text), `${folder}/${name}`);
          }
        }
      }
    }
    assert.ok(read > 100 && read > left * 10, `${read} documents read, ${left} left`);
  });
});
