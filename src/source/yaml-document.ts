// YAML (and so JSON) files with positions: what a file says as plain JSON, where in the file each part of it stands, and issues
// that name the place. Knows nothing of what the documents mean.
import {
  type Alias,
  type Document,
  isAlias,
  isMap,
  isNode,
  isPair,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  type Pair,
  parseAllDocuments,
  visit,
} from "yaml";
import type { Issue, Severity } from "../error.ts";

/** A place in a file, counted from 1. */
export interface Position {
  readonly line: number;
  readonly column: number;
}

/** An issue with the place it is about. */
export interface LocatedIssue extends Issue, Position {
  /** As given by whoever named the file. */
  readonly file: string;
}

/** One document of a file. */
export interface YamlDocument {
  readonly file: string;
  /** The content with anchors and merge keys resolved. Aliased parts are shared objects. */
  readonly json: unknown;
  readonly root: Document;
  readonly lines: LineCounter;
}

/** The documents of a file, without those that are not YAML; empty documents are left out. */
export interface ParsedFile {
  readonly documents: readonly YamlDocument[];
  readonly issues: readonly LocatedIssue[];
}

// How often anchors may be used in all, weighted by what they hold: far above real files, far below what exhausts memory.
const maxAliasCount = 10_000;

/** Parses every document of `text`. Syntax errors and duplicate keys are errors; a document with one is not returned. */
export function parseYaml(text: string, file: string): ParsedFile {
  const lines = new LineCounter();
  const parsed = parseAllDocuments(text, { lineCounter: lines, merge: true, prettyErrors: false, uniqueKeys: true, stringKeys: false });
  const documents: YamlDocument[] = [];
  const issues: LocatedIssue[] = [];
  const report = (severity: Severity, message: string, offset: number): void => {
    issues.push({ severity, path: [], message, file, ...positionOf(lines, offset) });
  };
  // parseAllDocuments gives an empty list for an empty text.
  for (const root of Array.isArray(parsed) ? parsed : []) {
    for (const warning of root.warnings) report("warning", sentence(warning.message), warning.pos[0]);
    for (const error of root.errors) report("error", sentence(error.message), error.pos[0]);
    if (root.errors.length > 0 || root.contents === null) continue;
    if (isScalar(root.contents) && root.contents.value === null) continue;
    const dangling = danglingAlias(root);
    if (dangling !== undefined) {
      report("error", `there is no anchor named ${dangling.source} before this alias`, dangling.range?.[0] ?? 0);
      continue;
    }
    try {
      documents.push({ file, json: root.toJS({ maxAliasCount }) as unknown, root, lines });
    } catch (thrown) {
      report("error", thrown instanceof Error ? sentence(thrown.message) : String(thrown), root.range[0]);
    }
  }
  return { documents, issues };
}

// An alias whose anchor does not come before it. Anchors are gathered on the way, so one walk is enough.
function danglingAlias(root: Document): Alias | undefined {
  const anchors = new Set<string>();
  let dangling: Alias | undefined;
  visit(root, {
    Alias: (_key, node) => {
      if (anchors.has(node.source)) return undefined;
      dangling = node;
      return visit.BREAK;
    },
    Value: (_key, node) => {
      if (node.anchor !== undefined) anchors.add(node.anchor);
    },
  });
  return dangling;
}

// The parser's messages end with a full stop or a colon here and there.
function sentence(message: string): string {
  return message.replace(/[.:]\s*$/, "");
}

function positionOf(lines: LineCounter, offset: number): Position {
  const { line, col } = lines.linePos(offset);
  return { line: Math.max(1, line), column: Math.max(1, col) };
}

/**
 * Where `path` stands in the document: at the key for fields, at the item for lists. Keys match in snake_case and camelCase
 * alike. What is not there is placed at its nearest ancestor that is.
 */
export function locate(document: YamlDocument, path: readonly (string | number)[]): Position {
  let node: Node | undefined = document.root.contents ?? undefined;
  let offset = node?.range?.[0] ?? 0;
  for (const step of path) {
    const found = stepInto(document.root, node, step);
    if (found === undefined) break;
    offset = found.offset;
    node = found.node;
  }
  return positionOf(document.lines, offset);
}

interface Step {
  readonly node: Node | undefined;
  readonly offset: number;
}

function stepInto(root: Document, from: Node | undefined, step: string | number): Step | undefined {
  const node = resolved(root, from);
  if (isSeq(node)) {
    const item = typeof step === "number" ? node.items[step] : undefined;
    return isNode(item) ? { node: item, offset: item.range?.[0] ?? 0 } : undefined;
  }
  if (!isMap(node)) return undefined;
  const pair = findPair(root, node.items, String(step), 0);
  if (pair === undefined) return undefined;
  const value = isNode(pair.value) ? pair.value : undefined;
  const key = isNode(pair.key) ? pair.key : undefined;
  return { node: value, offset: key?.range?.[0] ?? value?.range?.[0] ?? 0 };
}

function resolved(root: Document, node: Node | undefined): Node | undefined {
  return isAlias(node) ? node.resolve(root) : node;
}

// Merge keys may nest; deeper than this is a cycle in all but name.
const maxMergeDepth = 20;

function findPair(root: Document, pairs: readonly Pair[], name: string, depth: number): Pair | undefined {
  const plain = camel(name);
  let merged: Pair | undefined;
  for (const pair of pairs) {
    const key = isScalar(pair.key) ? keyText(pair.key.value) : undefined;
    if (key === name || (key !== undefined && camel(key) === plain)) return pair;
    if (key === "<<" && depth < maxMergeDepth && isNode(pair.value)) merged ??= findMerged(root, pair.value, name, depth + 1);
  }
  return merged;
}

// The parser marks merge keys by a symbol in place of the text.
function keyText(value: unknown): string {
  return typeof value === "symbol" ? (value.description ?? "") : String(value);
}

function findMerged(root: Document, value: Node, name: string, depth: number): Pair | undefined {
  const node = resolved(root, value);
  if (isMap(node)) return findPair(root, node.items.filter(isPair), name, depth);
  if (!isSeq(node) || depth > maxMergeDepth) return undefined;
  for (const item of node.items) {
    const found = isNode(item) ? findMerged(root, item, name, depth + 1) : undefined;
    if (found) return found;
  }
  return undefined;
}

function camel(key: string): string {
  return key.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}

/** An issue of a document's content, with its place. */
export function locateIssue(document: YamlDocument, issue: Issue): LocatedIssue {
  return { severity: issue.severity, path: issue.path, message: issue.message, file: document.file, ...locate(document, issue.path) };
}

/** A path as people write it: `static_resources.listeners[0].name`. */
export function formatPath(path: readonly (string | number)[]): string {
  return path
    .map((step, index) => {
      if (typeof step === "number") return `[${step}]`;
      if (!/^[\w@-]+$/.test(step)) return `[${JSON.stringify(step)}]`;
      return index === 0 ? step : `.${step}`;
    })
    .join("");
}

/** `file:line:column severity path: message`. */
export function formatIssue(issue: LocatedIssue): string {
  const path = formatPath(issue.path);
  return `${issue.file}:${issue.line}:${issue.column} ${issue.severity} ${path === "" ? "" : `${path}: `}${issue.message}`;
}
