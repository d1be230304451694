// Loads a mesh directory: meshconfig.yaml, networks.yaml, nodes.yaml, k8s/CLUSTER.yaml or k8s/CLUSTER/*, istio/*.yaml.
// A bad object is refused by itself; where an earlier load of it was good, that one stays. It does not watch.
import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Node } from "../../../envoy/bootstrap.ts";
import { locate, locateIssue, type LocatedIssue, type ParsedFile, parseYaml, type YamlDocument } from "../../yaml-document.ts";
import { type MeshConfig, readMeshConfig } from "../mesh-config.ts";
import { type MeshNetworks, readMeshNetworks } from "../mesh-networks.ts";
import { emptyMeshView, type MeshView } from "../mesh-view.ts";
import { readNodes } from "../node.ts";
import { type FieldPath, Fields, IssueSink, isMapping } from "../object/fields.ts";
import { groupKind, objectKey, readMeta } from "../object/mesh-object.ts";
import { assembleMesh, type LoadedObject } from "./assemble.ts";
import { checkLocality } from "./check-locality.ts";
import { checkReferences } from "./check-references.ts";
import { readerFor } from "./kinds.ts";

/** A loaded directory. */
export interface LoadedMesh {
  readonly mesh: MeshView;
  /** Nodes named in `nodes.yaml`, by name. */
  readonly nodes: ReadonlyMap<string, Node>;
  /** Everything wrong or without effect, in the order of files and lines. */
  readonly issues: readonly LocatedIssue[];
  /** Every accepted object, for the next load. */
  readonly objects: readonly LoadedObject[];
}

/** What a load may lean on. */
export interface LoadMeshDeps {
  /** The load before this one: objects that are refused now keep serving as they were then. */
  readonly previous?: LoadedMesh;
}

// A mesh of thousands of services stays far below; what is above is no configuration.
const maxFileBytes = 64 * 1024 * 1024;

/** Reads the directory; whatever is wrong is in `issues`, never thrown. */
export async function loadMeshDirectory(dir: string, deps: LoadMeshDeps = {}): Promise<LoadedMesh> {
  const loader = new Loader(dir, deps.previous);
  await loader.run();
  return loader.result();
}

class Loader {
  readonly #dir: string;
  readonly #previous: LoadedMesh | undefined;
  readonly #issues: LocatedIssue[] = [];
  readonly #objects = new Map<string, LoadedObject>();
  #config: MeshConfig;
  #networks: MeshNetworks;
  #nodes: ReadonlyMap<string, Node>;
  #clusters: readonly string[] = [];

  constructor(dir: string, previous: LoadedMesh | undefined) {
    this.#dir = dir;
    this.#previous = previous;
    this.#config = previous?.mesh.config ?? emptyMeshView.config;
    this.#networks = previous?.mesh.networks ?? emptyMeshView.networks;
    this.#nodes = previous?.nodes ?? new Map();
  }

