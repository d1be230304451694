// Path matchers of routes and RBAC as predicates over the path without its query. `connect` is not about the path: whoever
// knows the method decides it, here it never matches.
import type { PathMatcher } from "../envoy/string-matcher.ts";
import { requireRegex } from "./string-matcher.ts";
import { uriTemplatePattern } from "./uri-template.ts";

/** Tells whether a path (no query) matches. */
export type PathTest = (path: string) => boolean;

/** The path without its query: the same string when there is none. */
export function withoutQuery(path: string): string {
  const at = path.indexOf("?");
  return at < 0 ? path : path.slice(0, at);
}

/** Compiles a matcher. Throws when its regex or template is not valid. */
export function compilePathMatcher(model: PathMatcher): PathTest {
  switch (model.kind) {
    case "prefix":
    case "path":
    case "pathSeparatedPrefix":
      return compileLiteral(model.kind, model.value, model.caseSensitive);
    case "safeRegex": {
      const regex = requireRegex(model.regex);
      return (path) => regex.matches(path);
    }
    case "template": {
      const pattern = uriTemplatePattern(model.template);
      if (typeof pattern !== "string") throw new Error(`path template ${JSON.stringify(model.template)} ${pattern.error}`);
      const regex = requireRegex(pattern);
      return (path) => regex.matches(path);
    }
    case "connect":
      return () => false;
  }
}

function compileLiteral(kind: "prefix" | "path" | "pathSeparatedPrefix", value: string, caseSensitive: boolean): PathTest {
  if (!caseSensitive) {
    const test = compileLiteral(kind, value.toLowerCase(), true);
    return (path) => path.length >= value.length && test(path.toLowerCase());
  }
  switch (kind) {
    case "prefix":
      return (path) => path.startsWith(value);
    case "path":
      return (path) => path === value;
    case "pathSeparatedPrefix": {
      const length = value.length;
      return (path) => path.startsWith(value) && (path.length === length || path.charCodeAt(length) === SLASH);
    }
  }
}

const SLASH = 0x2f;
