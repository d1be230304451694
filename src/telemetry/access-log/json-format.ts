// JSON access logs: the configured object becomes a template whose fixed text is rendered once. Keys are sorted, a format of
// one operator keeps its type, and a missing value is null, as Envoy writes them.
import type { JsonFormat } from "../../envoy/access-log.ts";
import type { Issue, Result } from "../../error.ts";
import type { Formatter } from "../access-logger.ts";
import { joinPieces, parseFormat } from "../format.ts";
import { fromBytes, toBytes } from "../format/escape.ts";
import type { OperatorDeps } from "../format/operator.ts";
import type { StreamInfo } from "../stream-info.ts";

/** Renders one value; undefined = left out (omit_empty_values). */
type Render = (info: StreamInfo) => string | undefined;

// oxlint-disable-next-line no-control-regex -- what JSON must escape, and what is not ASCII
const needsEscape = /["\\\x00-\x1f\x7f-\uffff]/;

/** A byte string as a JSON string, itself a byte string. */
function quote(bytes: string): string {
  return needsEscape.test(bytes) ? toBytes(JSON.stringify(fromBytes(bytes))) : `"${bytes}"`;
}

/** Compiles a JSON format to one line, line end included. */
export function compileJsonFormat(format: JsonFormat, omitEmptyValues: boolean, deps: OperatorDeps = {}): Result<Formatter> {
  const issues: Issue[] = [];
  const render = compile(format, [], omitEmptyValues, deps, issues);
  if (issues.some((issue) => issue.severity === "error")) return { ok: false, issues };
  return { ok: true, value: (info) => `${render(info) ?? "{}"}\n`, issues };
}

function compile(format: JsonFormat, path: readonly (string | number)[], omitEmpty: boolean, deps: OperatorDeps, issues: Issue[]): Render {
  if (typeof format === "string") return compileText(format, path, omitEmpty, deps, issues);
  if (typeof format !== "object" || format === null) {
    const fixed = JSON.stringify(format);
    return () => fixed;
  }
  if (Array.isArray(format)) {
    const items = format.map((item: JsonFormat, i) => compile(item, [...path, i], omitEmpty, deps, issues));
    return (info) =>
      list(
        "[",
        "]",
        items.map((item) => item(info)),
      );
  }
  const entries = Object.entries(format)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => ({ key: `${toBytes(JSON.stringify(key))}:`, render: compile(value, [...path, key], omitEmpty, deps, issues) }));
  return (info) => {
    let text = "{";
    for (const { key, render } of entries) {
      const value = render(info);
      if (value !== undefined) text += text.length === 1 ? key + value : `,${key}${value}`;
    }
    // An object that lost all its values goes with them.
    return text.length === 1 && omitEmpty && path.length > 0 ? undefined : `${text}}`;
  };
}

function list(open: string, close: string, items: readonly (string | undefined)[]): string {
  return open + items.filter((item) => item !== undefined).join(",") + close;
}

function compileText(format: string, path: readonly (string | number)[], omitEmpty: boolean, deps: OperatorDeps, issues: Issue[]): Render {
  const parsed = parseFormat(format, deps);
  issues.push(...parsed.issues.map((issue) => ({ ...issue, path: [...path, ...issue.path] })));
  if (!parsed.ok) return () => undefined;
  const [only, ...more] = parsed.value;
  if (more.length > 0 || only === undefined || typeof only === "string") {
    const join = joinPieces(parsed.value, omitEmpty ? "" : "-");
    return (info) => quote(join(info));
  }
  return (info) => {
    const value = only(info);
    if (typeof value === "string") return quote(value);
    if (typeof value === "number") return String(value);
    if (value === undefined) return omitEmpty ? undefined : "null";
    return toBytes(JSON.stringify(value));
  };
}
