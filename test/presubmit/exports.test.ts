// What src/ exports is for somebody: another file imports it, or it is a type in the signature of something that is imported.
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { type SourceFile, sourceFiles } from "./source-tree.ts";

const everything = ["src", "test", "scripts", "config"].flatMap(sourceFiles);
const source = everything.filter(({ path }) => path.startsWith("src/"));

/** Values that only tests take, because the recorded tests compare with Istio's bytes and the product has settings of its own. */
const forTests: ReadonlySet<string> = new Set([
  "src/dns/answer.ts istioAnswerSettings",
  "src/dns/forward/settings.ts istioForwardSettings",
]);

/** Files that no other file imports: the program's start, and what the published package exports. */
const entries = /^src\/(main\.ts|filter\/http\/script\/filter-api\.ts)$/;

/** Who imports what: `FILE NAME` to the files that do. */
const importers = new Map<string, Set<string>>();
for (const { path, imports } of everything) {
  for (const { target, names } of imports) {
    const file = target === "isthmus/filter-api" ? "src/filter/http/script/filter-api.ts" : target;
    for (const name of names) {
      const key = `${file} ${name}`;
      importers.set(key, (importers.get(key) ?? new Set()).add(path));
    }
  }
}

interface Export {
  readonly key: string;
  readonly file: SourceFile;
  readonly name: string;
  readonly isType: boolean;
  readonly importedBy: readonly string[];
}

const exported: readonly Export[] = source.flatMap((file) =>
  exportsOf(file).map(({ name, isType }) => {
    const key = `${file.path} ${name}`;
    return { key, file, name, isType, importedBy: [...(importers.get(key) ?? [])] };
  }),
);

suite("exports", () => {
  test("the tree is read", () => {
    assert.ok(exported.length > 1_000, String(exported.length));
    assert.ok(exported.some(({ key, importedBy }) => key === "src/error.ts ProxyError" && importedBy.length > 10));
  });

  test("every value that src/ exports is imported by another file", () => {
    const offences = exported.filter(({ file, isType, importedBy }) => !isType && importedBy.length === 0 && !entries.test(file.path));
    assert.deepEqual(keys(offences), []);
  });

  test("every type that src/ exports is imported, or part of something that is exported", () => {
    const offences = exported.filter(({ file, name, isType, importedBy }) => isType && importedBy.length === 0 && !isPart(file, name));
    assert.deepEqual(keys(offences), []);
  });

  test("nothing in src/ is there for tests alone", () => {
    const offences = exported.filter(({ key, file, name, isType, importedBy }) => {
      const byTests = importedBy.length > 0 && importedBy.every((path) => path.startsWith("test/"));
      return byTests && !isType && !forTests.has(key) && !usedWithin(file, name);
    });
    assert.deepEqual(keys(offences), []);
  });

  test("every file of src/ is imported or started by another, and not by tests alone", () => {
    const product = everything.filter(({ path }) => !path.startsWith("test/") || path.startsWith("test/bench/"));
    const targets = new Set(product.flatMap(({ imports }) => imports.map(({ target }) => target)));
    assert.deepEqual(
      source.map(({ path }) => path).filter((path) => !targets.has(path) && !entries.test(path)),
      [],
    );
  });
});

function keys(offences: readonly Export[]): string[] {
  return offences.map(({ key }) => key);
}

function exportsOf({ code }: SourceFile): { name: string; isType: boolean }[] {
  const declared = /^export\s+(?:abstract\s+)?(?:async\s+)?(function\*?|class|const|let|interface|type)\s+([A-Za-z_$][\w$]*)/gm;
  const listed = /^export\s+(type\s+)?\{([^}]*)\}/gm;
  return [
    ...[...code.matchAll(declared)].map(([, kind = "", name = ""]) => ({ name, isType: kind === "interface" || kind === "type" })),
    ...[...code.matchAll(listed)].flatMap(([, allTypes, list = ""]) =>
      list
        .split(",")
        .map((part) => part.trim())
        .filter((part) => part !== "")
        .map((part) => ({
          name: part.split(/\s+/).at(-1) ?? "",
          isType: allTypes !== undefined || part.startsWith("type "),
        })),
    ),
  ];
}

function usedWithin({ code }: SourceFile, name: string): boolean {
  return code.split(word(name)).length > 2;
}

/** Whether another exported declaration says the name, where those who import that see it: not in the body of a function. */
function isPart({ code }: SourceFile, name: string): boolean {
  return code
    .split(/^(?=[a-z@])/m)
    .filter((declaration) => declaration.startsWith("export ") && !new RegExp(`^export (interface|type) ${name}\\b`).test(declaration))
    .some((declaration) => word(name).test(visible(declaration)));
}

// The formatter puts the line on which a body begins at the margin.
function visible(declaration: string): string {
  if (!/^export (async )?function/.test(declaration)) return declaration;
  return /^[\s\S]*^\S[^\n]*\{$/m.exec(declaration)?.[0] ?? declaration;
}

const word = (name: string): RegExp => new RegExp(`(?<![\\w$])${name.replaceAll("$", "\\$")}(?![\\w$])`);
