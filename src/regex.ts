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
      matches: compileMatches(pattern, compiled),
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

/** A piece of a pattern: a literal character, or a class of them, and how often it comes. */
interface Atom {
  /** The character itself; empty for a class. */
  readonly literal: string;
  /** As the engine's own expressions write it. */
  readonly native: string;
  readonly quantifier: "" | "?" | "*" | "+";
}

// Classes that mean the same in RE2 and in the engine's own expressions, or are rewritten so that they do.
const classes: Readonly<Record<string, string>> = { ".": "[^\\n]", "\\d": "[0-9]", "\\w": "[0-9A-Za-z_]" };
// oxlint-disable-next-line no-control-regex -- escaped control characters are RE2's to read
const atom = /([A-Za-z0-9/_~!@#%&=:;"'<>, -]|\\[^A-Za-z0-9\x00-\x20\x7f-\uffff])|(\.|\\[dw]|\[\^?[A-Za-z0-9/_.-]+\])/y;

// RE2's guarantee is bought with a matcher that takes 1.4 us where the engine's own takes 28 ns (`/api/items/[0-9]+`). What most routes are written
// with needs no guarantee: literal characters and classes, of which one at most repeats, cannot backtrack far.
function compileMatches(pattern: string, compiled: RE2JS): (text: string) => boolean {
  const { atoms, whole } = readAtoms(pattern);
  if (whole && atoms.filter(({ quantifier }) => quantifier !== "").length <= 1) {
    const native = new RegExp(`^${atoms.map((each) => each.native + each.quantifier).join("")}$`);
    return (text) => native.test(text);
  }
  // A pattern that is more than that still says how its matches begin, which refuses most texts.
  let prefix = "";
  for (const { literal, quantifier } of atoms) {
    if (literal === "" || (quantifier !== "" && quantifier !== "+")) break;
    prefix += literal;
    if (quantifier === "+") break;
  }
  return prefix === "" ? (text) => compiled.matches(text) : (text) => text.startsWith(prefix) && compiled.matches(text);
}

/** The atoms that a pattern begins with; none when it has alternatives. `whole`: there is nothing else. */
function readAtoms(pattern: string): { readonly atoms: readonly Atom[]; readonly whole: boolean } {
  const atoms: Atom[] = [];
  if (pattern.includes("|")) return { atoms, whole: false };
  let at = pattern.startsWith("^") ? 1 : 0;
  const end = pattern.endsWith("$") && !pattern.endsWith("\\$") ? pattern.length - 1 : pattern.length;
  while (at < end) {
    atom.lastIndex = at;
    const match = atom.exec(pattern);
    if (match === null || atom.lastIndex > end) break;
    const [text, literal, set = ""] = match;
    const next = pattern[atom.lastIndex] ?? "";
    // Lazy, possessive and counted repetition are left to RE2.
    const after = pattern[atom.lastIndex + 1] ?? "";
    const repeats = next === "*" || next === "+" || next === "?";
    if (next === "{" || (repeats && (after === "?" || after === "+" || after === "*" || after === "{"))) break;
    const quantifier = repeats ? next : "";
    atoms.push({ literal: literal === undefined ? "" : literal.replace(/^\\/, ""), native: classes[set] ?? text, quantifier });
    at = atom.lastIndex + quantifier.length;
  }
  return { atoms, whole: at === end };
}
