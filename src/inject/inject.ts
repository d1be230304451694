// Kubernetes YAML in, the same with sidecars out: comments, order and whatever else people wrote stay. Documents without a pod
// come out as they went in, byte for byte; so do pods that were injected like this before.
import { type Document, isAlias, isCollection, isMap, isNode, isSeq, LineCounter, parseDocument, visit } from "yaml";
import type { InjectOptions } from "./options.ts";
import { planInjection } from "./plan.ts";
import { findPods, type PodPlace } from "./pods.ts";
import type { Edit } from "./probes.ts";

/** What became of one pod, as a line for people. */
export interface PodOutcome {
  readonly outcome: "injected" | "left" | "refused";
  readonly text: string;
}

/** The new text, or undefined when a pod was refused or the YAML is broken: half a file is nobody's wish. */
export interface Injection {
  readonly text: string | undefined;
  readonly outcomes: readonly PodOutcome[];
}

/** Injects every pod of the documents in `text`; `file` is what messages call it. */
export function injectManifests(text: string, file: string, options: InjectOptions): Injection {
  const outcomes: PodOutcome[] = [];
  let result = "";
  let linesBefore = 0;
  for (const part of documentsOf(text)) {
    const lines = new LineCounter();
    const document = parseDocument(part, { lineCounter: lines, prettyErrors: false, merge: true });
    for (const error of document.errors) {
      const { line, col } = lines.linePos(error.pos[0]);
      outcomes.push({ outcome: "refused", text: `${file}:${linesBefore + line}:${col}: ${error.message}` });
    }
    linesBefore += part.split("\n").length - 1;
    if (document.errors.length > 0) continue;
    const pods = findPods(document.toJS());
    const changed = pods.map((pod) => injectPod(document, pod, options, outcomes)).includes(true);
    result += changed ? rendered(document, part) : part;
  }
  return { text: outcomes.some(({ outcome }) => outcome === "refused") ? undefined : result, outcomes };
}

// `---` at the start of a line separates documents wherever it stands, and belongs to the one that it begins.
function documentsOf(text: string): readonly string[] {
  const parts = text.split(/^(?=---(?:\s|$))/m);
  const [first = "", second, ...rest] = parts;
  // Directives (`%YAML 1.2`) stand before the `---` of their document.
  return second !== undefined && first.startsWith("%") ? [first + second, ...rest] : parts;
}

function rendered(document: Document.Parsed, source: string): string {
  // What was JSON stays JSON.
  const quoted = isMap(document.contents) && document.contents.flow === true;
  const types = quoted ? ({ defaultKeyType: "QUOTE_DOUBLE", defaultStringType: "QUOTE_DOUBLE" } as const) : {};
  const text = document.toString({ lineWidth: 0, ...styleOf(source), flowCollectionPadding: isPadded(document, source), ...types });
  // Blank lines before the next document are no part of the content.
  return text.trimEnd() + (/\s*$/.exec(source)?.[0] || "\n");
}

