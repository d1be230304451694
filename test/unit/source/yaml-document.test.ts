import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { formatIssue, formatPath, locate, locateIssue, parseYaml, type YamlDocument } from "../../../src/source/yaml-document.ts";

function only(text: string): YamlDocument {
  const { documents, issues } = parseYaml(text, "f.yaml");
  assert.deepEqual(issues, []);
  assert.equal(documents.length, 1);
  const [document] = documents;
  assert.ok(document);
  return document;
}
function placeOf(text: string, path: readonly (string | number)[]): string {
  const { line, column } = locate(only(text), path);
  return `${line}:${column}`;
}

const sample = `a:
  b: 1
  items:
    - name: x
    - {name: y, deep: {z: 1}}
statPrefix: p
base: &base
  from_base: 1
child:
  <<: *base
  own: 2
alias: *base
`;

suite("locate", () => {
  for (const [title, path, expected] of [
    ["a field at its key", ["a", "b"], "2:3"],
    ["an item of a list at its beginning", ["a", "items", 1], "5:7"],
    ["a field within a flow mapping", ["a", "items", 1, "deep", "z"], "5:24"],
    ["a field in the other spelling", ["stat_prefix"], "6:1"],
    ["a merged field where it is written", ["child", "from_base"], "8:3"],
    ["a field beside a merge at its own place", ["child", "own"], "11:3"],
    ["a field behind an alias where it is written", ["alias", "from_base"], "8:3"],
    ["a missing field at what should hold it", ["a", "nothing", "below"], "1:1"],
    ["an item beyond the end at the list", ["a", "items", 9], "3:3"],
    ["the document itself", [], "1:1"],
  ] as const) {
    test(`finds ${title}`, () => assert.equal(placeOf(sample, path), expected));
  }

  test("finds places in JSON, tabs included", () => {
    assert.equal(placeOf('{\n\t"a": [\n\t\t{"b": 1}\n\t]\n}', ["a", 0, "b"]), "3:4");
  });
});

suite("parseYaml", () => {
  test("resolves anchors and merge keys", () => {
    assert.deepEqual((only(sample).json as Record<string, unknown>)["child"], { from_base: 1, own: 2 });
  });

  for (const [title, text, expected] of [
    ["a duplicate key", "a: 1\nb: 2\na: 3\n", "f.yaml:3:1 error Map keys must be unique"],
    ["an unclosed bracket", "a: [1,\n", /^f\.yaml:2:1 error /],
    ["a tab as indentation", "a:\n\tb: 1\n", /^f\.yaml:2:1 error Tabs are not allowed as indentation/],
    ["an anchor that there is not", "a: *gone\n", /^f\.yaml:1:4 error .*gone/],
    ["JSON with a trailing brace", '{"a": 1}}', /^f\.yaml:1:9 error /],
  ] as const) {
    test(`reports ${title} with its place`, () => {
      const { documents, issues } = parseYaml(text, "f.yaml");
      assert.equal(documents.length, 0);
      const line = formatIssue(issues[0] ?? assert.fail());
      if (typeof expected === "string") assert.equal(line, expected);
      else assert.match(line, expected);
    });
  }

  test("gives every document of a file, places counted through, and skips empty ones", () => {
    const { documents } = parseYaml("a: 1\n---\n---\nb: 2\n", "f.yaml");
    assert.deepEqual(
      documents.map(({ json }) => json),
      [{ a: 1 }, { b: 2 }],
    );
    assert.equal(locate(documents[1] ?? assert.fail(), ["b"]).line, 4);
  });

  test("has no documents for an empty file", () => {
    const { documents, issues } = parseYaml("# nothing\n", "f.yaml");
    assert.deepEqual([documents, issues], [[], []]);
  });

  test("refuses aliases that multiply without bound", () => {
    const levels = Array.from({ length: 9 }, (_, level) => `l${level + 1}: &l${level + 1} [${Array(10).fill(`*l${level}`).join(",")}]`);
    const { documents, issues } = parseYaml(`l0: &l0 x\n${levels.join("\n")}\n`, "f.yaml");
    assert.equal(documents.length, 0);
    assert.match(issues[0]?.message ?? "", /[Ee]xcessive alias count/);
  });
});

test("formatPath writes indexes in brackets and quotes keys that are not words", () => {
  assert.equal(formatPath(["static_resources", "listeners", 0, "@type"]), "static_resources.listeners[0].@type");
  assert.equal(formatPath(["options", "envoy.x.v3", 2]), 'options["envoy.x.v3"][2]');
  assert.equal(formatPath([]), "");
});

test("formatIssue names file, place, severity, path and message", () => {
  const issue = locateIssue(only(sample), { severity: "warning", path: ["a", "items", 0, "name"], message: "is odd" });
  assert.equal(formatIssue(issue), "f.yaml:4:7 warning a.items[0].name: is odd");
});

