// Operators that read headers and the path: `%REQ(a?b)%`, `%RESP(a)%`, `%TRAILER(a)%`, `%PATH(NQ:ORIG)%`, `%QUERY_PARAM(a)%`.
// Values are the bytes of the header as they came: the codecs let no control character but a tab through.
import type { HeaderMap } from "../../wire/header-map.ts";
import type { CompileOperator } from "./operator.ts";
import type { StreamInfo } from "../stream-info.ts";

type ReadText = (info: StreamInfo) => string | undefined;

// Pseudo-headers live in fields of their own, whatever the protocol; an empty one means there was no request.
const requestPseudo: Readonly<Record<string, ReadText>> = {
  ":method": (i) => i.method || undefined,
  ":path": (i) => i.path || undefined,
  ":authority": (i) => i.authority || undefined,
  host: (i) => i.authority || undefined,
  ":scheme": (i) => i.scheme || undefined,
};
const responsePseudo: Readonly<Record<string, ReadText>> = {
  ":status": (i) => (i.responseHeaders === undefined && i.responseCode === 0 ? undefined : String(i.responseCode)),
};

/** Compiles `NAME` or `NAME?ALTERNATIVE` to a read of that message part. */
export function headerOperator(part: "request" | "response" | "trailer"): CompileOperator {
  return (argument) => {
    const [main = "", alternative, ...more] = (argument ?? "").toLowerCase().split("?");
    if (main === "" || alternative === "" || more.length > 0) return { error: "expected a header name, or two with ? between" };
    const first = readHeader(part, main);
    if (alternative === undefined) return first;
    const second = readHeader(part, alternative);
    return (info) => first(info) ?? second(info);
  };
}

function readHeader(part: "request" | "response" | "trailer", name: string): ReadText {
  if (part === "request") return requestPseudo[name] ?? ((info) => info.requestHeaders?.get(name));
  if (part === "response") return responsePseudo[name] ?? ((info) => info.responseHeaders?.get(name));
  return (info) => info.responseTrailers?.get(name);
}

/** `%PATH(WQ|NQ:ORIG|PATH|ORIG_OR_PATH)%`. */
export const pathOperator: CompileOperator = (argument = "") => {
  const [query = "", which = ""] = argument.split(":");
  const original: ReadText = (info) => info.requestHeaders?.get("x-envoy-original-path");
  const current: ReadText = (info) => info.path || undefined;
  const reads: Readonly<Record<string, ReadText>> = {
    ORIG: original,
    PATH: current,
    "": (i) => original(i) ?? current(i),
    ORIG_OR_PATH: (i) => original(i) ?? current(i),
  };
  const read = reads[which];
  if (!read || !["", "WQ", "NQ"].includes(query)) return { error: "expected WQ or NQ, then ORIG, PATH or ORIG_OR_PATH" };
  return query === "NQ" ? (info) => read(info)?.split("?", 1)[0] : read;
};

// What needs no percent-encoding (RFC 3986 section 2.3) without it; the rest as it was.
function unreserved(text: string): string {
  const character = String.fromCharCode(parseInt(text.slice(1), 16));
  return /[\w.~-]/.test(character) ? character : text;
}

/** `%QUERY_PARAMS(ORIG|DECODED)%`: everything behind the question mark. */
export const queryStringOperator: CompileOperator = (argument) => {
  if (argument !== undefined && argument !== "ORIG" && argument !== "DECODED") return { error: "expected ORIG or DECODED" };
  const read =
    argument === "DECODED" ? (text: string): string => text.replace(/%[2-7][0-9a-f]/gi, unreserved) : (text: string): string => text;
  return ({ path }) => {
    const mark = path.indexOf("?");
    return mark < 0 ? undefined : read(path.slice(mark + 1)) || undefined;
  };
};

// Control characters stay encoded: a line end would forge a record.
const decoded = (value: string): string =>
  value.includes("%")
    ? value.replace(/%([2-9a-f][0-9a-f])/gi, (text, hex: string) => (/^7f$/i.test(hex) ? text : String.fromCharCode(parseInt(hex, 16))))
    : value;

/** `%QUERY_PARAM(name)%`: the first of that name, percent-decoded. */
export const queryOperator: CompileOperator = (argument) => {
  if (!argument) return { error: "expected the name of a query parameter" };
  return (info) => {
    const mark = info.path.indexOf("?");
    if (mark < 0) return undefined;
    for (const pair of info.path.slice(mark + 1).split("&")) {
      const [name = "", value = ""] = pair.split("=", 2);
      if (name === argument) return decoded(value);
    }
    return undefined;
  };
};

/** Bytes of the names and values, as Envoy counts a header map. */
export function headersBytes(headers: HeaderMap | undefined): number {
  if (!headers) return 0;
  let bytes = 0;
  for (let i = 0; i < headers.size; i++) bytes += headers.names[i]!.length + headers.values[i]!.length;
  return bytes;
}

/** Bytes of the fields that a request has beside its headers in HTTP/2's form, which Envoy counts too; 0 without a request. */
export function pseudoHeadersBytes({ requestHeaders, method, path, authority, scheme }: StreamInfo): number {
  if (requestHeaders === undefined) return 0;
  const length = (name: string, value: string): number => (value === "" ? 0 : name.length + value.length);
  return length(":method", method) + length(":path", path) + length(":authority", authority) + length(":scheme", scheme);
}
