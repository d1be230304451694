// Path normalisation of requests, before routing and policy see the path: Envoy's normalize_path (RFC 3986 dot segments and
// unreserved escapes, after Chromium's canonicaliser), merge_slashes and path_with_escaped_slashes_action.
import type { EscapedSlashesAction } from "../envoy/listener/http-connection-manager.ts";

/** What to do to paths; the names are the connection manager's. */
export interface PathOptions {
  /** normalize_path. */
  readonly normalizePath: boolean;
  /** merge_slashes. */
  readonly mergeSlashes: boolean;
  /** path_with_escaped_slashes_action. */
  readonly escapedSlashesAction: EscapedSlashesAction;
}

/** The path to go on with; `reject` and `escaped` are a 400 and `redirect` a 307 to `path`, both with details path_normalization_failed. */
export type PathVerdict = { readonly kind: "ok" | "redirect" | "escaped"; readonly path: string } | { readonly kind: "reject" };

/** Normalises a request target in origin form; the query stays as it is. */
export function normalizePath(target: string, options: PathOptions): PathVerdict {
  // A fragment never belongs in a request, and what ignores it upstream would see another path than policy here
  // (CVE-2021-32779).
  if (target.includes("#")) return rejected;
  // A CONNECT request has no path to normalise.
  if (target === "" || isNormalPath(target)) return { kind: "ok", path: target };
  const query = target.indexOf("?");
  let path = query < 0 ? target : target.slice(0, query);
  const suffix = query < 0 ? "" : target.slice(query);

  let kind: "ok" | "redirect" = "ok";
  if (options.escapedSlashesAction !== "KEEP_UNCHANGED") {
    const unescaped = unescapeSlashes(path);
    if (unescaped !== path) {
      if (options.escapedSlashesAction === "REJECT_REQUEST") return { kind: "escaped", path: unescaped + suffix };
      if (options.escapedSlashesAction === "UNESCAPE_AND_REDIRECT") kind = "redirect";
      path = unescaped;
    }
  }
  if (options.normalizePath) {
    const canonical = canonicalize(path);
    if (canonical === undefined) return rejected;
    path = canonical;
  }
  // After the unescaping, which can make slashes.
  if (options.mergeSlashes && path.includes("//")) path = path.replace(/\/{2,}/g, "/");
  return { kind, path: path + suffix };
}

/** True when no option would change this target: the test that spares most requests everything else. Allocates nothing. */
export function isNormalPath(target: string): boolean {
  const length = target.length;
  if (length === 0 || target.charCodeAt(0) !== SLASH) return false;
  let previous = 0;
  for (let i = 0; i < length; i++) {
    const c = target.charCodeAt(i);
    if (c === QUESTION) return target.indexOf("#", i) < 0;
    const kind = c < 128 ? classes[c]! : ESCAPE;
    // A dot or another slash matters only after a slash.
    if (kind === ESCAPE || kind === SPECIAL || (previous === SLASH && (c === DOT || c === SLASH))) return false;
    previous = c;
  }
  return true;
}

const rejected: PathVerdict = { kind: "reject" };

const SLASH = 0x2f;
const BACKSLASH = 0x5c;
const DOT = 0x2e;
const PERCENT = 0x25;
const QUESTION = 0x3f;
const SEMICOLON = 0x3b;

// Kinds of ASCII characters in a path: kept either way, kept plain but unescaped when escaped (RFC 3986 unreserved),
// escaped when plain, or needing a closer look.
const PASS = 0;
const UNRESERVED = 1;
const ESCAPE = 2;
const SPECIAL = 3;

const classes: Uint8Array = (() => {
  const table = new Uint8Array(128).fill(ESCAPE);
  for (const c of "!$&'()*+,/:;=@[]") table[c.charCodeAt(0)] = PASS;
  for (const c of "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~") table[c.charCodeAt(0)] = UNRESERVED;
  table[PERCENT] = SPECIAL;
  table[BACKSLASH] = SPECIAL;
  return table;
})();

function unescapeSlashes(path: string): string {
  return path.includes("%") ? path.replace(/%2f/gi, "/").replace(/%5c/gi, "\\") : path;
}

