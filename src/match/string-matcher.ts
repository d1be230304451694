// type.matcher.v3.StringMatcher as a predicate. Knows nothing of headers, paths or certificates: whoever has a value uses it.
import type { StringMatcher } from "../envoy/string-matcher.ts";
import type { Regex } from "../regex.ts";
import { compileRegex } from "../regex.ts";

/** Tells whether a value matches. */
export type StringTest = (value: string) => boolean;

/** Compiles a matcher. Throws when its regex is not valid RE2, which decoding has ruled out for decoded configuration. */
export function compileStringMatcher(model: StringMatcher): StringTest {
  if (model.kind === "safeRegex") {
    const regex = requireRegex(model.regex);
    return (value) => regex.matches(value);
  }
  // Every value starts and ends with the empty string; Envoy's legacy matchers rely on it.
  if (model.value === "" && model.kind !== "exact") return () => true;
  return model.ignoreCase ? ignoringCase(model.kind, model.value.toLowerCase()) : caseSensitive(model.kind, model.value);
}

/** Compiles `pattern` or throws; for code that runs while configuration is applied, never while a request is served. */
export function requireRegex(pattern: string): Regex {
  const regex = compileRegex(pattern);
  if ("error" in regex) throw new Error(`regex ${JSON.stringify(pattern)} is ${regex.error}`);
  return regex;
}

function caseSensitive(kind: "exact" | "prefix" | "suffix" | "contains", wanted: string): StringTest {
  switch (kind) {
    case "exact":
      return (value) => value === wanted;
    case "prefix":
      return (value) => value.startsWith(wanted);
    case "suffix":
      return (value) => value.endsWith(wanted);
    case "contains":
      return (value) => value.includes(wanted);
  }
}

function ignoringCase(kind: "exact" | "prefix" | "suffix" | "contains", wanted: string): StringTest {
  const test = caseSensitive(kind, wanted);
  if (kind === "contains") return (value) => value.length >= wanted.length && test(value.toLowerCase());
  // Only the part that is compared is lowered.
  const length = wanted.length;
  if (kind === "suffix") return (value) => value.length >= length && value.slice(value.length - length).toLowerCase() === wanted;
  if (kind === "prefix") return (value) => value.length >= length && value.slice(0, length).toLowerCase() === wanted;
  return (value) => value.length === length && value.toLowerCase() === wanted;
}
