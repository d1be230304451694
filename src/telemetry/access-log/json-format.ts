// JSON access logs: the configured object becomes a template whose fixed text is rendered once. Keys are sorted, a format of
// one operator keeps its type, and a missing value is null, as Envoy writes them.
import type { JsonFormat } from "../../envoy/access-log.ts";
import type { Issue, Result } from "../../error.ts";
import { joinPieces, parseFormat } from "../format.ts";
import { toBytes } from "../format/escape.ts";
import type { OperatorDeps } from "../format/operator.ts";
import type { StreamInfo } from "../stream-info.ts";
import type { RecordText } from "./record-text.ts";

/** Writes a record, line end included. */
export type RecordFormat = (info: StreamInfo, out: RecordText) => void;

/** Writes one value; false = nothing was written, it is left out (omit_empty_values). */
type Write = (info: StreamInfo, out: RecordText) => boolean;

/** What a value is made of: text that is always the same, or text that depends on the stream. */
type Part = string | Write;

const openBrace = 123;
const openBracket = 91;

/** Compiles a JSON format to one line, line end included. */
export function compileJsonFormat(format: JsonFormat, omitEmptyValues: boolean, deps: OperatorDeps = {}): Result<RecordFormat> {
  const issues: Issue[] = [];
  const parts = compile(format, [], omitEmptyValues, deps, issues);
  if (issues.some((issue) => issue.severity === "error")) return { ok: false, issues };
  const write = join([...parts, "\n"]);
  return { ok: true, value: (info, out) => void write(info, out), issues };
}

/** Makes one function of parts that follow each other. */
function join(parts: readonly Part[]): Write {
  const steps: { readonly before: Buffer; readonly write: Write }[] = [];
  let fixed = "";
  for (const part of parts) {
    if (typeof part === "string") fixed += part;
    else {
      steps.push({ before: Buffer.from(fixed, "latin1"), write: part });
      fixed = "";
    }
  }
  const after = Buffer.from(fixed, "latin1");
  return (info, out) => {
    for (let i = 0; i < steps.length; i++) {
      const { before, write } = steps[i]!;
      out.raw(before);
      write(info, out);
    }
    out.raw(after);
    return true;
  };
}

function compile(format: JsonFormat, path: readonly (string | number)[], omitEmpty: boolean, deps: OperatorDeps, issues: Issue[]): Part[] {
  if (typeof format === "string") return [compileText(format, path, omitEmpty, deps, issues)];
  if (format === null && omitEmpty) return [() => false];
  if (typeof format !== "object" || format === null) return [JSON.stringify(format)];
  const below = (value: JsonFormat, name: string | number): Part[] => compile(value, [...path, name], omitEmpty, deps, issues);
  const list = Array.isArray(format);
  const items = list
    ? format.map((item: JsonFormat, i) => ({ key: "", parts: below(item, i) }))
    : Object.entries(format)
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([key, value]) => ({ key: `${toBytes(JSON.stringify(key))}:`, parts: below(value, key) }));
  const [open, close] = list ? ["[", "]"] : ["{", "}"];
  if (!omitEmpty) return [open, ...items.flatMap(({ key, parts }, i) => [i === 0 ? key : `,${key}`, ...parts]), close];
  return [omitting(open, items, close, !list && path.length > 0)];
}

/** @param optional one that lost all its values goes with them */
function omitting(
  open: string,
  items: readonly { readonly key: string; readonly parts: Part[] }[],
  close: string,
  optional: boolean,
): Write {
  const entries = items.map(({ key, parts }) => {
    const [only] = parts;
    return { key, write: parts.length === 1 && typeof only === "function" ? only : join(parts) };
  });
  return (info, out) => {
    const start = out.length;
    out.text(open);
    for (const { key, write } of entries) {
      const before = out.length;
      if (out.last !== openBrace && out.last !== openBracket) out.text(",");
      out.text(key);
      if (!write(info, out)) out.length = before;
    }
    if (optional && out.length === start + open.length) {
      out.length = start;
      return false;
    }
    out.text(close);
    return true;
  };
}

function compileText(format: string, path: readonly (string | number)[], omitEmpty: boolean, deps: OperatorDeps, issues: Issue[]): Write {
  const parsed = parseFormat(format, deps);
  issues.push(...parsed.issues.map((issue) => ({ ...issue, path: [...path, ...issue.path] })));
  if (!parsed.ok) return () => false;
  const [only, ...more] = parsed.value;
  if (more.length > 0 || only === undefined || typeof only === "string") {
    const text = joinPieces(parsed.value, omitEmpty ? "" : "-");
    return (info, out) => {
      out.quoted(text(info));
      return true;
    };
  }
  return (info, out) => {
    const value = only(info);
    if (typeof value === "string") out.quoted(value);
    else if (typeof value === "number") out.text(String(value));
    else if (value !== undefined) out.text(toBytes(JSON.stringify(value)));
    else if (omitEmpty) return false;
    else out.text("null");
    return true;
  };
}
