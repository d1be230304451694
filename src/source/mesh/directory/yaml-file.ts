// How an issue of a mesh directory reads on a line of its own, where the severity is shown beside it.
import { formatPath, type LocatedIssue } from "../../yaml-document.ts";

export { formatPath } from "../../yaml-document.ts";

/** `file:line:column path: message`. */
export function formatLocatedIssue(issue: LocatedIssue): string {
  const path = formatPath(issue.path);
  return `${issue.file}:${issue.line}:${issue.column} ${path === "" ? "" : `${path}: `}${issue.message}`;
}
