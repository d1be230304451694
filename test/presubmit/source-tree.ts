// The repository's text as the presubmit tests see it: files, their code without comments and strings, their imports.
import fs from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

/** The repository's root folder. */
export const repositoryRoot = fileURLToPath(new URL("../..", import.meta.url));

/** One source file. */
export interface SourceFile {
  /** Path from the root, with forward slashes. */
  readonly path: string;
  readonly text: string;
  /** The text with comments blanked out; line numbers are kept. */
  readonly code: string;
  readonly imports: readonly ImportedModule[];
}

/** One module that a file imports, exports from, or loads by `import()` or a module-relative URL. */
export interface ImportedModule {
  /** A path from the root for a relative import, else the specifier as written. */
  readonly target: string;
  readonly relative: boolean;
  /** True when nothing of it exists at run time. */
  readonly typeOnly: boolean;
  /** What is taken of it, as it is called there; empty when the whole module is. */
  readonly names: readonly string[];
}

/** Every TypeScript file under `folder`, sorted. */
export function sourceFiles(folder: string): SourceFile[] {
  return filesUnder(folder)
    .filter((file) => file.endsWith(".ts"))
    .map((file) => {
      const text = fs.readFileSync(path.join(repositoryRoot, file), "utf8");
      const code = blankComments(text);
      return { path: file, text, code, imports: importsOf(file, code) };
    });
}

/** Every file under `folder`, as paths from the root, sorted; empty when the folder is not there. */
export function filesUnder(folder: string): string[] {
  const top = path.join(repositoryRoot, folder);
  if (!fs.existsSync(top)) return [];
  return fs
    .readdirSync(top, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(repositoryRoot, path.join(entry.parentPath, entry.name)).replaceAll(path.sep, "/"))
    .sort();
}

/** Reads a file by its path from the root. */
export function readText(file: string): string {
  return fs.readFileSync(path.join(repositoryRoot, file), "utf8");
}

/** Blanks the text inside string and template literals, so that words in messages are not taken for code. */
export function blankStrings(code: string): string {
  return code.replace(/"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`(?:[^`\\]|\\[\s\S])*`/g, (literal) => literal.replace(/[^\n"'`]/g, " "));
}

// Strings, template literals and regular expressions are matched first, so that a `//` inside them does not start a comment.
function blankComments(text: string): string {
  const tokens =
    /"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`(?:[^`\\]|\\[\s\S])*`|\/\*[\s\S]*?\*\/|\/\/[^\n]*|(?<=[(,=:[!&|?{};\n]\s*)\/(?![/*])(?:[^/\\\n[]|\\.|\[(?:[^\]\\\n]|\\.)*\])+\//g;
  return text.replace(tokens, (token) => (/^\/[/*]/.test(token) ? token.replace(/[^\n]/g, " ") : token));
}

function importsOf(file: string, code: string): ImportedModule[] {
  const found: ImportedModule[] = [];
  const patterns = [
    /^\s*(?:import|export)\s([^"';]*?)\bfrom\s*["']([^"']+)["']/gm,
    /^\s*import(\s*)["']([^"']+)["']/gm,
    /(?<=\bconst\s)(\{[^}]*\})\s*=\s*await import\(\s*["']([^"']+)["']\s*\)/g,
    /\b(?:import|require)(\()\s*["']([^"']+)["']\s*\)/g,
    /\bnew (URL)\(\s*["'](\.[^"']+\.ts)["']\s*,\s*import\.meta\.url\s*\)/g,
    // A thread's entry, which is started as it is or as it was built.
    /\bimport\.meta\.(url)\.endsWith\(["']\.ts["']\)\s*\?\s*["'](\.[^"']+\.ts)["']/g,
  ];
  for (const pattern of patterns) {
    for (const [, clause = "", specifier = ""] of code.matchAll(pattern)) {
      const relative = specifier.startsWith(".");
      found.push({
        relative,
        typeOnly: isTypeOnly(clause),
        names: namesOf(clause),
        target: relative ? path.posix.join(path.posix.dirname(file), specifier) : specifier,
      });
    }
  }
  return found;
}

// `{ type A, b as c }` of an import, `{ a: b }` of what `import()` brings.
function namesOf(clause: string): string[] {
  const list = /\{([^}]*)\}/.exec(clause)?.[1] ?? "";
  return list
    .split(",")
    .map((part) =>
      part
        .trim()
        .replace(/^type\s+/, "")
        .replace(/(\s+as\s|:)[\s\S]*$/, "")
        .trim(),
    )
    .filter((name) => name !== "");
}

// `type { A }`, or `{ type A, type B }`.
function isTypeOnly(clause: string): boolean {
  const names = /^\s*\{([^}]*)\}\s*$/
    .exec(clause)?.[1]
    ?.split(",")
    .filter((name) => name.trim() !== "");
  return /^type\s/.test(clause.trim()) || (names !== undefined && names.length > 0 && names.every((name) => /^\s*type\s/.test(name)));
}
