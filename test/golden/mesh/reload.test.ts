// A mesh that is loaded again after a change must be translated to what a first load of it gives, whatever was kept from before.
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite, test } from "node:test";
import { fileURLToPath } from "node:url";
import { isDeepStrictEqual } from "node:util";
import { decodeResources } from "../../../src/envoy/bootstrap-decoder.ts";
import { DecodeMemory } from "../../../src/envoy/decode/remembered.ts";
import { extensions } from "../../../src/envoy/extensions.ts";
import { filterSupport } from "../../../src/filter/registry.ts";
import { diffSnapshots } from "../../../src/snapshot/diff.ts";
import { buildSnapshot, type Snapshot } from "../../../src/snapshot/snapshot.ts";
import { type LoadedMesh, loadMeshDirectory } from "../../../src/source/mesh/directory/load.ts";
import type { Translation } from "../../../src/source/mesh/envoy-json.ts";
import { translateWithPorts } from "../../../src/source/mesh/translate.ts";
import { formatIssue } from "../../../src/source/yaml-document.ts";

const here = fileURLToPath(new URL(".", import.meta.url));
const changesEach = 14;

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

/** New texts of files; undefined removes the file. */
type FileTexts = ReadonlyMap<string, string | undefined>;

const marker = /^---$/m;

interface Places {
  /** The file that a document is taken from. */
  readonly name: string;
  readonly documents: readonly string[];
  readonly at: number;
  /** Another file of the same folder, or a new one. */
  readonly other: string;
  readonly otherText: string;
}

/** What concerns more than one file, or whether a file can be read at all. */
const fileChanges: readonly ((places: Places) => FileTexts)[] = [
  // A copy is refused for as long as it is there.
  ({ other, otherText, documents, at }) => new Map([[other, `${otherText}---${documents[at]}`]]),
  ({ name, documents, at }) => new Map([[name, [...documents, documents[at]].join("---")]]),
  ({ name, documents, at, other, otherText }) =>
    new Map([
      [name, documents.toSpliced(at, 1).join("---")],
      [other, `${otherText}---${documents[at]}`],
    ]),
  ({ name, documents, at }) => new Map([[name, documents.toSpliced(at, 0, "\nbroken: [\n").join("---")]]),
  ({ name, documents, at }) => new Map([[name, documents.with(at, (documents[at] ?? "").replace(/^spec:.*$/m, "spec: 5")).join("---")]]),
  ({ name }) => new Map([[name, undefined]]),
];

function changeFiles(texts: ReadonlyMap<string, string>, random: () => number): FileTexts {
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] ?? assert.fail("nothing to pick");
  const names = [...texts.keys()].filter((each) => each.includes("/"));
  if (names.length < 2) return new Map();
  const name = pick(names);
  const documents = (texts.get(name) ?? "").split(marker);
  const folder = name.slice(0, name.lastIndexOf("/"));
  const other = pick([`${folder}/added.yaml`, ...[...texts.keys()].filter((each) => each !== name && each.startsWith(folder))]);
  const at = Math.floor(random() * documents.length);
  return pick(fileChanges)({ name, documents, at, other, otherText: texts.get(other) ?? "" });
}

function changeDocument(texts: ReadonlyMap<string, string>, random: () => number): FileTexts {
  const name = [...texts.keys()][Math.floor(random() * texts.size)] ?? assert.fail("no files");
  const documents = (texts.get(name) ?? "").split(marker);
  const change = changes[Math.floor(random() * changes.length)] ?? assert.fail("no changes");
  return new Map([[name, change(documents, Math.floor(random() * documents.length), random).join("---")]]);
}

/** A change that shows. */
function changeSomething(texts: ReadonlyMap<string, string>, random: () => number): FileTexts {
  for (let tries = 0; tries < 200; tries++) {
    const changed = random() < 0.3 ? changeFiles(texts, random) : changeDocument(texts, random);
    // A file left empty would count as one that is being written.
    if ([...changed].some(([name, text]) => text !== texts.get(name)) && ![...changed.values()].includes("")) return changed;
  }
  return assert.fail("nothing to change");
}

/** What a proxy remembers of the loads before. */
interface ProxyMemory {
  readonly decoded: DecodeMemory;
  snapshot?: Snapshot;
}

type Memories = Map<string, ProxyMemory>;

