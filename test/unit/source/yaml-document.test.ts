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
