// Byte strings in logs and headers: what is not ASCII becomes UTF-8 bytes, what could break a record is escaped.

// oxlint-disable-next-line no-control-regex -- control characters are what is looked for
const notPrintableAscii = /[^\x20-\x7e]/;
const beyondAscii = /[^\x00-\x7f]/; // oxlint-disable-line no-control-regex

/** Text as a byte string: its UTF-8 bytes, one char each. */
export function toBytes(text: string): string {
  return beyondAscii.test(text) ? Buffer.from(text, "utf8").toString("latin1") : text;
}

/** A byte string as text: decoded as UTF-8 where it is UTF-8, otherwise each byte as its Latin-1 character. */
export function fromBytes(bytes: string): string {
  if (!beyondAscii.test(bytes)) return bytes;
  const text = Buffer.from(bytes, "latin1").toString("utf8");
  return text.includes("\ufffd") ? bytes : text;
}

/** A value a peer chose, safe on one line: control characters and backslashes escaped, other text as UTF-8 bytes. */
export function oneLine(text: string): string {
  if (!notPrintableAscii.test(text)) return text;
  // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
  return toBytes(text).replace(/[\x00-\x1f\x7f]/g, (c) =>
    c === "\n" ? "\\n" : c === "\r" ? "\\r" : c === "\t" ? "\\t" : `\\x${c.charCodeAt(0).toString(16).padStart(2, "0")}`,
  );
}

/** Whitespace as underscores, as Envoy writes reasons and details. */
export function underscored(text: string): string {
  return notPrintableAscii.test(text) || text.includes(" ") ? oneLine(text).replaceAll(" ", "_") : text;
}

/**
 * A server name as Envoy logs it: anything a host name cannot hold becomes `_`, with `invalid:` before. Underscores are let
 * through, because the names of the mesh (`outbound_.80_._.host`) are made of them.
 */
export function hostName(name: string): string {
  return /[^A-Za-z0-9._-]/.test(name) ? `invalid:${name.replace(/[^A-Za-z0-9._-]/g, "_")}` : name;
}