// One pass that copies, escapes, unescapes and resolves dot segments, so that what one step makes the next one sees, as
// Chromium does it. Undefined: the path holds a NUL.
function canonicalize(path: string): string | undefined {
  const first = path.charCodeAt(0);
  let out = first === SLASH || first === BACKSLASH ? "" : "/";
  // Where in `out` there is a `%` that began no escape in the input, innermost last.
  const strayPercents: number[] = [];
  let i = 0;
  while (i < path.length) {
    const c = path.charCodeAt(i);
    const dot = dotLength(path, i);
    if (dot > 0) {
      const afterSlash = out.endsWith("/");
      const segment = afterSlash ? classifyDots(path, i + dot) : notDots;
      if (segment.up > 0) {
        out = out.slice(0, Math.max(0, out.lastIndexOf("/", out.length - 2)) + 1);
        while (strayPercents.length > 0 && strayPercents.at(-1)! >= out.length) strayPercents.pop();
      }
      if (segment === notDots) {
        out += ".";
        i += dot;
      } else i = segment.end;
    } else if (c === PERCENT) {
      const value = escapedValue(path, i);
      if (value === 0) return undefined;
      if (value < 0) {
        strayPercents.push(out.length);
        out += "%";
        i++;
      } else {
        out += value < 128 && classes[value] === UNRESERVED ? String.fromCharCode(value) : path.slice(i, i + 3);
        i += 3;
      }
    } else {
      if (c === 0) return undefined;
      if (c === BACKSLASH) out += "/";
      else if (c >= 128 || classes[c] === ESCAPE) out += `%${c.toString(16).toUpperCase().padStart(2, "0")}`;
      else out += path[i]!;
      i++;
    }
  }
  return strayPercents.length === 0 ? out : escapeNestedPercents(out, strayPercents);
}

/** A dot segment that ends at `end`; `up` is 1 for `..`. */
interface DotSegment {
  readonly up: 0 | 1;
  readonly end: number;
}

const notDots: DotSegment = { up: 0, end: -1 };

// What the dot before `at` is the start of, knowing that a slash came before it. Parameters (`..;x`) count as part of the
// dots, because servers that drop them would resolve the segment behind our back.
function classifyDots(path: string, at: number): DotSegment {
  const single = segmentEnd(path, at);
  if (single >= 0) return { up: 0, end: single };
  const second = dotLength(path, at);
  if (second === 0) return notDots;
  const double = segmentEnd(path, at + second);
  return double < 0 ? notDots : { up: 1, end: double };
}

// The index behind the segment (and its slash) when only parameters or nothing follow at `at`, otherwise -1.
function segmentEnd(path: string, at: number): number {
  if (at >= path.length) return path.length;
  const c = path.charCodeAt(at);
  if (c === SLASH || c === BACKSLASH) return at + 1;
  if (c !== SEMICOLON) return -1;
  let end = at;
  while (end < path.length && path.charCodeAt(end) !== SLASH && path.charCodeAt(end) !== BACKSLASH) end++;
  return Math.min(end + 1, path.length);
}

// Length of a plain or escaped dot at `at`, 0 when there is none.
function dotLength(path: string, at: number): number {
  const c = path.charCodeAt(at);
  if (c === DOT) return 1;
  return c === PERCENT && escapedValue(path, at) === DOT ? 3 : 0;
}

// The byte of `%XX` at `at`, -1 when it is no escape.
function escapedValue(path: string, at: number): number {
  const high = hexDigit(path.charCodeAt(at + 1));
  const low = hexDigit(path.charCodeAt(at + 2));
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}

function hexDigit(c: number): number {
  if (c >= 0x30 && c <= 0x39) return c - 0x30;
  const lower = c | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}

// Unescaping may have completed an escape that was not one in the input (`%%30%30`): its percent sign is escaped, so that
// normalising again, here or upstream, gives the same path.
function escapeNestedPercents(out: string, percents: readonly number[]): string {
  let result = "";
  let from = 0;
  for (const at of percents) {
    if (escapedValue(out, at) < 0) continue;
    result += `${out.slice(from, at)}%25`;
    from = at + 1;
  }
  return result + out.slice(from);
}