  async run(): Promise<void> {
    const entries = await this.#list("");
    if (entries === undefined) {
      this.#problem(this.#dir, "cannot be read as a directory, expected a mesh directory with meshconfig.yaml, k8s/ and istio/");
      return;
    }
    this.#config = await this.#single("meshconfig.yaml", entries, readMeshConfig, this.#config, emptyMeshView.config);
    this.#networks = await this.#single("networks.yaml", entries, readMeshNetworks, this.#networks, emptyMeshView.networks);
    this.#nodes = await this.#single("nodes.yaml", entries, readNodes, this.#nodes, new Map());
    const clusters = new Map<string, string[]>();
    for (const entry of (await this.#list("k8s")) ?? []) {
      const path = `k8s/${entry}`;
      const inner = await this.#list(path);
      const files = inner === undefined ? [path] : inner.map((name) => `${path}/${name}`);
      const name = inner === undefined ? withoutExtension(entry) : entry;
      const known = clusters.get(name);
      const yaml = files.filter(isConfigFile);
      if (inner === undefined && yaml.length === 0) continue;
      if (known === undefined) clusters.set(name, yaml);
      else known.push(...yaml);
    }
    this.#clusters = [...clusters.keys()];
    for (const [cluster, files] of clusters) for (const file of files) await this.#objectsOf(file, "k8s", cluster);
    for (const entry of (await this.#list("istio")) ?? []) if (isConfigFile(entry)) await this.#objectsOf(`istio/${entry}`, "istio", "");
  }

  result(): LoadedMesh {
    const objects = [...this.#objects.values()];
    const mesh = assembleMesh(this.#config, this.#networks, this.#clusters, objects);
    const issues = [
      ...this.#issues,
      ...checkReferences(mesh, join(this.#dir, "networks.yaml")),
      ...checkLocality(mesh, join(this.#dir, "meshconfig.yaml")),
    ];
    return { mesh, nodes: this.#nodes, issues, objects };
  }

  async #objectsOf(path: string, place: "k8s" | "istio", cluster: string): Promise<void> {
    const file = join(this.#dir, path);
    const parsed = await this.#parse(path);
    if (parsed === undefined || isBroken(parsed)) this.#keepFile(file);
    for (const document of parsed?.documents ?? []) this.#readObject(document, document.json, [], place, cluster);
  }

  #readObject(document: YamlDocument, value: unknown, at: FieldPath, place: "k8s" | "istio", cluster: string): void {
    const identity = groupKind(value);
    const source = { file: document.file, ...locate(document, at) };
    if (identity === undefined || !isMapping(value)) {
      this.#issues.push({ severity: "error", ...source, path: at, message: "is no object, expected apiVersion and kind" });
      return;
    }
    if (identity.kind === "List" && Array.isArray(value["items"])) {
      value["items"].forEach((item: unknown, index) => this.#readObject(document, item, [...at, "items", index], place, cluster));
      return;
    }
    const verdict = readerFor(place, identity.apiVersion, identity.kind);
    if (verdict.kind !== "read") {
      this.#issues.push({ severity: verdict.kind === "refused" ? "error" : "warning", ...source, path: at, message: verdict.message });
      return;
    }
    const sink = new IssueSink();
    const root = new Fields(value, at, sink);
    root.ignore("apiVersion", "kind", "status");
    const meta = readMeta(root, identity.kind, source);
    const known = verdict.read(root, meta);
    const key = `${cluster}/${objectKey(meta)}`;
    const earlier = this.#objects.get(key);
    if (earlier !== undefined && !earlier.kept) {
      const { source: first } = earlier.known.object.meta;
      sink.error([...at, "metadata", "name"], `repeats ${identity.kind} ${meta.namespace}/${meta.name} of ${first.file}:${first.line}`);
    }
    this.#issues.push(...sink.issues.map((issue) => locateIssue(document, issue)));
    if (!sink.failed) this.#objects.set(key, { key, cluster, known, kept: false });
    else if (earlier === undefined) this.#keep((object) => object.key === key);
  }

  /** Takes over what an earlier load had, where this one has nothing better. */
  #keep(wanted: (object: LoadedObject) => boolean): void {
    for (const object of this.#previous?.objects ?? []) {
      if (wanted(object) && !this.#objects.has(object.key)) this.#objects.set(object.key, { ...object, kept: true });
    }
  }

  #keepFile(file: string): void {
    this.#keep((object) => object.known.object.meta.source.file === file);
  }

  async #single<T>(path: string, entries: readonly string[], read: (root: Fields) => T, previous: T, absent: T): Promise<T> {
    if (!entries.includes(path)) return absent;
    const parsed = await this.#parse(path);
    if (parsed === undefined || isBroken(parsed)) return previous;
    const [document] = parsed.documents;
    if (document === undefined) return absent;
    if (!isMapping(document.json)) {
      this.#issues.push(locateIssue(document, { severity: "error", path: [], message: "is no mapping" }));
      return previous;
    }
    const sink = new IssueSink();
    const value = read(new Fields(document.json, [], sink));
    this.#issues.push(...sink.issues.map((issue) => locateIssue(document, issue)));
    return sink.failed ? previous : value;
  }

  async #parse(path: string): Promise<ParsedFile | undefined> {
    const file = join(this.#dir, path);
    try {
      if ((await stat(file)).size > maxFileBytes) {
        this.#problem(file, `is larger than ${maxFileBytes} bytes`);
        return undefined;
      }
      const parsed = parseYaml(await readFile(file, "utf8"), file);
      this.#issues.push(...parsed.issues);
      return parsed;
    } catch (cause) {
      this.#problem(file, `cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`);
      return undefined;
    }
  }

  /** Entries of a directory, sorted, or undefined when it is none. Hidden files (editors' and ConfigMaps' own) are skipped. */
  async #list(path: string): Promise<readonly string[] | undefined> {
    try {
      return (await readdir(join(this.#dir, path))).filter((name) => !name.startsWith(".")).toSorted();
    } catch {
      return undefined;
    }
  }

  #problem(file: string, message: string): void {
    this.#issues.push({ severity: "error", file, line: 1, column: 1, path: [], message });
  }
}

const isBroken = (parsed: ParsedFile): boolean => parsed.issues.some((issue) => issue.severity === "error");
const isConfigFile = (name: string): boolean => /\.(ya?ml|json)$/.test(name);
const withoutExtension = (name: string): string => name.replace(/\.(ya?ml|json)$/, "");
