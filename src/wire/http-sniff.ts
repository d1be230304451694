// Tells HTTP from other protocols by the first bytes of a connection: an HTTP/1.x request line or the HTTP/2 preface.
// It does not validate the request; the codec does.

/** What the connection speaks; `needMore` when the bytes so far fit HTTP but do not settle it. */
export type HttpSniff = "http/1.0" | "http/1.1" | "h2c" | "none" | "needMore";

const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "latin1");

// A closed list (IANA's method registry as far as Node's and Envoy's parsers know it), so that a text protocol that
// starts with a word and waits for an answer is told from HTTP after a few bytes instead of at the time limit.
const methods = (
  "ACL BIND CHECKOUT CONNECT COPY DELETE GET HEAD LINK LOCK M-SEARCH MERGE MKACTIVITY MKCALENDAR MKCOL MOVE NOTIFY OPTIONS " +
  "PATCH POST PROPFIND PROPPATCH PURGE PUT QUERY REBIND REPORT SEARCH SOURCE SUBSCRIBE TRACE UNBIND UNLINK UNLOCK UNSUBSCRIBE"
)
  .split(" ")
  .map((method) => Buffer.from(`${method} `, "latin1"));

const carriageReturn = 13;
const lineFeed = 10;
const space = 32;

/** Looks at everything received so far. */
export function sniffHttp(bytes: Uint8Array): HttpSniff {
  let start = 0;
  // Parsers skip empty lines in front of a request line (RFC 9112 section 2.2).
  while (bytes[start] === carriageReturn || bytes[start] === lineFeed) start++;
  if (start === bytes.length) return "needMore";
  if (start === 0 && sharesPrefix(bytes, 0, preface)) return bytes.length < preface.length ? "needMore" : "h2c";
  const method = methods.find((candidate) => sharesPrefix(bytes, start, candidate));
  if (!method) return "none";
  if (bytes.length - start < method.length) return "needMore";
  const end = bytes.indexOf(lineFeed, start);
  if (end < 0) return "needMore";
  return versionOf(bytes, start + method.length, bytes[end - 1] === carriageReturn ? end - 1 : end);
}

function sharesPrefix(bytes: Uint8Array, start: number, prefix: Uint8Array): boolean {
  const length = Math.min(bytes.length - start, prefix.length);
  for (let i = 0; i < length; i++) if (bytes[start + i] !== prefix[i]) return false;
  return true;
}

// The version is the last word of the line, and there is a target before it.
function versionOf(bytes: Uint8Array, target: number, end: number): HttpSniff {
  const at = end - "HTTP/1.x".length;
  if (at < target + 2 || bytes[at - 1] !== space || bytes[target] === space) return "none";
  const version = Buffer.from(bytes.buffer, bytes.byteOffset + at, end - at).toString("latin1");
  return version === "HTTP/1.1" ? "http/1.1" : version === "HTTP/1.0" ? "http/1.0" : "none";
}
