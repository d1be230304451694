// The accepted objects of one cluster (or of Istio's folder) out of its files: the first of those with one name, and for what is refused what
// was there before.
import { alignLists, keepList } from "../../../kept-list.ts";
import { locateIssue, type LocatedIssue, type YamlDocument } from "../../yaml-document.ts";
import type { LoadedObject } from "./assemble.ts";
import { type FileObjects, isBroken } from "./file-objects.ts";
import type { ReadObject } from "./reading.ts";

/** A file of a cluster as this load found it. */
export interface ClusterFile {
  readonly file: string;
  /** Undefined when it cannot be read now, or is being written. */
  readonly held: FileObjects | undefined;
  /** Why it cannot be read. */
  readonly issues: readonly LocatedIssue[];
}

/** What a cluster holds. */
export interface ClusterObjects {
  readonly files: readonly ClusterFile[];
  /** The same list as before when it holds the same. */
  readonly objects: readonly LoadedObject[];
  readonly issues: readonly LocatedIssue[];
  /** Nothing was taken over from an earlier load, so that the same files say the same again. */
  readonly isWhole: boolean;
  /** The keys of all objects when none is repeated; handed on from load to load. */
  readonly keys: Map<string, LoadedObject> | undefined;
}

/**
 * Gathers what the files hold.
 * @param before what the cluster held when its files were read last
 * @param earlier the objects that were accepted then
 */
export function gatherObjects(
  files: readonly ClusterFile[],
  before: ClusterObjects | undefined,
  earlier: readonly LoadedObject[],
): ClusterObjects {
  const isWhole = files.every(({ held }) => held !== undefined && !held.failed);
  if (!isWhole || before === undefined) return gatherAll(files, isWhole, before, earlier);
  if (before.isWhole && sameFiles(before.files, files)) return before;
  if (before.keys === undefined || !replaceKeys(before.keys, before.files, files)) return gatherAll(files, isWhole, before, earlier);
  const [only] = files;
  const objects = files.length === 1 && only?.held !== undefined ? only.held.objects : files.flatMap(({ held }) => held?.objects ?? []);
  const issues = files.flatMap(({ held }) => held?.issues ?? []);
  return { files, objects: keepList(before.objects, objects), issues, isWhole, keys: before.keys };
}

function sameFiles(left: readonly ClusterFile[], right: readonly ClusterFile[]): boolean {
  return left.length === right.length && left.every(({ held }, index) => held !== undefined && held === right[index]?.held);
}

/** False when a key is there twice; the keys are of no use then. */
function replaceKeys(keys: Map<string, LoadedObject>, before: readonly ClusterFile[], files: readonly ClusterFile[]): boolean {
  const [left, right] = [before, files].map((list) => new Map(list.map(({ file, held }) => [file, held?.objects ?? []])));
  const added: LoadedObject[] = [];
  for (const file of new Set([...(left?.keys() ?? []), ...(right?.keys() ?? [])])) {
    const [old, now] = [left?.get(file) ?? [], right?.get(file) ?? []];
    const { start, end } = alignLists(old, now);
    for (const { key } of old.slice(start, old.length - end)) keys.delete(key);
    for (const object of now.slice(start, now.length - end)) added.push(object);
  }
  for (const object of added) {
    if (keys.has(object.key)) return false;
    keys.set(object.key, object);
  }
  return true;
}

function gatherAll(
  files: readonly ClusterFile[],
  isWhole: boolean,
  before: ClusterObjects | undefined,
  earlier: readonly LoadedObject[],
): ClusterObjects {
  const gathering = new Gathering(earlier);
  for (const file of files) gathering.add(file);
  const { found, issues, repeats } = gathering;
  const objects = keepList(before?.objects, [...found.values()]);
  return { files, objects, issues, isWhole, keys: isWhole && !repeats ? found : undefined };
}

class Gathering {
  readonly found = new Map<string, LoadedObject>();
  readonly issues: LocatedIssue[] = [];
  repeats = false;
  readonly #earlier: readonly LoadedObject[];

  constructor(earlier: readonly LoadedObject[]) {
    this.#earlier = earlier;
  }

  add({ file, held, issues }: ClusterFile): void {
    for (const issue of issues) this.issues.push(issue);
    if (held === undefined || isBroken(held.parsed)) this.#keep((object) => object.known.object.meta.source.file === file);
    if (held === undefined) return;
    for (const issue of held.parsed.issues) this.issues.push(issue);
    for (const [index, document] of held.parsed.documents.entries()) {
      const reading = held.readings[index];
      for (const issue of reading?.issues ?? []) this.issues.push(locateIssue(document, issue));
      for (const read of reading?.objects ?? []) this.#accept(document, read);
    }
  }

  #accept(document: YamlDocument, { object, at, failed }: ReadObject): void {
    const { meta } = object.known.object;
    const earlier = this.found.get(object.key);
    const repeats = earlier !== undefined && !earlier.kept;
    if (repeats) {
      this.repeats = true;
      const { source: first } = earlier.known.object.meta;
      const message = `repeats ${meta.kind} ${meta.namespace}/${meta.name} of ${first.file}:${first.line}`;
      this.issues.push(locateIssue(document, { severity: "error", path: [...at, "metadata", "name"], message }));
    }
    if (!failed && !repeats) this.found.set(object.key, object);
    else if (earlier === undefined) this.#keep((kept) => kept.key === object.key);
  }

  /** Takes over what an earlier load had, where this one has nothing better. */
  #keep(wanted: (object: LoadedObject) => boolean): void {
    for (const object of this.#earlier) {
      if (wanted(object) && !this.found.has(object.key)) this.found.set(object.key, { ...object, kept: true });
    }
  }
}
