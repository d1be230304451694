// A mesh that is loaded again after a change must be translated to what a first load of it gives, whatever was kept from before.
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite, test } from "node:test";
import { fileURLToPath } from "node:url";
import { type LoadedMesh, loadMeshDirectory } from "../../../src/source/mesh/directory/load.ts";
import { translateWithPorts } from "../../../src/source/mesh/translate.ts";
import { formatIssue } from "../../../src/source/yaml-document.ts";

const here = fileURLToPath(new URL(".", import.meta.url));
const changesEach = 10;

/** Numbers in [0, 1), the same on every run. */
function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

/** Gives the documents after the change, or the same text when there is nothing to change. */
type Change = (documents: readonly string[], at: number, random: () => number) => readonly string[];

const edit =
  (pattern: RegExp, by: (found: string, random: () => number) => string): Change =>
  (documents, at, random) => documents.with(at, (documents[at] ?? "").replace(pattern, (found) => by(found, random)));

const changes: readonly Change[] = [
  // A file left empty would count as one that is being written.
  (documents, at) => (documents.length > 1 ? documents.toSpliced(at, 1) : documents),
  (documents, at) => [...documents.toSpliced(at, 1), documents[at] ?? ""],
  (documents, at) => documents.toSpliced(at, 0, "\n# a comment\n"),
  edit(/\b10\.\d+\.\d+\.\d+\b/, (_, random) => `10.77.0.${1 + Math.floor(random() * 200)}`),
  edit(/ready: (true|false)/, (found) => (found.endsWith("true") ? "ready: false" : "ready: true")),
  edit(/\bport: \d+/, (_, random) => `port: ${7000 + Math.floor(random() * 100)}`),
  edit(/tlsMode: istio/, () => "tlsMode: disabled"),
  edit(/mode: (STRICT|PERMISSIVE|DISABLE)/, (found) => (found.endsWith("STRICT") ? "mode: PERMISSIVE" : "mode: STRICT")),
  edit(/\b(region|zone): [\w-]+/, (found) => `${found}x`),
  edit(/(version|cluster|weight|maxConnections|consecutive5xxErrors): \w+/, (found, random) => {
    const [name = ""] = found.split(":");
    return `${name}: ${/^(version|cluster)$/.test(name) ? `v${Math.floor(random() * 9)}` : 1 + Math.floor(random() * 90)}`;
  }),
  edit(/hosts: \["?[^\]"]*"?\]/, () => 'hosts: ["changed.example.com"]'),
  edit(/simple: [A-Z_]+/, (found) => (found.endsWith("RANDOM") ? "simple: ROUND_ROBIN" : "simple: RANDOM")),
];

async function yamlFiles(dir: string): Promise<readonly string[]> {
  const names = await readdir(dir, { recursive: true });
  return names.filter((name) => /\.ya?ml$/.test(name) && !name.endsWith("nodes.yaml")).toSorted();
}

/** A file with one change that shows. */
async function changeSomething(dir: string, files: readonly string[], random: () => number): Promise<readonly [name: string, text: string]> {
  for (let tries = 0; tries < 200; tries++) {
    const name = files[Math.floor(random() * files.length)] ?? assert.fail("no files");
    const text = await readFile(join(dir, name), "utf8");
    const documents = text.split(/^---$/m);
    const changed = changes[Math.floor(random() * changes.length)]?.(documents, Math.floor(random() * documents.length), random).join("---");
    if (changed !== undefined && changed !== text) return [name, changed];
  }
  return assert.fail("nothing to change");
}

function sayAll(loaded: LoadedMesh): unknown {
  const translations = [...loaded.nodes].map(([name, node]) => [name, translateWithPorts(loaded.mesh, node)]);
  return JSON.parse(JSON.stringify({ translations, issues: loaded.issues.map(formatIssue) }));
}

suite("a mesh loaded again", async () => {
  const topics = (await readdir(here, { withFileTypes: true })).filter((entry) => entry.isDirectory() && existsSync(join(here, entry.name, "mesh"))).map(({ name }) => name);
  for (const [index, topic] of topics.entries()) {
    test(`${topic}: is what a first load gives, after each of ${changesEach} changes`, async (t) => {
      const dir = await mkdtemp(join(tmpdir(), "isthmus-reload-"));
      t.after(() => rm(dir, { recursive: true, force: true }));
      await cp(join(here, topic, "mesh"), dir, { recursive: true });
      const random = seeded(index + 1);
      const files = await yamlFiles(dir);
      const originals = new Map(await Promise.all(files.map(async (name) => [name, await readFile(join(dir, name), "utf8")] as const)));
      let loaded = await loadMeshDirectory(dir);
      sayAll(loaded);
      let compared = 0;
      for (let step = 0; step < changesEach; step++) {
        const [name, text] = await changeSomething(dir, files, random);
        const path = join(dir, name);
        await writeFile(path, text);
        loaded = await loadMeshDirectory(dir, { previous: loaded });
        const fresh = await loadMeshDirectory(dir);
        if (fresh.issues.some(({ severity }) => severity === "error")) {
          // What is refused is served as it was before, which a first load cannot do: back to something that both accept.
          await writeFile(path, originals.get(name) ?? "");
          loaded = await loadMeshDirectory(dir, { previous: loaded });
          continue;
        }
        assert.deepEqual(sayAll(loaded), sayAll(fresh), `after change ${step} in ${name}`);
        compared++;
      }
      assert.ok(compared > 2, `only ${compared} of the changes were valid`);
    });
  }
});
