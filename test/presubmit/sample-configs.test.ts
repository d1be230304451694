// Every sample under config/ is what it says: isthmus accepts it as it stands.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { suite, test } from "node:test";
import { repositoryRoot } from "./source-tree.ts";

const samples = [
  ...entries("config").filter((name) => /\.(ya?ml|json)$/.test(name)),
  ...entries("config/mesh").filter((name) => fs.statSync(path.join(repositoryRoot, name)).isDirectory()),
];

suite("sample configurations", () => {
  test("there are samples of both kinds, bootstraps and mesh directories", () => {
    assert.ok(samples.some((name) => /\.(ya?ml|json)$/.test(name)));
    assert.ok(samples.some((name) => name.startsWith("config/mesh/")));
  });

  for (const sample of samples) {
    test(`${sample} passes isthmus check`, () => {
      const result = spawnSync(path.join(repositoryRoot, "scripts", "isthmus"), ["check", sample], {
        cwd: repositoryRoot,
        encoding: "utf8",
        timeout: 30_000,
      });
      assert.equal(result.status, 0, `${result.stdout}${result.stderr}${result.error?.message ?? ""}`);
    });
  }
});

function entries(folder: string): string[] {
  const top = path.join(repositoryRoot, folder);
  return fs.existsSync(top) ? fs.readdirSync(top).map((name) => `${folder}/${name}`) : [];
}