suite("parsing again", () => {
  const document = (name: string): string => `name: ${name}\nitems: [{name: ${name}-item}]\n`;
  const contents = ({ documents }: ReturnType<typeof parseYaml>): readonly unknown[] => documents.map(({ json }) => json);

  test("keeps the objects of documents whose text is the same, and tells their new places", () => {
    const first = parseYaml([document("a"), document("b"), document("c")].join("---\n"), "f.yaml");
    const second = parseYaml(`# moved\n${[document("a"), "new: 1\n", document("b"), document("d")].join("---\n")}`, "f.yaml", first);
    const [, b] = contents(first);
    assert.equal(contents(second)[2], b, "b is the same object");
    assert.deepEqual(contents(second), [
      { name: "a", items: [{ name: "a-item" }] },
      { new: 1 },
      { name: "b", items: [{ name: "b-item" }] },
      { name: "d", items: [{ name: "d-item" }] },
    ]);
    assert.deepEqual(locate(second.documents[2] ?? assert.fail(), ["items", 0, "name"]), { line: 8, column: 10 });
  });

  test("gives documents with the same text objects of their own", () => {
    const [one, other] = contents(parseYaml(`a: 1\n---\na: 1\n`, "f.yaml"));
    assert.deepEqual(one, other);
    assert.notEqual(one, other);
  });

  test("reports an error at its new place", () => {
    const first = parseYaml("a: 1\n---\nb: [1,\n", "f.yaml");
    const second = parseYaml("# a line\na: 1\n---\nb: [1,\n", "f.yaml", first);
    assert.deepEqual(
      [first, second].map(({ issues }) => issues.map(({ line }) => line)),
      [[4], [5]],
    );
  });
});

suite("parsing again after random edits", () => {
  // What makes borders between documents, or looks like it.
  const tokens = [
    "---\n",
    "---",
    "--- \n",
    "---\r\n",
    "---\r",
    "--- {b: 1}\n",
    "----\n",
    "...\n",
    "...",
    "%YAML 1.2\n",
    "# c\n",
    "\n",
    "\r",
    " ",
    "-",
  ];
  const contents = [
    "a: 1\n",
    "b: [1, 2]\n",
    "- x\n",
    "c: {d: e}\n",
    "k: |\n  ---\n  text\n",
    "broken: [\n",
    "é: ü\n",
    "a: &x 1\nb: *x\n",
    "\u2028",
  ];
  // The rarer a token, the likelier a text of which something can be taken over.
  const usual = [...Array<string>(12).fill("---\n"), ...Array.from({ length: 12 }, (_, index) => `n: ${index}\n`)];

  /** Numbers in [0, 1), the same on every run. */
  function seeded(seed: number): () => number {
    let state = seed >>> 0;
    return () => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      return state / 2 ** 32;
    };
  }

  const facts = ({ documents, issues, pieces }: ReturnType<typeof parseYaml>): unknown => ({
    documents: documents.map(({ file, json, linesBefore, index, part }) => ({ file, json, linesBefore, index, text: part.text })),
    issues,
    pieces: { ...pieces, parts: pieces.parts.map(({ text }) => text) },
  });

  for (const [title, words] of [
    ["usual texts", usual],
    ["texts with a few oddities", [...usual, ...usual, ...tokens, ...contents]],
    ["odd texts", [...tokens, ...contents]],
  ] as const) {
    test(`${title}: gives what a first parse gives, and objects of its own for each document`, () => {
      const random = seeded(words.length);
      const below = (limit: number): number => Math.floor(random() * limit);
      const some = (most: number): string => Array.from({ length: below(most) }, () => words[below(words.length)] ?? "").join("");
      let kept = 0;
      for (let round = 0; round < 60; round++) {
        let text = some(60);
        let parsed = parseYaml(text, "f.yaml");
        for (let step = 0; step < 12; step++) {
          const [from, length] = [below(text.length + 1), below(4) === 0 ? below(40) : below(4)];
          const moved = below(5) === 0 ? text.slice(from, from + length) : "";
          text = text.slice(0, from) + some(4) + text.slice(from + length);
          const place = below(text.length + 1);
          text = text.slice(0, place) + moved + text.slice(place);
          const before = new Set(parsed.documents);
          parsed = parseYaml(text, "f.yaml", parsed);
          kept += parsed.documents.filter((document) => before.has(document)).length;
          assert.deepEqual(facts(parsed), facts(parseYaml(text, "f.yaml")), JSON.stringify(text));
          const objects = parsed.documents.map(({ json }) => json).filter((json) => typeof json === "object");
          assert.equal(new Set(objects).size, objects.length, JSON.stringify(text));
        }
      }
      assert.ok(kept > 0, "nothing was taken over");
    });
  }

  test("keeps documents above the change as they are, and the contents of those below", () => {
    const text = Array.from({ length: 50 }, (_, index) => `n: ${index}\n`).join("---\n");
    const first = parseYaml(text, "f.yaml");
    assert.equal(parseYaml(text, "f.yaml", first), first);
    const second = parseYaml(text.replace("n: 25\n", "n: 25\nm: 1\n"), "f.yaml", first);
    const kept = second.documents.filter((document, index) => document === first.documents[index]);
    const sameContent = second.documents.filter(({ json }, index) => json === first.documents[index]?.json);
    assert.deepEqual([kept.length > 20, sameContent.length, second.documents[49]?.linesBefore], [true, 49, 99]);
    const third = parseYaml(text.replace("n: 25\n", "n: 99\n"), "f.yaml", first);
    assert.ok(third.documents.filter((document, index) => document === first.documents[index]).length > 45);
  });
});
