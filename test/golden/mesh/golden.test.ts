// Golden pairs: each folder here is a mesh directory and, for every node in its nodes.yaml, the translation to expect.
// The expectations of the redirecting nodes were compared with Istio 1.29 when they were written. UPDATE_GOLDEN=1 rewrites them.
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { suite, test } from "node:test";
import { fileURLToPath } from "node:url";
import { loadMeshDirectory } from "../../../src/source/mesh/directory/load.ts";
import { translate } from "../../../src/source/mesh/translate.ts";
import { differences } from "./json-difference.ts";

const here = fileURLToPath(new URL(".", import.meta.url));
const update = process.env["UPDATE_GOLDEN"] === "1";

interface Topic {
  readonly name: string;
  readonly mesh: string;
  /** Folder of the expectations. */
  readonly expected: string;
}

const topics: readonly Topic[] = [
  ...readdirSync(here, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && existsSync(join(here, entry.name, "mesh")))
    .map((entry) => ({ name: entry.name, mesh: join(here, entry.name, "mesh"), expected: join(here, entry.name) })),
  {
    name: "interception-none (the sample mesh)",
    mesh: join(here, "../../../config/mesh/crossing"),
    expected: join(here, "interception-none"),
  },
];

suite("mesh translation", () => {
  for (const topic of topics) {
    test(`${topic.name}: every node is served what is written down for it`, async () => {
      const { mesh, nodes, issues } = await loadMeshDirectory(topic.mesh);
      assert.deepEqual(
        issues.filter((issue) => issue.severity === "error"),
        [],
      );
      assert.ok(nodes.size > 0);
      for (const [name, node] of nodes) {
        const file = join(topic.expected, `${name}.out.json`);
        const actual: unknown = JSON.parse(JSON.stringify(translate(mesh, node)));
        if (update) writeFileSync(file, `${layOut(actual)}\n`);
        assert.deepEqual(differences(actual, JSON.parse(readFileSync(file, "utf8"))), [], name);
      }
    });
  }

  test("is the same, byte for byte, each time", async () => {
    for (const topic of topics) {
      const first = await loadMeshDirectory(topic.mesh);
      const second = await loadMeshDirectory(topic.mesh);
      for (const [name, node] of first.nodes) {
        assert.equal(JSON.stringify(translate(first.mesh, node)), JSON.stringify(translate(second.mesh, node)), name);
      }
    }
  });
});

/** JSON with short values on one line, so that a review sees chains and clusters rather than braces, and keys in one order. */
function layOut(value: unknown, indent = 0): string {
  const line = JSON.stringify(value, (_key, inner: unknown) => inOrder(inner));
  if (line.length + indent <= 150 || typeof value !== "object" || value === null) return line;
  const pad = " ".repeat(indent + 1);
  const [open, close] = Array.isArray(value) ? ["[", "]"] : ["{", "}"];
  const items: readonly string[] = Array.isArray(value)
    ? value.map((item: unknown) => layOut(item, indent + 1))
    : Object.entries(inOrder(value)).map(([key, item]) => `${JSON.stringify(key)}: ${layOut(item, indent + 1)}`);
  return `${open}\n${items.map((item) => pad + item).join(",\n")}\n${" ".repeat(indent)}${close}`;
}

const first = ["name", "@type"];

/** An object with what it is called in front and the rest by the alphabet, however the translation came to make it. */
function inOrder<T>(value: T): T {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  const rank = (key: string): number => (first.includes(key) ? first.indexOf(key) : first.length);
  const entries = Object.entries(value).toSorted(([a], [b]) => rank(a) - rank(b) || (a < b ? -1 : 1));
  return Object.fromEntries(entries) as T;
}
