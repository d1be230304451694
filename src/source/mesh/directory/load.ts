// Loads a mesh directory: meshconfig.yaml, networks.yaml, nodes.yaml, k8s/CLUSTER.yaml or k8s/CLUSTER/*, istio/*.yaml.
// A bad object is refused by itself; where an earlier load of it was good, that one stays. It does not watch.
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import type { Node } from "../../../envoy/bootstrap.ts";
import type { Issue } from "../../../error.ts";
import { readAutoAllocate } from "../auto-allocate.ts";
import { locateIssue, type LocatedIssue, type ParsedFile, type YamlDocument } from "../../yaml-document.ts";
import { type MeshConfig, readMeshConfig } from "../mesh-config.ts";
import { type MeshNetworks, readMeshNetworks } from "../mesh-networks.ts";
import { emptyMeshView, type MeshView } from "../mesh-view.ts";
import { readNodes } from "../node.ts";
import { type FieldPath, Fields, IssueSink, isMapping } from "../object/fields.ts";
import { Kept } from "../object/kept.ts";
import type { ObjectMeta } from "../object/mesh-object.ts";
import { describeProxy } from "../proxy.ts";
import { assembleMesh, type LoadedObject } from "./assemble.ts";
import { checkEntries } from "./check-entries.ts";
import { checkDelegates } from "./check-delegates.ts";
import { checkCredentials, checkServers, type ObjectIssue } from "./check-gateways.ts";
import { checkLocality } from "./check-locality.ts";
import { checkPeerAuthentication } from "./check-peer-authentication.ts";
import { checkReferences } from "./check-references.ts";
import { checkScoping } from "./check-scoping.ts";
import { MeshFiles } from "./files.ts";
import { DocumentReader } from "./reading.ts";

/** A loaded directory. */
export interface LoadedMesh {
  readonly mesh: MeshView;
  /** Nodes named in `nodes.yaml`, by name. */
  readonly nodes: ReadonlyMap<string, Node>;
  /** Everything wrong or without effect, in the order of files and lines. */
  readonly issues: readonly LocatedIssue[];
  /** A file was being written, and what it said before was taken: another load in a moment says more. */
  readonly unfinished: boolean;
  /** Errors about what a gateway misses and what may still come: all else is served without it. */
  readonly missing: readonly LocatedIssue[];
  /** Every accepted object, for the next load. */
  readonly objects: readonly LoadedObject[];
  /** What the next load need not read again. */
  readonly memory: LoadMemory;
}

/** Files and documents as they were last read. */
export interface LoadMemory {
  readonly files: MeshFiles;
  readonly reader: DocumentReader;
  /** What meshconfig.yaml and its like said, by their content. */
  readonly singles: WeakMap<object, SingleFile>;
}

interface SingleFile {
  readonly value: unknown;
  readonly issues: readonly Issue[];
  readonly failed: boolean;
}

const noVariables: NonNullable<LoadMeshDeps["variables"]> = {};
const withVariables = new Kept<MeshConfig, { readonly config: MeshConfig; readonly issues: readonly Issue[] }>();

/** What a load may lean on. */
export interface LoadMeshDeps {
  /** The load before this one: objects that are refused now keep serving as they were then. */
  readonly previous?: LoadedMesh;
  /** Variables of the process that stand above the mesh's own `proxyMetadata` (auto-allocate.ts). */
  readonly variables?: Readonly<Record<string, string | undefined>>;
}

/** Reads the directory; whatever is wrong is in `issues`, never thrown. */
export async function loadMeshDirectory(dir: string, deps: LoadMeshDeps = {}): Promise<LoadedMesh> {
  const memory = deps.previous?.memory ?? { files: new MeshFiles(), reader: new DocumentReader(), singles: new WeakMap() };
  const loader = new Loader(dir, deps, memory);
  await loader.run();
  return loader.result();
}

class Loader {
  readonly #dir: string;
  readonly #previous: LoadedMesh | undefined;
  readonly #memory: LoadMemory;
  readonly #variables: Readonly<Record<string, string | undefined>>;
  readonly #issues: LocatedIssue[] = [];
  readonly #objects = new Map<string, LoadedObject>();
  #unfinished = false;
  /** Where each Gateway of this load stands, for issues that only the whole mesh shows. */
  readonly #places = new Map<ObjectMeta, { readonly document: YamlDocument; readonly at: FieldPath }>();
  #config: MeshConfig;
  #networks: MeshNetworks;
  #nodes: ReadonlyMap<string, Node>;
  #clusters: readonly string[] = [];

