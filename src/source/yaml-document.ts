// YAML (and so JSON) files with positions: what a file says as plain JSON, where in the file each part of it stands, and issues
// that name the place. Knows nothing of what the documents mean.
import { type Alias, type Document, isScalar, LineCounter, parseAllDocuments, visit } from "yaml";
import type { Issue, Severity } from "../error.ts";
import { readPlainContent } from "./yaml-content.ts";
import { isBareMarker, resplitDocuments } from "./yaml-pieces.ts";
import { offsetOf } from "./yaml-place.ts";

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
  /** The content with anchors and merge keys resolved. Aliased parts are shared objects. The same object as long as the text is the same. */
  readonly json: unknown;
  /** Lines of the file before the part that the document was read from. */
  readonly linesBefore: number;
  readonly part: FilePart;
  /** Which document of its part. */
  readonly index: number;
}

/** A stretch of a file that was parsed by itself: mostly one document. */
export interface FilePart {
  readonly text: string;
  readonly contents: readonly unknown[];
  /** Their lines count from the part's beginning. */
  readonly issues: readonly (Issue & Position)[];
  /** The documents with positions; parsed when somebody first asks. */
  positions(): Positions;
}

interface Positions {
  readonly roots: readonly Document[];
  readonly lines: LineCounter;
}

/** The documents of a file, without those that are not YAML; empty documents are left out. */
export interface ParsedFile {
  readonly documents: readonly YamlDocument[];
  readonly issues: readonly LocatedIssue[];
  /** What the next parse of the file may take over. */
  readonly pieces: FilePieces;
}

/** The text of a file and the pieces it was parsed in; of the lists each has one item for every piece. */
export interface FilePieces {
  readonly text: string;
  /** Offsets in the text. */
  readonly starts: readonly number[];
  /** Lines before each. */
  readonly lines: readonly number[];
  /** How many documents there are before each. */
  readonly documents: readonly number[];
  readonly parts: readonly FilePart[];
}

// How often anchors may be used in all, weighted by what they hold: far above real files, far below what exhausts memory.
const maxAliasCount = 10_000;

const noPieces: FilePieces = { text: "", starts: [], lines: [], documents: [], parts: [] };

/** Markers between documents hold none. */
const marker: FilePart = { text: "---\n", contents: [], issues: [], positions: () => ({ roots: [], lines: new LineCounter() }) };

/**
 * Parses every document of `text`. Syntax errors and duplicate keys are errors; a document with one is not returned.
 * @param previous an earlier parse of the same file: what has the same text is not parsed again and keeps its `json`, and documents
 *   that stayed in their place are the same objects
 */
export function parseYaml(text: string, file: string, previous?: ParsedFile): ParsedFile {
  if (previous?.pieces.text === text) return previous;
  const before = previous?.pieces ?? noPieces;
  const { head, tail, middle } = resplitDocuments(before.text, before.starts, text);
  const kept = before.parts.length - tail;
  const end = tail === 0 ? text.length : (before.starts[kept] ?? 0) + text.length - before.text.length;
  const take = partsByText(before.parts.slice(head, kept));
  const firstDocument = itemAt(before.documents, head, previous?.documents.length);
  const lines: number[] = [];
  const counts: number[] = [];
  const parts: FilePart[] = [];
  const documents: YamlDocument[] = [];
  let linesBefore = before.lines[head] ?? 0;
  for (const [index, start] of middle.entries()) {
    const piece = text.slice(start, middle[index + 1] ?? end);
    const part = isBareMarker(piece) ? marker : (take(piece) ?? parsePart(detached(piece)));
    lines.push(linesBefore);
    counts.push(firstDocument + documents.length);
    parts.push(part);
    for (const [place, json] of part.contents.entries()) documents.push({ file, json, linesBefore, part, index: place });
    linesBefore += countLines(piece);
  }
  const documentsKept = itemAt(before.documents, kept, previous?.documents.length);
  const movedLines = linesBefore - (before.lines[kept] ?? linesBefore);
  const pieces: FilePieces = {
    text,
    starts: joinMoved(before.starts, head, middle, kept, text.length - before.text.length),
    lines: joinMoved(before.lines, head, lines, kept, movedLines),
    documents: joinMoved(before.documents, head, counts, kept, firstDocument + documents.length - documentsKept),
    parts: before.parts.slice(0, head).concat(parts, before.parts.slice(kept)),
  };
  const after = (previous?.documents ?? []).slice(documentsKept);
  return {
    documents: (previous?.documents ?? []).slice(0, firstDocument).concat(documents, moveDocuments(after, movedLines)),
    issues: previous?.issues.length === 0 ? locateParts(parts, lines, file) : locateParts(pieces.parts, pieces.lines, file),
    pieces,
  };
}

