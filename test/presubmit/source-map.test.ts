// The map of the source, src/README.md: what it names is there, and every folder is named.
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { filesUnder, readText } from "./source-tree.ts";

const files = filesUnder("src");
const folders = [...new Set(files.flatMap((file) => parentsOf(file.slice("src/".length))))].sort();
const spans = [
  ...readText("src/README.md")
    .replace(/^```[\s\S]*?^```/gm, "")
    .matchAll(/`([^`\n]+)`/g),
].map(([, span = ""]) => span);

/** Folders a filter, which `filter/registry.ts` lists. */
const filterFolder = /^filter\/(http|network|listener)\/[^/]+$/;

suite("src/README.md", () => {
  test("files and folders that it names are there", () => {
    const known = [
      ...files,
      ...filesUnder("test"),
      ...filesUnder("config"),
      "docker-compose.yml",
      ...folders.map((folder) => `src/${folder}/`),
    ];
    const named = spans.filter((span) => /^[\w./-]+(\.(ts|mjs|json|yaml|yml|md)|[\w-]\/)$/.test(span));
    assert.ok(named.length > 100, String(named.length));
    assert.deepEqual(
      // Behind the name of its room a file is called by its own.
      named.filter((span) => !known.some((path) => `/${path}`.endsWith(`/${span}`))),
      [],
    );
  });

  test("every folder is named", () => {
    const named = spans.map((span) => `/${span}`);
    assert.deepEqual(
      folders.filter((folder) => !filterFolder.test(folder) && !named.some((span) => span.includes(`/${folder.split("/").at(-1)}/`))),
      [],
    );
  });
});

function parentsOf(file: string): string[] {
  const parts = file.split("/").slice(0, -1);
  return parts.map((_, index) => parts.slice(0, index + 1).join("/"));
}
