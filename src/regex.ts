// Regular expressions from configuration: RE2 syntax, linear time, whole-value match. Nothing else in the tree may turn
// configuration into a RegExp.
import { RE2JS } from "re2js";

/** A compiled expression. */
export interface Regex {
  /** True when the whole of `text` matches (Envoy's safe_regex). */
  matches(text: string): boolean;
  /** Replaces every match; `substitution` uses `\1` for groups and `\\` for a backslash (Envoy's RegexMatchAndSubstitute). */
  replaceAll(text: string, substitution: string): string;
}

/** Longest pattern accepted; RE2 compiles in time linear in it, and no sane route needs more. */
const maxPatternLength = 4096;

/** Compiles `pattern`, or says what is wrong with it. */
export function compileRegex(pattern: string): Regex | { readonly error: string } {
  if (pattern.length > maxPatternLength) return { error: `regex longer than ${maxPatternLength} characters` };
  try {
    const compiled = RE2JS.compile(pattern);
    return {
      matches: (text) => compiled.matches(text),
      replaceAll: (text, substitution) => compiled.matcher(text).replaceAll(toRe2Substitution(substitution)),
    };
  } catch (thrown) {
    return { error: `not a valid RE2 expression: ${thrown instanceof Error ? thrown.message : String(thrown)}` };
  }
}

// Envoy writes groups as \1 and a backslash as \\; re2js writes $1, with $ and \ escaped by a backslash.
function toRe2Substitution(text: string): string {
  return text.replaceAll("$", "\\$").replace(/\\(\\|\d)/g, (_, c: string) => (c === "\\" ? "\\\\" : `\$${c}`));
}
