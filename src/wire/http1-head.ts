// HTTP/1 message heads: bytes in, one verdict out (RFC 9112, with what Envoy accepts by normalising: bare LF, obs-fold,
// leading blank lines). Field names come out lower-cased, values trimmed; connection-specific fields are read, not kept.
import { HeaderMap } from "./header-map.ts";
import { fieldKind, knownFields, type KnownField } from "./known-fields.ts";

/** Why a head was refused; the server side turns it into a status and Envoy's details. */
export type HeadError =
  | "codec_error"
  | "invalid_characters"
  | "invalid_url"
  | "invalid_scheme"
  | "invalid_authority"
  | "connection_header_rejected"
  | "body_disallowed"
  | "invalid_transfer_encoding"
  | "content_length_and_chunked_not_allowed"
  | "headers_too_large"
  | "too_many_headers"
  | "unexpected_underscore"
  | "low_version";

/** Limits and options of one side. */
export interface HeadLimits {
  /** Bytes of the whole head. */
  readonly maxBytes: number;
  readonly maxHeaders: number;
  readonly underscores: "ALLOW" | "REJECT_REQUEST" | "DROP_HEADER";
}

/** A parsed head. Fields of the other direction keep their initial value. */
export class Head {
  method = "";
  target = "";
  status = 0;
  /** What an HTTP/2 request gives as its scheme, in lower case. */
  scheme = "";
  /** 0 or 1 for HTTP/1.x. */
  minorVersion = 1;
  readonly headers: HeaderMap = new HeaderMap();
  /** The `host` field; undefined when absent. Several are joined by a comma, which then matches no virtual host. */
  host: string | undefined = undefined;
  /** -1 when absent. */
  contentLength = -1;
  chunked = false;
  connectionClose = false;
  connectionKeepAlive = false;
  /** `upgrade` token named in Connection, with the lower-cased Upgrade value. */
  upgrade = "";
  expectContinue = false;
  /** Bytes of the input that belong to the head. */
  consumed = 0;
}

/** Outcome of a parse. */
export type HeadResult = Head | HeadError | "incomplete";

// The methods Envoy's HTTP/1 parser knows; anything else is a codec error.
const methods = new Set(
  (
    "ACL BIND CHECKOUT CONNECT COPY DELETE GET HEAD LINK LOCK MERGE MKACTIVITY MKCALENDAR MKCOL MOVE MSEARCH NOTIFY OPTIONS PATCH " +
    "POST PROPFIND PROPPATCH PURGE PUT REBIND REPORT SEARCH SOURCE SUBSCRIBE TRACE UNBIND UNLINK UNLOCK UNSUBSCRIBE"
  ).split(" "),
);
const longestMethod = 11;

