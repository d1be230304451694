// The README's commands exist: npm scripts, isthmus commands with their flags, and the files they name.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { suite, test } from "node:test";
import { readText, repositoryRoot } from "./source-tree.ts";

const readme = readText("README.md");
const { scripts } = JSON.parse(readText("package.json")) as { scripts: Record<string, string> };

/** Everything set as code: fenced shell blocks, and spans within lines. */
const code = [
  ...[...readme.matchAll(/^```(?:sh|bash|console)\n([\s\S]*?)^```/gm)].flatMap(([, block = ""]) =>
    block.replaceAll("\\\n", " ").split("\n"),
  ),
  ...[...readme.replace(/^```[\s\S]*?^```/gm, "").matchAll(/`([^`\n]+)`/g)].map(([, span = ""]) => span),
].map((line) =>
  line
    .replace(/\s#\s.*$/, "")
    .replace(/^\$ /, "")
    .trim(),
);

const commands = [
  ...new Map(
    code
      .flatMap((line) => line.split(/\s*(?:&&|;|\|)\s*/))
      .map((line) => /^(?:sudo )?(?:\.?\/?scripts\/|npx )?isthmus ([a-z][a-z-]*(?: [a-z][a-z-]*(?=\s|$))*)(.*)$/.exec(line))
      .filter((match) => match !== null)
      .map(([, name = "", rest = ""]) => [`${name}${rest}`, { name, flags: rest.match(/(?<=\s|\[)--?[a-z][\w-]*/g) ?? [] }]),
  ),
];

suite("README", () => {
  test("npm scripts that it names are in package.json", () => {
    const named = code.flatMap((line) => [...line.matchAll(/\bnpm (?:run )?([a-z][\w:-]*)/g)].map(([, name = ""]) => name));
    const builtIn = new Set(["ci", "install", "run"]);
    assert.deepEqual(
      named.filter((name) => !builtIn.has(name) && !(name in scripts)),
      [],
    );
  });

  test("it shows commands", () => assert.ok(commands.length > 0));

  for (const [line, { name, flags }] of commands) {
    test(`isthmus ${line} is a command with these flags`, () => {
      const help = spawnSync(path.join(repositoryRoot, "scripts", "isthmus"), [...name.split(" "), "--help"], {
        encoding: "utf8",
        timeout: 30_000,
      });
      assert.equal(help.status, 0, help.stderr);
      assert.deepEqual(
        flags.filter((flag) => !new RegExp(`(^|[\\s,])${flag}\\b`, "m").test(help.stdout)),
        [],
        help.stdout,
      );
    });
  }

  test("paths and links that it names are there", () => {
    const links = [...readme.matchAll(/\]\((?!https?:)([^)#]+)[^)]*\)/g)].map(([, target = ""]) => target);
    const paths = code.flatMap((line) => line.match(/(?<=^|\s)(?:config|src|test|scripts)\/[\w./-]*\w/g) ?? []);
    assert.deepEqual(
      [...links, ...paths].filter((target) => !fs.existsSync(path.join(repositoryRoot, target))),
      [],
    );
  });
});