  constructor(dir: string, { previous, variables = noVariables }: LoadMeshDeps, memory: LoadMemory) {
    this.#dir = dir;
    this.#previous = previous;
    this.#variables = variables;
    this.#memory = memory;
    memory.files.begin();
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
    const read = this.#config;
    const { config, issues } = withVariables.get(read, [this.#variables], () => {
      const { settings, issues: found } = readAutoAllocate(this.#variables, read.autoAllocate);
      return { config: { ...read, autoAllocate: settings }, issues: found };
    });
    this.#config = config;
    this.#issues.push(...issues.map((issue) => ({ ...issue, file: "environment", line: 1, column: 1 })));
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
    const mesh = assembleMesh(this.#config, this.#networks, this.#clusters, objects, this.#previous?.mesh);
    const issues = [
      ...this.#issues,
      ...checkReferences(mesh, join(this.#dir, "networks.yaml")),
      ...checkLocality(mesh, join(this.#dir, "meshconfig.yaml")),
      ...checkScoping(mesh, objects),
      ...checkEntries(mesh, join(this.#dir, "meshconfig.yaml")),
      ...checkPeerAuthentication(mesh),
      ...checkDelegates(objects),
      ...checkServers(mesh).map((issue) => this.#locateObject(issue)),
    ];
    const missing = checkCredentials(mesh, gatewaysOf(this.#nodes)).map((issue) => this.#locateObject(issue));
    return { mesh, nodes: this.#nodes, issues, unfinished: this.#unfinished, missing, objects, memory: this.#memory };
  }

  /** An object kept from an earlier load is known by its start alone. */
  #locateObject({ meta, severity, path, message }: ObjectIssue): LocatedIssue {
    const place = this.#places.get(meta);
    if (place === undefined) return { severity, ...meta.source, path, message };
    return locateIssue(place.document, { severity, path: [...place.at, ...path], message });
  }

  async #objectsOf(path: string, place: "k8s" | "istio", cluster: string): Promise<void> {
    const parsed = await this.#parse(path);
    if (parsed === undefined || isBroken(parsed)) this.#keepFile(join(this.#dir, path));
    for (const document of parsed?.documents ?? []) {
      const { objects, issues } = this.#memory.reader.read(document, { place, cluster });
      for (const issue of issues) this.#issues.push(locateIssue(document, issue));
      for (const { object, at, failed } of objects) {
        const { meta } = object.known.object;
        if (meta.kind === "Gateway") this.#places.set(meta, { document, at });
        const earlier = this.#objects.get(object.key);
        const repeats = earlier !== undefined && !earlier.kept;
        if (repeats) {
          const { source: first } = earlier.known.object.meta;
          const message = `repeats ${meta.kind} ${meta.namespace}/${meta.name} of ${first.file}:${first.line}`;
          this.#issues.push(locateIssue(document, { severity: "error", path: [...at, "metadata", "name"], message }));
        }
        if (!failed && !repeats) this.#objects.set(object.key, object);
        else if (earlier === undefined) this.#keep((kept) => kept.key === object.key);
      }
    }
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
    let single = this.#memory.singles.get(document.json);
    if (single === undefined) {
      const sink = new IssueSink();
      const value = read(new Fields(document.json, [], sink));
      single = { value, issues: sink.issues, failed: sink.failed };
      this.#memory.singles.set(document.json, single);
    }
    this.#issues.push(...single.issues.map((issue) => locateIssue(document, issue)));
    return single.failed ? previous : (single.value as T);
  }

  async #parse(path: string): Promise<ParsedFile | undefined> {
    const file = join(this.#dir, path);
    const parsed = await this.#memory.files.read(file);
    if ("unfinished" in parsed) {
      this.#unfinished = true;
      return undefined;
    }
    if ("problem" in parsed) {
      this.#problem(file, parsed.problem);
      return undefined;
    }
    this.#issues.push(...parsed.issues);
    return parsed;
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

/** The gateway proxies among the nodes. */
function gatewaysOf(nodes: ReadonlyMap<string, Node>): Parameters<typeof checkCredentials>[1] {
  return [...nodes.values()].map(describeProxy).filter((proxy) => proxy.type === "router");
}

const isBroken = (parsed: ParsedFile): boolean => parsed.issues.some((issue) => issue.severity === "error");
const isConfigFile = (name: string): boolean => /\.(ya?ml|json)$/.test(name);
const withoutExtension = (name: string): string => name.replace(/\.(ya?ml|json)$/, "");
