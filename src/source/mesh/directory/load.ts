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
import { checkCredentials, checkServers } from "./check-gateways.ts";
import { checkMesh } from "./check-mesh.ts";
import { type ClusterFile, type ClusterObjects, gatherObjects } from "./cluster-objects.ts";
import { type FileObjects, isBroken, readFileObjects } from "./file-objects.ts";
import { MeshFiles } from "./files.ts";
import type { ObjectIssue } from "./object-issue.ts";
import { type DocumentPlace, DocumentReader } from "./reading.ts";

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
  /** Every accepted object. */
  readonly objects: readonly LoadedObject[];
  /** By cluster, Istio's under the empty name: for the next load. */
  readonly objectsOf: ReadonlyMap<string, readonly LoadedObject[]>;
  /** What the next load need not read again. */
  readonly memory: LoadMemory;
}

/** Files and documents as they were last read. */
export interface LoadMemory {
  readonly files: MeshFiles;
  readonly reader: DocumentReader;
  /** What meshconfig.yaml and its like said, by their content. */
  readonly singles: WeakMap<object, SingleFile>;
  /** What the files and clusters held, by their names; Istio's folder has the empty one. */
  objects: ReadonlyMap<string, FileObjects>;
  clusters: Map<string, ClusterObjects>;
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
  const memory = deps.previous?.memory ?? newMemory();
  const loader = new Loader(dir, deps, memory);
  await loader.run();
  return loader.result();
}

const newMemory = (): LoadMemory => ({
  files: new MeshFiles(),
  reader: new DocumentReader(),
  singles: new WeakMap(),
  objects: new Map(),
  clusters: new Map(),
});

class Loader {
  readonly #dir: string;
  readonly #previous: LoadedMesh | undefined;
  readonly #memory: LoadMemory;
  readonly #variables: Readonly<Record<string, string | undefined>>;
  readonly #issues: LocatedIssue[] = [];
  readonly #objects = new Map<string, FileObjects>();
  readonly #clusters = new Map<string, ClusterObjects>();
  #unfinished = false;
  #gateways: GatewayPlaces | undefined;
  #config: MeshConfig;
  #networks: MeshNetworks;
  #nodes: ReadonlyMap<string, Node>;

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
      this.#issues.push(
        problemOf(this.#dir, "cannot be read as a directory, expected a mesh directory with meshconfig.yaml, k8s/ and istio/"),
      );
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
    for (const [cluster, files] of clusters) await this.#cluster(cluster, "k8s", files);
    const istio = ((await this.#list("istio")) ?? []).filter(isConfigFile);
    await this.#cluster(
      "",
      "istio",
      istio.map((entry) => `istio/${entry}`),
    );
  }

  result(): LoadedMesh {
    const objectsOf = new Map([...this.#clusters].map(([name, { objects }]) => [name, objects]));
    const mesh = assembleMesh(this.#config, this.#networks, objectsOf, this.#previous?.mesh);
    const memory = this.#memory;
    memory.objects = this.#objects;
    memory.clusters = this.#clusters;
    const issues = [
      this.#issues,
      ...[...this.#clusters.values()].map((cluster) => cluster.issues),
      checkMesh({ mesh, dir: this.#dir, objects: objectsOf }, memory),
      servers.get(memory, [mesh.gateways], () => checkServers(mesh)).map((issue) => this.#locateObject(issue)),
    ].flat();
    const reads = [this.#nodes, mesh.gateways, ...mesh.clusters.flatMap(({ name, pods, secrets }) => [name, pods, secrets])];
    const missing = credentials
      .get(memory, reads, () => checkCredentials(mesh, gatewaysOf(this.#nodes)))
      .map((issue) => this.#locateObject(issue));
    const flat = lazily(() => [...objectsOf.values()].flat());
    return {
      mesh,
      nodes: this.#nodes,
      issues,
      unfinished: this.#unfinished,
      missing,
      get objects() {
        return flat();
      },
      objectsOf,
      memory,
    };
  }

  /** An object kept from an earlier load is known by its start alone. */
  #locateObject({ meta, severity, path, message }: ObjectIssue): LocatedIssue {
    this.#gateways ??= placeGateways(this.#clusters.get("")?.files ?? []);
    const place = this.#gateways.get(meta);
    if (place === undefined) return { severity, ...meta.source, path, message };
    return locateIssue(place.document, { severity, path: [...place.at, ...path], message });
  }

  async #cluster(cluster: string, place: DocumentPlace["place"], paths: readonly string[]): Promise<void> {
    const files: ClusterFile[] = [];
    for (const path of paths) {
      const file = join(this.#dir, path);
      const issues: LocatedIssue[] = [];
      const parsed = await this.#parse(file, issues);
      const before = this.#memory.objects.get(file);
      const held = parsed && readFileObjects(this.#memory.reader, { place, cluster }, file, parsed, before);
      if (held !== undefined) this.#objects.set(file, held);
      files.push({ file, held, issues });
    }
    const earlier = this.#previous?.objectsOf.get(cluster) ?? [];
    const gathered = gatherObjects(files, this.#memory.clusters.get(cluster), earlier);
    // At once, as what was there before has handed on its keys.
    this.#memory.clusters.set(cluster, gathered);
    this.#clusters.set(cluster, gathered);
  }

  async #single<T>(path: string, entries: readonly string[], read: (root: Fields) => T, previous: T, absent: T): Promise<T> {
    if (!entries.includes(path)) return absent;
    const parsed = await this.#parse(join(this.#dir, path), this.#issues);
    if (parsed !== undefined) for (const issue of parsed.issues) this.#issues.push(issue);
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

  /** Why it cannot be read is added to `issues`. */
  async #parse(file: string, issues: LocatedIssue[]): Promise<ParsedFile | undefined> {
    const parsed = await this.#memory.files.read(file);
    if ("unfinished" in parsed) {
      this.#unfinished = true;
      return undefined;
    }
    if ("problem" in parsed) {
      issues.push(problemOf(file, parsed.problem));
      return undefined;
    }
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
}

const servers = new Kept<object, readonly ObjectIssue[]>();
const credentials = new Kept<object, readonly ObjectIssue[]>();

const problemOf = (file: string, message: string): LocatedIssue => ({ severity: "error", file, line: 1, column: 1, path: [], message });

/** Where each Gateway of a load stands, for issues that only the whole mesh shows. */
type GatewayPlaces = ReadonlyMap<ObjectMeta, { readonly document: YamlDocument; readonly at: FieldPath }>;

function placeGateways(files: readonly ClusterFile[]): GatewayPlaces {
  const places = new Map<ObjectMeta, { readonly document: YamlDocument; readonly at: FieldPath }>();
  for (const { held } of files) {
    for (const { objects, holder } of held?.readings ?? []) {
      for (const { object, at } of objects) {
        const { meta } = object.known.object;
        if (meta.kind === "Gateway") places.set(meta, { document: holder.document, at });
      }
    }
  }
  return places;
}

function lazily<T>(make: () => T): () => T {
  let made: { readonly value: T } | undefined;
  return () => (made ??= { value: make() }).value;
}

/** The gateway proxies among the nodes. */
function gatewaysOf(nodes: ReadonlyMap<string, Node>): Parameters<typeof checkCredentials>[1] {
  return [...nodes.values()].map(describeProxy).filter((proxy) => proxy.type === "router");
}

const isConfigFile = (name: string): boolean => /\.(ya?ml|json)$/.test(name);
const withoutExtension = (name: string): string => name.replace(/\.(ya?ml|json)$/, "");