const token = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const blankEnds = /^[ \t]+|[ \t]+$/g;
const target = /^[\x21-\x7e]+$/;
// Anything a field value must not hold, and a CR that does not end a line.
// oxlint-disable-next-line no-control-regex
const forbidden = /[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\r(?!\n)/;
// What a CONNECT names: never a path, always a port.
const hostAndPort = /^(?:[A-Za-z0-9._~%!$&'()*+,;=-]+|\[[0-9A-Fa-f:.]+\]):([0-9]{1,5})$/;
const urlAuthority = /^(?:[^@]*@)?(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.%]+\])(?::([0-9]{1,5}))?$/;
const decimal = /^[0-9]{1,15}$/;

/**
 * Parses a request head from `buffer[start..end)`.
 * `incomplete` means: read more and call again with all bytes; what can be refused early is refused early.
 */
export function parseRequestHead(buffer: Buffer, start: number, end: number, limits: HeadLimits): HeadResult {
  // Leading blank lines are tolerated (RFC 9112 section 2.2).
  let at = start;
  while (at < end && (buffer[at] === 13 || buffer[at] === 10)) at++;
  const text = headText(buffer, at, end, limits.maxBytes);
  const lineEnd = text.indexOf("\n");
  if (lineEnd < 0) {
    if (end - at > limits.maxBytes) return "headers_too_large";
    return couldBeMethod(text) ? "incomplete" : "codec_error";
  }
  const head = new Head();
  const lineError = parseRequestLine(head, text, text.charCodeAt(lineEnd - 1) === 13 ? lineEnd - 1 : lineEnd);
  if (lineError) return end - at > limits.maxBytes && lineError !== "low_version" ? "headers_too_large" : lineError;
  const outcome = parseFields(head, text, lineEnd + 1, limits, end - at > limits.maxBytes);
  if (outcome !== undefined) return outcome;
  head.consumed += at - start;
  return head;
}

/** Parses a response head; same contract as for requests. */
export function parseResponseHead(buffer: Buffer, start: number, end: number, limits: HeadLimits): HeadResult {
  const text = headText(buffer, start, end, limits.maxBytes);
  const lineEnd = text.indexOf("\n");
  if (lineEnd < 0) {
    if (end - start > limits.maxBytes) return "headers_too_large";
    return "HTTP/1.".startsWith(text.slice(0, 7)) ? "incomplete" : "codec_error";
  }
  const head = new Head();
  const stop = text.charCodeAt(lineEnd - 1) === 13 ? lineEnd - 1 : lineEnd;
  // `HTTP/1.x SSS` and then a space and any reason, or nothing.
  if (stop < 12 || !text.startsWith("HTTP/1.") || text.charCodeAt(8) !== 32) return "codec_error";
  const minor = text.charCodeAt(7) - 48;
  if (minor !== 0 && minor !== 1) return "codec_error";
  head.minorVersion = minor;
  const digits = text.slice(9, 12);
  if (!/^[1-9][0-9][0-9]$/.test(digits) || (stop > 12 && text.charCodeAt(12) !== 32)) return "codec_error";
  const status = Number(digits);
  head.status = status;
  const outcome = parseFields(head, text, lineEnd + 1, limits, end - start > limits.maxBytes);
  return outcome ?? head;
}

/** Parses a trailer section (after the last chunk) that starts at `start`; `consumed` is in the result. */
export function parseTrailers(buffer: Buffer, start: number, end: number, limits: HeadLimits): HeadResult {
  const head = new Head();
  const text = headText(buffer, start, end, limits.maxBytes);
  return parseFields(head, text, 0, limits, end - start > limits.maxBytes) ?? head;
}

function headText(buffer: Buffer, start: number, end: number, maxBytes: number): string {
  // Most reads hold exactly one head, so look for its usual end before turning body bytes into characters.
  const stop = buffer.indexOf("\r\n\r\n", start, "latin1");
  return buffer.toString("latin1", start, Math.min(stop < 0 ? end : stop + 4, end, start + maxBytes + 1));
}

function couldBeMethod(text: string): boolean {
  const space = text.indexOf(" ");
  if (space >= 0) return methods.has(text.slice(0, space));
  if (text.length > longestMethod) return false;
  for (const method of methods) if (method.startsWith(text)) return true;
  return false;
}

function parseRequestLine(head: Head, text: string, stop: number): HeadError | undefined {
  const first = text.indexOf(" ");
  if (first < 0 || first >= stop) return "codec_error";
  head.method = text.slice(0, first);
  if (!methods.has(head.method)) return "codec_error";
  const last = text.lastIndexOf(" ", stop - 1);
  if (last === first) {
    // HTTP/0.9: no version at all.
    head.target = text.slice(first + 1, stop);
    return target.test(head.target) && !head.target.startsWith("HTTP/") ? "low_version" : "codec_error";
  }
  head.target = text.slice(first + 1, last);
  const targetError = targetErrorOf(head.method, head.target);
  if (targetError !== undefined) return targetError;
  const version = text.slice(last + 1, stop);
  if (version === "HTTP/1.1") return undefined;
  if (version === "HTTP/1.0") {
    head.minorVersion = 0;
    return undefined;
  }
  return /^HTTP\/[0-9]\.[0-9]$/.test(version) ? "low_version" : "codec_error";
}

function targetErrorOf(method: string, text: string): HeadError | undefined {
  // oxlint-disable-next-line no-control-regex
  if (!target.test(text)) return /^[\x01-\x7f]+$/.test(text) && !/[ \t\f]/.test(text) ? "invalid_characters" : "codec_error";
  if (method === "CONNECT") return Number(hostAndPort.exec(text)?.[1] ?? 65_536) <= 65_535 ? undefined : "invalid_url";
  if (text.charCodeAt(0) === 47) return undefined;
  if (text === "*") return method === "OPTIONS" ? undefined : "invalid_url";
  const scheme = /^([A-Za-z][A-Za-z0-9+.-]*):\/\//.exec(text);
  if (scheme === null) return "codec_error";
  if (!/^https?$/i.test(scheme[1]!)) return "invalid_scheme";
  return isUrlAuthority(/^[^/?#]*/.exec(text.slice(scheme[0].length))![0]) ? undefined : "invalid_url";
}

// Stricter than for Host, as in Envoy: an absolute target says for which of several names in a request it is meant.
function isUrlAuthority(text: string): boolean {
  const [, port = "0"] = urlAuthority.exec(text) ?? [undefined, "65536"];
  return Number(port) <= 65_535;
}

/** Fills in fields from `text[at..]`; undefined when the head is complete and fine. */
function parseFields(head: Head, text: string, at: number, limits: HeadLimits, overflow: boolean): HeadError | "incomplete" | undefined {
  const { names, values } = head.headers;
  let count = 0;
  let nominated: string | undefined;
  let lengths: string | undefined;
  let codings: string | undefined;
  let upgrade = "";
  let expect: string | undefined;
  let previous: KnownField | undefined;
  let underscore = false;
  for (;;) {
    let lineEnd = text.indexOf("\n", at);
    if (lineEnd < 0) {
      if (overflow || text.length > limits.maxBytes) return "headers_too_large";
      return count > limits.maxHeaders ? "too_many_headers" : "incomplete";
    }
    const next = lineEnd + 1;
    if (text.charCodeAt(lineEnd - 1) === 13 && lineEnd > at) lineEnd--;
    if (lineEnd === at) {
      head.consumed = next;
      break;
    }
    const lead = text.charCodeAt(at);
    if (lead === 32 || lead === 9) {
      // obs-fold: continue the previous value (RFC 9112 section 5.2). Fields that frame the message
      // must not be continued: what another parser makes of them is anybody's guess.
      if (previous === undefined || (previous.kind !== fieldKind.keep && previous.kind !== fieldKind.join)) return "codec_error";
      if (++count > limits.maxHeaders) return "too_many_headers";
      // The white space it starts with stays, the line end goes.
      const more = text.slice(at, lineEnd);
      if (names.length > 0) values[values.length - 1] = `${values[values.length - 1]!}${more}`.replace(blankEnds, "");
      at = next;
      continue;
    }
    const colon = text.indexOf(":", at);
    if (colon <= at || colon >= lineEnd) return "codec_error";
    const raw = text.slice(at, colon);
    let field = knownFields.get(raw);
    if (field === undefined) {
      if (!token.test(raw)) return "codec_error";
      const name = raw.toLowerCase();
      field = knownFields.get(name) ?? { name, kind: fieldKind.keep };
      if (limits.underscores !== "ALLOW" && name.includes("_")) {
        if (limits.underscores === "DROP_HEADER") {
          previous = { name, kind: fieldKind.drop };
          at = next;
          continue;
        }
        underscore = true;
      }
    }
    if (++count > limits.maxHeaders) return "too_many_headers";
    const value = trim(text, colon + 1, lineEnd);
    previous = field;
    at = next;
    switch (field.kind) {
      case fieldKind.keep:
        names.push(field.name);
        values.push(value);
        break;
      case fieldKind.join: {
        const i = names.indexOf(field.name);
        if (i < 0) {
          names.push(field.name);
          values.push(value);
        } else {
          values[i] = `${values[i]!},${value}`;
          previous = undefined;
        }
        break;
      }
      case fieldKind.host:
        head.host = head.host === undefined ? value : `${head.host},${value}`;
        break;
      case fieldKind.contentLength:
        // Kept at its place: it goes on unchanged. A second one, even an equal one, is ambiguous.
        if (lengths !== undefined) return "codec_error";
        lengths = value;
        names.push(field.name);
        values.push(value);
        break;
      case fieldKind.transferEncoding:
        codings = codings === undefined ? value : `${codings},${value}`;
        break;
      case fieldKind.connection:
        nominated = nominated === undefined ? value : `${nominated},${value}`;
        break;
      case fieldKind.upgrade:
        upgrade = upgrade === "" ? value : `${upgrade},${value}`;
        break;
      case fieldKind.te:
        if (/(^|,)\s*trailers\s*(,|$)/i.test(value)) {
          names.push("te");
          values.push("trailers");
        }
        break;
      case fieldKind.expect:
        expect = expect === undefined ? value : `${expect},${value}`;
        break;
      default:
        break;
    }
  }
  if (head.consumed > limits.maxBytes) return "headers_too_large";
  if (forbidden.test(head.consumed === text.length ? text : text.slice(0, head.consumed))) {
    return /\r(?!\n)/.test(text) ? "codec_error" : "invalid_characters";
  }
  if (expect !== undefined) {
    if (expect.toLowerCase() === "100-continue") head.expectContinue = true;
    else head.headers.add("expect", expect);
  }
  if (underscore) return "unexpected_underscore";
  if (codings !== undefined) {
    if (codings.toLowerCase() !== "chunked") return "invalid_transfer_encoding";
    if (lengths !== undefined) return "content_length_and_chunked_not_allowed";
    head.chunked = true;
  }
  if (lengths !== undefined) {
    if (!decimal.test(lengths)) return "codec_error";
    head.contentLength = Number(lengths);
  }
  if (head.host !== undefined && head.status === 0 && !isAuthority(head.host)) return "invalid_authority";
  if (head.method === "CONNECT" && (head.chunked || head.contentLength > 0)) return "body_disallowed";
  return nominated === undefined ? undefined : applyConnection(head, nominated, upgrade);
}

/**
 * Whether a text has nothing but the characters of an authority (RFC 3986 section 3.2, user information included); what they
 * mean is not looked at, and the empty text is one.
 */
export function isAuthority(text: string): boolean {
  return /^[A-Za-z0-9._~%!$&'()*+,;=:@[\]-]*$/.test(text);
}

// RFC 9110 section 7.6.1: fields named in Connection end here.
function applyConnection(head: Head, value: string, upgrade: string): HeadError | undefined {
  const options = value.toLowerCase().split(",");
  if (options.length >= tooManyOptions && head.status === 0 && options.filter((part) => part !== "").length >= tooManyOptions)
    return "connection_header_rejected";
  for (const part of options) {
    const option = part.trim();
    if (option === "close") head.connectionClose = true;
    else if (option === "keep-alive") head.connectionKeepAlive = true;
    else if (option === "upgrade") head.upgrade = upgrade.toLowerCase();
    else if (head.status === 0 && (option.startsWith(":") || option.startsWith("x-forwarded-"))) {
      // Whoever has these taken off hides where a request comes from, and pseudo-fields are nobody's to name (as in Envoy).
      if (neverNominated.has(option) || option.startsWith(":")) return "connection_header_rejected";
      head.headers.remove(option);
    } else if (option === "host" && head.status === 0) head.host = undefined;
    // `te` is filtered where it is read; content-length is no hop-by-hop field, whatever a sender claims.
    else if (option !== "" && option !== "te" && option !== "content-length" && head.status === 0) head.headers.remove(option);
  }
  return undefined;
}

// Envoy takes no Connection field that names so many.
const tooManyOptions = 10;

const neverNominated = new Set(["x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"]);

function trim(text: string, from: number, to: number): string {
  let start = from;
  let end = to;
  for (let c = text.charCodeAt(start); start < end && (c === 32 || c === 9); c = text.charCodeAt(start)) start++;
  for (let c = text.charCodeAt(end - 1); end > start && (c === 32 || c === 9); c = text.charCodeAt(end - 1)) end--;
  return text.slice(start, end);
}
