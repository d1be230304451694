// Issues that only the whole mesh shows: about an object, and where that stands now.
import type { LocatedIssue } from "../../yaml-document.ts";
import type { FieldPath } from "../object/fields.ts";
import type { ObjectMeta } from "../object/mesh-object.ts";

/** An issue about an object, by the path inside of it. Where the object stands may change while all else stays as it is. */
export interface ObjectIssue {
  readonly meta: ObjectMeta;
  readonly severity: "error" | "warning";
  readonly path: FieldPath;
  readonly message: string;
}

/** What a check of the whole mesh finds: about an object, or about a file of settings. */
export type FoundIssue = ObjectIssue | LocatedIssue;

/** The issue with its place: that of the part it is about, as far as it is there. */
export function placeIssue(issue: FoundIssue): LocatedIssue {
  if (!("meta" in issue)) return issue;
  const { source } = issue.meta;
  const { line, column } = source.placeOf?.(issue.path) ?? source;
  return { severity: issue.severity, file: source.file, line, column, path: issue.path, message: issue.message };
}
