// Every sample under config/ is what it says: isthmus accepts it as it stands.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { suite, test } from "node:test";
import { filesUnder, readText, repositoryRoot } from "./source-tree.ts";

// config/mesh has mesh directories, config/demo and config/kubernetes what other programs are given.
const bootstraps = filesUnder("config").filter((name) => /\.(ya?ml|json)$/.test(name) && !/^config\/(?:mesh|demo|kubernetes)\//.test(name));
const meshes = [...new Set(filesUnder("config/mesh").map((name) => name.split("/").slice(0, 3).join("/")))];

suite("sample configurations", () => {
  test("there are samples of both kinds, bootstraps and mesh directories", () => {
    assert.ok(bootstraps.length > 0 && meshes.length > 0);
  });

  for (const sample of [...bootstraps, ...meshes]) {
    test(`${sample} passes isthmus check`, () => {
      const folder = fs.mkdtempSync(path.join(os.tmpdir(), "isthmus-sample-"));
      try {
        // What a sample's head says to do first is done first, in a folder of its own.
        for (const command of preparations(sample)) isthmus(folder, command.split(" "));
        isthmus(folder, ["check", path.join(repositoryRoot, sample)]);
      } finally {
        fs.rmSync(folder, { recursive: true });
      }
    });
  }
});

function preparations(sample: string): string[] {
  if (!bootstraps.includes(sample)) return [];
  const head = /^(?:#.*\n)*/.exec(readText(sample))?.[0] ?? "";
  return [...head.matchAll(/^#\s+isthmus (ca .*)$/gm)].map(([, command = ""]) => command);
}

function isthmus(cwd: string, args: readonly string[]): void {
  const result = spawnSync(path.join(repositoryRoot, "scripts", "isthmus"), args, { cwd, encoding: "utf8", timeout: 30_000 });
  assert.equal(result.status, 0, `isthmus ${args.join(" ")}\n${result.stdout}${result.stderr}${result.error?.message ?? ""}`);
}
