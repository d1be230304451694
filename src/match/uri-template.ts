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

/** The RE2 pattern of a template, or what is wrong with it. */
export function uriTemplatePattern(template: string): string | { readonly error: string } {
  if (!template.startsWith("/")) return { error: "does not start with /" };
  if (template.length > maxLength) return { error: `is longer than ${maxLength} characters` };
  const names = new Set<string>();
  let pattern = "";
  let closed = false;
  for (const part of splitSegments(template.slice(1))) {
    // Literals may follow it, anything that stands for something may not.
    if (closed && part !== "" && !literal.test(part)) return { error: "has something after ** that is no literal" };
    const piece = compilePart(part, names);
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

function compilePart(part: string, names: Set<string>): string | { readonly error: string } {
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
  if (inner === undefined) return segment;
  const pieces: string[] = [];
  for (const piece of inner.split("/")) {
    if (piece === "*") pieces.push(segment);
    else if (piece === "**") pieces.push(anySegments);
    else if (literal.test(piece)) pieces.push(escapeLiteral(piece));
    else return { error: `has ${JSON.stringify(piece)} in {${name}}` };
  }
  return pieces.join("/");
}

function escapeLiteral(text: string): string {
  return text.replace(/[-.$()+]/g, "\\$&");
}
