// Path and host rewriting of forward actions and of redirects. Paths include the query, which always survives.
import type { HostRewrite, RouteMatch } from "../../envoy/route/route.ts";
import { withoutQuery } from "../../match/path-matcher.ts";
import { requireRegex } from "../../match/string-matcher.ts";
import { captureTemplate, templateSubstitution } from "../../match/uri-template.ts";
import type { FormatCompiler } from "./header-mutator.ts";
import { compileFormat } from "../../telemetry/format.ts";
import type { Formatter } from "../../telemetry/access-logger.ts";
import type { CompiledForward } from "./route-table.ts";

/** What replaces what in a path. */
export interface PathRewrite {
  /** Replaces the part that the route's prefix or path matched (the whole path for regex routes); empty = none. */
  readonly prefix: string;
  readonly regex: { readonly regex: string; readonly substitution: string } | undefined;
}

/** Compiles a path rewrite; undefined when there is none. Throws when its regex is not valid RE2. */
export function compilePathRewrite(match: RouteMatch, rewrite: PathRewrite): ((path: string) => string) | undefined {
  if (rewrite.prefix !== "") {
    const { prefix } = rewrite;
    const matched = matchedLength(match);
    if (matched === undefined) return (path) => prefix + path.slice(withoutQuery(path).length);
    return (path) => prefix + path.slice(matched);
  }
  if (rewrite.regex === undefined) return undefined;
  const regex = requireRegex(rewrite.regex.regex);
  const { substitution } = rewrite.regex;
  return (path) => {
    const old = withoutQuery(path);
    const replaced = regex.replaceAll(old, substitution);
    // An empty path is no path: Envoy keeps the old one.
    return replaced === "" ? path : replaced + path.slice(old.length);
  };
}

/** Compiles the rewrite of a path template's variables. Throws when it does not fit the route's match. */
export function compileTemplateRewrite({ path }: RouteMatch, rewrite: string): (path: string) => string {
  const { pattern, names } = sound(path.kind === "template" ? captureTemplate(path.template) : { error: "needs a path_match_policy" });
  const substitution = sound(templateSubstitution(rewrite, names));
  const regex = requireRegex(pattern);
  return (whole) => {
    const old = withoutQuery(whole);
    return regex.replaceAll(old, substitution) + whole.slice(old.length);
  };
}

function sound<T extends string | object>(result: T | { readonly error: string }): T {
  if (typeof result === "object" && "error" in result) throw new Error(`the template ${result.error}`);
  return result as T;
}

/** Compiles a path that takes the place of every other, the query staying; an empty one does not. Throws when its format does not compile. */
export function compileFormattedPath(text: string, compile: FormatCompiler): CompiledForward["rewritePath"] {
  const formatted = requireFormat(text, compile);
  return (path, info) => {
    const value = info === undefined ? "" : formatted(info);
    return value === "" ? "" : value + path.slice(withoutQuery(path).length);
  };
}

function requireFormat(text: string, compile: FormatCompiler): Formatter {
  const compiled = compile(text);
  if (!compiled.ok) throw new Error(compiled.issues.map((issue) => issue.message).join("; "));
  return compiled.value;
}

/** Compiles a host rewrite; undefined when there is none or the upstream host decides (`auto`). Throws on a bad regex. */
export function compileHostRewrite(rewrite: HostRewrite | undefined): CompiledForward["rewriteHost"] {
  switch (rewrite?.kind) {
    case undefined:
    case "auto":
      return undefined;
    case "literal": {
      const { value } = rewrite;
      return value === "" ? undefined : () => value;
    }
    case "header": {
      const name = rewrite.name.toLowerCase();
      return (request) => request.headers.get(name) || undefined;
    }
    case "format": {
      const formatted = requireFormat(rewrite.text, (text) => compileFormat(text));
      return (_request, info) => (info && formatted(info)) || undefined;
    }
    case "pathRegex": {
      const regex = requireRegex(rewrite.regex);
      const { substitution } = rewrite;
      return (request) => regex.replaceAll(withoutQuery(request.path), substitution) || undefined;
    }
  }
}

// How much of the path a route's matcher stands for; undefined = all of it.
function matchedLength(match: RouteMatch): number | undefined {
  const { path } = match;
  switch (path.kind) {
    case "prefix":
    case "path":
    case "pathSeparatedPrefix":
      return path.value.length;
    case "safeRegex":
    case "template":
    case "connect":
      return undefined;
  }
}
