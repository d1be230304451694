// Envoy's substitution strings (`%REQ(X)?Y:10%`): parsed once into an array of small functions, so that a record or a header
// value is only concatenation. Strings are byte strings (one char = one byte), as header values are: what comes from
// configuration or from decoded text is turned into UTF-8 bytes when it is compiled or read.
import type { Issue, Result } from "../error.ts";
import type { Formatter } from "./access-logger.ts";
import { toBytes } from "./format/escape.ts";
import type { OperatorDeps, Read } from "./format/operator.ts";
import { operators, unavailable } from "./format/operators.ts";

/** A piece of a format: text as it is, or an operator. */
export type Piece = string | Read;

/** How a format is compiled. */
export interface FormatOptions extends OperatorDeps {
  /** What an operator without a value gives: `-` in access logs (default), empty in header values. */
  readonly missing?: "-" | "";
}

// Envoy's own shape of a command; the argument ends at the first `)` that the rest of a command follows.
const command = /%(?:%|([A-Z0-9_]+)(?:\(([\s\S]*?)\))?(?::(\d+))?%)/y;

/** Longest format accepted. */
const maxFormatLength = 65_536;

/** Parses a format into its pieces, or says which operator is wrong. */
export function parseFormat(text: string, deps: OperatorDeps = {}): Result<readonly Piece[]> {
  const issues: Issue[] = [];
  const report = (severity: Issue["severity"], message: string): void => void issues.push({ severity, path: [], message });
  if (text.length > maxFormatLength) {
    report("error", `format longer than ${maxFormatLength} characters`);
    return { ok: false, issues };
  }
  const pieces: Piece[] = [];
  let literal = "";
  for (let at = 0; at < text.length;) {
    const percent = text.indexOf("%", at);
    if (percent < 0) {
      literal += text.slice(at);
      break;
    }
    literal += text.slice(at, percent);
    command.lastIndex = percent;
    const match = command.exec(text);
    if (!match) {
      report("error", `expected a command operator such as %PROTOCOL% at character ${percent} (write %% for a percent sign)`);
      return { ok: false, issues };
    }
    at = command.lastIndex;
    const [, name, argument, length] = match;
    if (name === undefined) {
      literal += "%";
      continue;
    }
    const read = compileOperator(name, argument, deps, report);
    if (!read) continue;
    if (literal !== "") pieces.push(toBytes(literal));
    literal = "";
    pieces.push(length === undefined ? read : truncated(read, Number(length)));
  }
  if (literal !== "") pieces.push(toBytes(literal));
  return issues.some((issue) => issue.severity === "error") ? { ok: false, issues } : { ok: true, value: pieces, issues };
}

function compileOperator(
  name: string,
  argument: string | undefined,
  deps: OperatorDeps,
  report: (severity: Issue["severity"], message: string) => void,
): Read | undefined {
  if (name === "LOCAL_REPLY_BODY" && deps.localReplyBody !== undefined) return deps.localReplyBody;
  if (unavailable.has(name)) {
    report("warning", `operator %${name}% is accepted but always without a value`);
    return () => undefined;
  }
  const compile = Object.hasOwn(operators, name) ? operators[name] : undefined;
  if (!compile) {
    report("error", `unknown command operator %${name}%`);
    return undefined;
  }
  const compiled = compile(argument, deps);
  if (typeof compiled === "function") return compiled;
  if ("warning" in compiled) {
    report("warning", `%${name}%: ${compiled.warning}`);
    return () => undefined;
  }
  report("error", `%${name}%: ${compiled.error}`);
  return undefined;
}

function truncated(read: Read, length: number): Read {
  return (info) => {
    const value = read(info);
    return value === undefined ? undefined : asText(value).slice(0, length);
  };
}

/** A value as it stands in a text. */
function asText(value: string | number | boolean | object): string {
  return typeof value === "string"
    ? value
    : typeof value === "number" || typeof value === "boolean"
      ? String(value)
      : toBytes(JSON.stringify(value));
}

/** Compiles a format to one function from a stream to its text. */
export function compileFormat(text: string, options: FormatOptions = {}): Result<Formatter> {
  const parsed = parseFormat(text, options);
  if (!parsed.ok) return parsed;
  return { ok: true, value: joinPieces(parsed.value, options.missing ?? "-"), issues: parsed.issues };
}

/** Concatenates pieces; the shapes that header values mostly have need no loop. */
export function joinPieces(pieces: readonly Piece[], missing: string): Formatter {
  const parts = pieces.map((piece) => (typeof piece === "string" ? () => piece : textOf(piece, missing)));
  if (pieces.length === 0) return () => "";
  if (parts.length === 1) return parts[0]!;
  return (info) => {
    let text = "";
    for (let i = 0; i < parts.length; i++) text += parts[i]!(info);
    return text;
  };
}

function textOf(read: Read, missing: string): Formatter {
  return (info) => {
    const value = read(info);
    return value === undefined ? missing : asText(value);
  };
}