// Each once: of two documents with one text each has objects of its own, as whoever remembers something by them means one place.
function partsByText(parts: readonly FilePart[]): (text: string) => FilePart | undefined {
  const byText = Map.groupBy(parts, (part) => part.text);
  return (text) => byText.get(text)?.shift();
}

const itemAt = (numbers: readonly number[], index: number, end = 0): number => numbers[index] ?? end;

/** The first numbers as they were, then the new ones, and from `to` on those of before with `by` added. */
function joinMoved(numbers: readonly number[], from: number, middle: readonly number[], to: number, by: number): readonly number[] {
  const after = numbers.slice(to);
  return numbers.slice(0, from).concat(middle, by === 0 ? after : after.map((each) => each + by));
}

function moveDocuments(documents: readonly YamlDocument[], by: number): readonly YamlDocument[] {
  if (by === 0) return documents;
  return documents.map(({ file, json, linesBefore, part, index }) => ({ file, json, linesBefore: linesBefore + by, part, index }));
}

function locateParts(parts: readonly FilePart[], lines: readonly number[], file: string): readonly LocatedIssue[] {
  return parts.flatMap((part, index) => part.issues.map((issue) => ({ ...issue, file, line: issue.line + (lines[index] ?? 0) })));
}

// A piece cut out of a text keeps all of it in memory; parts live on from load to load.
const detached = (piece: string): string => Buffer.from(piece, "utf8").toString("utf8");

function countLines(text: string): number {
  let lines = 0;
  for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) lines++;
  return lines;
}

function parsePart(text: string): FilePart {
  let known: Positions | undefined;
  const positions = (): Positions => (known ??= parsePositions(text));
  const plain = readPlainContent(text);
  if (plain !== undefined)
    return { text, contents: plain.json === null || plain.json === undefined ? [] : [plain.json], issues: [], positions };
  const { contents, issues, roots, lines } = parseWithPositions(text);
  known = { roots, lines };
  return { text, contents, issues, positions };
}

function parsePositions(text: string): Positions {
  const { roots, lines } = parseWithPositions(text);
  return { roots, lines };
}

function parseWithPositions(text: string): Positions & Pick<FilePart, "contents" | "issues"> {
  const lines = new LineCounter();
  const parsed = parseAllDocuments(text, { lineCounter: lines, merge: true, prettyErrors: false, uniqueKeys: true, stringKeys: false });
  const contents: unknown[] = [];
  const roots: Document[] = [];
  const issues: (Issue & Position)[] = [];
  const report = (severity: Severity, message: string, offset: number): void => {
    issues.push({ severity, path: [], message, ...positionOf(lines, offset) });
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
      contents.push(root.toJS({ maxAliasCount }) as unknown);
      roots.push(root);
    } catch (thrown) {
      report("error", thrown instanceof Error ? sentence(thrown.message) : String(thrown), root.range[0]);
    }
  }
  return { contents, issues, roots, lines };
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
export function locate({ part, index, linesBefore }: YamlDocument, path: readonly (string | number)[]): Position {
  const { roots, lines } = part.positions();
  const root = roots[index];
  const { line, column } = positionOf(lines, root === undefined ? 0 : offsetOf(root, path));
  return { line: line + linesBefore, column };
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
