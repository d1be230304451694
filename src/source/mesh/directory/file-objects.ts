// The objects of one file of a mesh directory; of a file that changed only the documents that did are read again.
import { alignLists } from "../../../kept-list.ts";
import { locateIssue, type LocatedIssue, type ParsedFile, type YamlDocument } from "../../yaml-document.ts";
import type { LoadedObject } from "./assemble.ts";
import type { DocumentPlace, DocumentReader, Reading } from "./reading.ts";

/** What a file holds. */
export interface FileObjects {
  /** As the file was named to whoever parsed it. */
  readonly file: string;
  readonly parsed: ParsedFile;
  /** What each document says. */
  readonly readings: readonly Reading[];
  /** How many objects there are before each document. */
  readonly starts: readonly number[];
  /** Every object of the file, failed and repeated ones too. The same list as before when it holds the same. */
  readonly objects: readonly LoadedObject[];
  /** It is no whole YAML file, or some object has errors. */
  readonly failed: boolean;
  /** Without those that concern other files. */
  readonly issues: readonly LocatedIssue[];
}

/** True when some of the file could not be parsed. */
export function isBroken(parsed: ParsedFile): boolean {
  return parsed.issues.some((issue) => issue.severity === "error");
}

/** Reads a parsed file. @param before what the file held when it was read last */
export function readFileObjects(
  reader: DocumentReader,
  where: DocumentPlace,
  file: string,
  parsed: ParsedFile,
  before: FileObjects | undefined,
): FileObjects {
  if (before?.parsed === parsed) return before;
  const { documents } = parsed;
  const known = before ?? nothing;
  const { start, end } = alignDocuments(known, documents);
  const kept = known.readings.length - end;
  const middle = documents.slice(start, documents.length - end).map((document) => reader.read(document, where));
  const added = middle.flatMap(({ objects }) => objects.map(({ object }) => object));
  const [firstObject, objectsKept] = [known.starts[start] ?? known.objects.length, known.starts[kept] ?? known.objects.length];
  const moved = firstObject + added.length - objectsKept;
  const readings = known.readings.slice(0, start).concat(middle, known.readings.slice(kept));
  const after = known.starts.slice(kept);
  const isSame = added.length === 0 && firstObject === objectsKept;
  return {
    file,
    parsed,
    readings,
    starts: known.starts.slice(0, start).concat(startsOf(middle, firstObject), moved === 0 ? after : after.map((each) => each + moved)),
    objects: isSame ? known.objects : known.objects.slice(0, firstObject).concat(added, known.objects.slice(objectsKept)),
    failed: isBroken(parsed) || (known.failed ? readings : middle).some(({ objects }) => objects.some(({ failed }) => failed)),
    issues: known.issues.length === 0 && middle.every(({ issues }) => issues.length === 0) ? parsed.issues : locateAll(parsed, readings),
  };
}

const nothing: Pick<FileObjects, "parsed" | "readings" | "starts" | "objects" | "failed" | "issues"> = {
  parsed: { documents: [], issues: [], pieces: { text: "", starts: [], lines: [], documents: [], parts: [] } },
  readings: [],
  starts: [],
  objects: [],
  failed: false,
  issues: [],
};

/** How many documents at both ends are as they were; those that only moved learn their place. */
function alignDocuments(
  { parsed, readings }: Pick<FileObjects, "parsed" | "readings">,
  documents: readonly YamlDocument[],
): ReturnType<typeof alignLists> {
  const before = parsed.documents;
  let { start, end } = alignLists(before, documents);
  const most = Math.min(before.length, documents.length);
  const moves = (from: number, to: number): boolean => {
    const document = documents[to];
    const reading = readings[from];
    if (document === undefined || reading === undefined || document.json !== before[from]?.json) return false;
    reading.holder.document = document;
    return true;
  };
  while (start + end < most && moves(start, start)) start++;
  while (start + end < most && moves(before.length - 1 - end, documents.length - 1 - end)) end++;
  return { start, end };
}

function startsOf(readings: readonly Reading[], first: number): readonly number[] {
  let next = first;
  return readings.map(({ objects }) => {
    const start = next;
    next += objects.length;
    return start;
  });
}

function locateAll({ documents, issues }: ParsedFile, readings: readonly Reading[]): readonly LocatedIssue[] {
  return issues.concat(
    readings.flatMap((reading, index) => {
      const document = documents[index];
      return document === undefined ? [] : reading.issues.map((issue) => locateIssue(document, issue));
    }),
  );
}
