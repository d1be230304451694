// Envoy's uri_template path patterns (envoy.path.match.uri_template), e.g. `/shelf/{id}/**`, turned into RE2 syntax:
// `*` and `{name}` are one segment, `**` any number of them (with nothing but literals after it), `{name=pattern}` a named pattern.

/** Longest template accepted and most variables in it, as in Envoy. */
const maxLength = 255;
const maxVariables = 5;

// RFC 3986 pchar, which is what Envoy lets a glob stand for.
const segment = "[a-zA-Z0-9-._~%!$&'()+,;:@=]+";
const anySegments = "[a-zA-Z0-9-._~%!$&'()+,;:@=/]*";
const literal = /^[a-zA-Z0-9-._~%!$&'()+,;:@=]+$/;
const variable = /^\{([a-zA-Z][a-zA-Z0-9_]{0,15})(?:=([^{}]+))?\}$/;

/** A template as a pattern whose groups are its variables, in this order. */
export interface CapturingTemplate {
  readonly pattern: string;
  readonly names: readonly string[];
}

/** A template whose variables are to be read, or what is wrong with it. */
export function captureTemplate(template: string): CapturingTemplate | { readonly error: string } {
  const names = new Set<string>();
  const pattern = compileTemplate(template, names, (piece) => `(${piece})`);
  return typeof pattern === "string" ? { pattern: `^${pattern}$`, names: [...names] } : pattern;
}

/**
 * What a path becomes: the substitution (`\\1` being the first variable) for `captureTemplate`'s pattern, or what is wrong with the rewrite.
 * @param names of the variables there are
 */
export function templateSubstitution(rewrite: string, names: readonly string[]): string | { readonly error: string } {
  const missing = [...rewrite.matchAll(/\{([^{}]*)\}/g)].map(([, name]) => name!).find((name) => !names.includes(name));
  if (missing !== undefined) return { error: `has {${missing}}, which the route's template does not name` };
  return rewrite.replace(/\{([^{}]*)\}/g, (_, name: string) => `\\${names.indexOf(name) + 1}`);
}

/** The RE2 pattern of a template, or what is wrong with it. */
export function uriTemplatePattern(template: string): string | { readonly error: string } {
  return compileTemplate(template, new Set(), (piece) => piece);
}

function compileTemplate(template: string, names: Set<string>, wrap: (piece: string) => string): string | { readonly error: string } {
  if (!template.startsWith("/")) return { error: "does not start with /" };
  if (template.length > maxLength) return { error: `is longer than ${maxLength} characters` };
  let pattern = "";
  let closed = false;
  for (const part of splitSegments(template.slice(1))) {
    // Literals may follow it, anything that stands for something may not.
    if (closed && part !== "" && !literal.test(part)) return { error: "has something after ** that is no literal" };
    const piece = compilePart(part, names, wrap);
    if (typeof piece !== "string") return piece;
    closed ||= piece.includes(anySegments);
    pattern += `/${piece}`;
  }
  return pattern;
}

// Slashes inside braces belong to the variable's own pattern.
function splitSegments(text: string): readonly string[] {
  const parts: string[] = [];
  let start = 0;
  let depth = 0;
  for (let i = 0; i < text.length; i++) {
    const c = text[i];
    if (c === "{") depth++;
    else if (c === "}") depth--;
    else if (c === "/" && depth === 0) {
      parts.push(text.slice(start, i));
      start = i + 1;
    }
  }
  parts.push(text.slice(start));
  return parts;
}

function compilePart(part: string, names: Set<string>, wrap: (piece: string) => string): string | { readonly error: string } {
  // Only a trailing slash gives an empty part.
  if (part === "") return "";
  if (part === "*") return segment;
  if (part === "**") return anySegments;
  if (literal.test(part)) return escapeLiteral(part);
  const [, name, inner] = variable.exec(part) ?? [];
  if (name === undefined) return { error: `has ${JSON.stringify(part)}, which is neither a literal, *, ** nor {name}` };
  if (names.has(name)) return { error: `names ${name} twice` };
  names.add(name);
  if (names.size > maxVariables) return { error: `has more than ${maxVariables} variables` };
  if (inner === undefined) return wrap(segment);
  const pieces: string[] = [];
  for (const piece of inner.split("/")) {
    if (piece === "*") pieces.push(segment);
    else if (piece === "**") pieces.push(anySegments);
    else if (literal.test(piece)) pieces.push(escapeLiteral(piece));
    else return { error: `has ${JSON.stringify(piece)} in {${name}}` };
  }
  return wrap(pieces.join("/"));
}

function escapeLiteral(text: string): string {
  return text.replace(/[-.$()+]/g, "\\$&");
}