// How people indent is theirs: what is added looks like what is there.
function styleOf(source: string): { readonly indent: number; readonly indentSeq: boolean } {
  const indent = /^( *)[^\s#-][^\n]*:[ \t]*\n\1( +)[^\s#-]/m.exec(source)?.[2]?.length ?? 2;
  const flush = /^( *)[^\s#-][^\n]*:[ \t]*\n\1- /m.test(source);
  return { indent: Math.min(indent, 8), indentSeq: !flush };
}

/** `{ a }` unless somewhere it is `{a}`. Brackets inside of texts are no style, so the nodes are asked. */
function isPadded(document: Document.Parsed, source: string): boolean {
  let padded = true;
  visit(document, {
    Collection: (_key, { flow, items, range }) => {
      if (flow !== true || items.length === 0 || !range) return undefined;
      const open = source.slice(range[0], range[1]).search(/[[{]/);
      if (/\s/.test(source.charAt(range[0] + open + 1))) return undefined;
      padded = false;
      return visit.BREAK;
    },
  });
  return padded;
}

/** Without anchors for values that happen to be the same object here. */
const written = { aliasDuplicateObjects: false };

/** True when the document was changed. */
function injectPod(document: Document.Parsed, place: PodPlace, options: InjectOptions, outcomes: PodOutcome[]): boolean {
  const { namespace = options.namespace, kind, name } = place;
  const title = `${kind} ${namespace}/${name}`;
  const refuse = (problem: string): void => void outcomes.push({ outcome: "refused", text: `${title}: ${problem}` });
  const plan = planInjection(place, options);
  if (plan.kind === "leave") {
    outcomes.push({ outcome: "left", text: `${title}: left alone, ${plan.reason}` });
    return false;
  }
  if (plan.kind === "refuse") {
    for (const problem of plan.problems) refuse(problem);
    return false;
  }
  let changed = false;
  for (const { path, value } of plan.edits) {
    const outcome = apply(document, { path: [...place.path, ...path], value });
    if (typeof outcome === "string") {
      refuse(outcome);
      return false;
    }
    changed ||= outcome;
  }
  outcomes.push({ outcome: "injected", text: `${title}: injected${plan.warnings.map((warning) => `; ${warning}`).join("")}` });
  return changed;
}

// One edit: whether it changed anything. A sentence when it stands behind an alias, where it would change more than this pod.
function apply(document: Document.Parsed, { path, value }: Edit): string | boolean {
  const last = path.at(-1);
  const parent = path.slice(0, -1);
  for (let depth = 0; depth <= parent.length; depth++) {
    const node = document.getIn(parent.slice(0, depth), true);
    if (isAlias(node)) return `${parent.slice(0, depth).join(".")} is an alias (*${node.source}): write it out, since injection changes it`;
    if (node !== undefined && !isCollection(node) && document.getIn(parent.slice(0, depth)) !== null)
      return `${parent.slice(0, depth).join(".")} is no mapping or list`;
  }
  if (last === "first" || last === "last") {
    insert(document, parent, value as readonly unknown[], last);
    return true;
  }
  const target = document.getIn(parent, true);
  if (isMap(target) && !target.has(last) && target.has("<<") && document.getIn(path) !== undefined)
    return `${path.join(".")} comes from a merge key (<<): write it out, since injection changes it`;
  if (value === undefined) return document.deleteIn(path);
  if (JSON.stringify(jsonAt(document, path)) === JSON.stringify(value)) return false;
  setIn(document, path, value);
  return true;
}

function insert(document: Document.Parsed, path: readonly (string | number)[], values: readonly unknown[], end: "first" | "last"): void {
  const present = document.getIn(path, true);
  const nodes = values.map((value) => document.createNode(value, written));
  if (!isSeq(present)) document.setIn(path, document.createNode(values, written));
  else if (end === "last") present.items.push(...nodes);
  else {
    // A comment above a list's first entry is mostly about that entry, and goes down with it.
    const [head] = present.items;
    if (isNode(head) && present.commentBefore) {
      head.commentBefore = present.commentBefore;
      present.commentBefore = null;
    }
    present.items.unshift(...nodes);
  }
}

function setIn(document: Document.Parsed, path: readonly (string | number)[], value: unknown): void {
  // `metadata:` without anything after it is null, and holds nothing until it is a mapping.
  for (let depth = 1; depth < path.length; depth++) {
    const at = path.slice(0, depth);
    if (document.getIn(at) === null) document.setIn(at, document.createNode({}));
  }
  document.setIn(path, typeof value === "object" ? document.createNode(value, written) : value);
}

function jsonAt(document: Document.Parsed, path: readonly (string | number)[]): unknown {
  return path.reduce<unknown>(
    (at, key) => (typeof at === "object" && at !== null ? (at as Record<string | number, unknown>)[key] : undefined),
    document.toJS(),
  );
}
