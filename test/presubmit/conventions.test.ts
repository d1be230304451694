// What every file keeps to, whatever it does: names, opening comment, and the parts of the language left unused.
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { blankStrings, filesUnder, readText, sourceFiles } from "./source-tree.ts";
import type { SourceFile } from "./source-tree.ts";

const source = sourceFiles("src");
const everything = [...source, ...sourceFiles("test"), ...sourceFiles("scripts")];

/** Names that say nothing about what a file holds. */
const emptyNames = /^(util|utils|common|helper|helpers|misc|types)$/;

/** Text that would tie the repository to one person's machine or way of working. */
const foreignText = /\/work\/|\/root\/|\/home\/[a-z]+\/|\bTODO\b|\bFIXME\b|\bXXX\b/;

suite("conventions", () => {
  test("files and folders are named in kebab-case for the one thing they hold", () => {
    const offences = everything.filter(({ path }) => {
      const names = path.replace(/(\.test)?\.ts$/, "").split("/");
      return names.some((name) => !/^[a-z0-9]+(-[a-z0-9]+)*$/.test(name) || emptyNames.test(name));
    });
    assert.deepEqual(paths(offences), []);
  });

  test("every file but a test opens with a comment that says what it is", () => {
    const opening = /^(#!.*\n)?(\/\/ \S|\/\*\*)/;
    assert.deepEqual(paths(everything.filter(({ path, text }) => !path.endsWith(".test.ts") && !opening.test(text))), []);
  });

  for (const [title, pattern] of [
    ["there are no default exports", /^\s*export\s+default\b|\bas default\b/m],
    ["there are no enums", /^\s*(export\s+)?(const\s+)?enum\s+\w/m],
    ["there are no namespaces", /^\s*(export\s+)?namespace\s+\w/m],
    ["nothing is re-exported wholesale", /^\s*export\s+\*\s+from\b/m],
    ["nothing is typed any", /(:|\bas|<|\|)\s*any\b(?!\s*[.(:])/],
    ["no error is swallowed without a word", /catch\s*(\([^)]*\))?\s*\{\s*\}/],
    ["no compiler error is waved through", /@ts-(ignore|nocheck)/],
  ] as const) {
    test(title, () => {
      const offences = everything.filter(({ text, code }) =>
        pattern.test(title.includes("waved") || title.includes("swallowed") ? text : blankStrings(code)),
      );
      assert.deepEqual(paths(offences.filter((file) => !file.path.startsWith("test/presubmit/"))), []);
    });
  }

  test("tests are neither focused nor left for later", () => {
    const focused = /\b(test|it|suite|describe)\.(only|todo)\(|\{\s*(only|todo):\s*true/;
    assert.deepEqual(paths(everything.filter(({ path, code }) => path.endsWith(".test.ts") && focused.test(blankStrings(code)))), []);
  });

  test("every test file lies in a folder that npm test runs", () => {
    const runner = readText("scripts/test.mjs");
    const stages = new Set(
      filesUnder("test")
        .filter((file) => file.endsWith(".test.ts"))
        .map((file) => file.split("/")[1] ?? ""),
    );
    assert.deepEqual(
      [...stages].filter((stage) => !new RegExp(`^  ${stage}: \\{ concurrency`, "m").test(runner)),
      [],
    );
  });

  test("unit tests mirror the source tree", () => {
    const folders = new Set(source.map(({ path }) => path.replace(/^src\//, "").replace(/\/?[^/]*$/, "")));
    const offences = filesUnder("test/unit").filter((file) => {
      const folder = file.replace(/^test\/unit\//, "").replace(/\/?[^/]*$/, "");
      return file.endsWith(".test.ts") && !folders.has(folder);
    });
    assert.deepEqual(offences, []);
  });

  test("no file speaks of one machine or of work left undone", () => {
    const tracked = ["src", "test", "scripts", "config", ".ci"].flatMap(filesUnder).concat("README.md", "package.json");
    const offences = tracked
      .filter((file) => !file.startsWith("test/presubmit/") && /\.(ts|mjs|md|yaml|json)$|\/run$/.test(file))
      .flatMap((file) => {
        const hit = foreignText.exec(readText(file));
        return hit ? [`${file}: ${hit[0]}`] : [];
      });
    assert.deepEqual(offences, []);
  });
});

function paths(files: readonly SourceFile[]): string[] {
  return files.map((file) => file.path);
}