function sayAll(loaded: LoadedMesh, memories: Memories = new Map()): unknown {
  const nodes = [...loaded.nodes].map(([name, node]) => {
    const { translation, servicePorts } = translateWithPorts(loaded.mesh, node);
    const memory = memories.get(name) ?? { decoded: new DecodeMemory() };
    memories.set(name, memory);
    return [name, translation, servicePorts, decodeAll(translation, memory)];
  });
  return JSON.parse(JSON.stringify({ nodes, issues: loaded.issues.map(formatIssue) }));
}

function decodeAll({ cds, eds, lds, rds }: Translation, memory: ProxyMemory): unknown {
  const json = { clusters: cds.resources, endpoints: eds.resources, listeners: lds.resources, routes: rds.resources };
  const { resources, issues, rejected } = decodeResources(json, { extensions, memory: memory.decoded });
  const previous = memory.snapshot;
  const built = buildSnapshot(resources, { ...filterSupport, rejected, ...(previous ? { previous } : {}) });
  memory.snapshot = built.snapshot;
  const kinds = ["listeners", "clusters", "routes", "endpoints"] as const;
  if (previous !== undefined) {
    const update = diffSnapshots(previous, built.snapshot);
    for (const kind of kinds) checkUpdate(kind, previous[kind], built.snapshot[kind], update[kind]);
  }
  const values = kinds.map((kind) => built.snapshot[kind].list.map(({ value }) => value));
  return { issues, rejected, values, checked: built.issues.map(({ message }) => message).toSorted() };
}

function checkUpdate(
  kind: string,
  before: Snapshot["clusters" | "listeners" | "routes" | "endpoints"],
  next: Snapshot["clusters" | "listeners" | "routes" | "endpoints"],
  update: { readonly set: readonly { readonly name: string }[]; readonly removed: readonly string[]; readonly patched?: readonly { readonly name: string }[] },
): void {
  const sent = new Set([...update.set, ...(update.patched ?? [])].map(({ name }) => name));
  assert.deepEqual([...update.removed].toSorted(), [...before.keys()].filter((name) => !next.has(name)).toSorted(), kind);
  for (const { name, value } of next.list)
    assert.equal(sent.has(name), !isDeepStrictEqual(before.get(name)?.value, value), `${kind} ${name} is sent when it is another`);
}

/** The same for a topic whatever other topics there are. */
const seedOf = (topic: string): number => [...Buffer.from(topic)].reduce((sum, byte) => (sum * 31 + byte) % 65_536, 7);

suite("a mesh loaded again", async () => {
  const topics = (await readdir(here, { withFileTypes: true })).filter((entry) => entry.isDirectory() && existsSync(join(here, entry.name, "mesh"))).map(({ name }) => name);
  for (const topic of topics) {
    test(`${topic}: is what a first load gives, after each of ${changesEach} changes`, async (t) => {
      const dir = await mkdtemp(join(tmpdir(), "isthmus-reload-"));
      t.after(() => rm(dir, { recursive: true, force: true }));
      await cp(join(here, topic, "mesh"), dir, { recursive: true });
      const random = seeded(seedOf(topic));
      const files = await yamlFiles(dir);
      const originals = new Map(await Promise.all(files.map(async (name) => [name, await readFile(join(dir, name), "utf8")] as const)));
      const texts = new Map(originals);
      const write = async (changed: FileTexts): Promise<void> => {
        for (const [name, text] of changed) {
          if (text === undefined) texts.delete(name);
          else texts.set(name, text);
          await (text === undefined ? rm(join(dir, name), { force: true }) : writeFile(join(dir, name), text));
        }
      };
      let loaded = await loadMeshDirectory(dir);
      const memories: Memories = new Map();
      sayAll(loaded, memories);
      let compared = 0;
      let refused: FileTexts = new Map();
      for (let step = 0; step < changesEach; step++) {
        const changed = refused.size > 0 && random() < 0.7 ? refused : changeSomething(texts, random);
        refused = new Map();
        await write(changed);
        loaded = await loadMeshDirectory(dir, { previous: loaded });
        const fresh = await loadMeshDirectory(dir);
        if (fresh.issues.some(({ severity, message }) => severity === "error" && !message.startsWith("repeats "))) {
          // What is refused is served as it was before, which a first load cannot do: back to something that both accept.
          refused = new Map([...texts.keys(), ...originals.keys()].map((name) => [name, originals.get(name)]));
          continue;
        }
        assert.deepEqual(sayAll(loaded, memories), sayAll(fresh), `after change ${step} in ${[...changed.keys()].join(", ")}`);
        compared++;
      }
      assert.ok(compared > 2, `only ${compared} of the changes were valid`);
    });
  }
});
