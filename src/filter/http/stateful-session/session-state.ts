// How a session's host is written into a cookie or a header, and read again: Envoy's formats, so that both can serve one session.
import type { SessionCookie, SessionState } from "../../../envoy/http-filter/stateful-session.ts";
import { cookieValue } from "../../../http/route/hash-policy.ts";
import type { HttpStream } from "../../../http/stream.ts";
import type { HeaderMap } from "../../../wire/header-map.ts";

/** One kind of session state. */
export interface SessionCodec {
  /** The request has a part in sessions. */
  applies(stream: HttpStream): boolean;
  /** `ip:port` of the host that the request asks for. */
  read(stream: HttpStream, nowMs: number): string | undefined;
  /** Tells the client its host. */
  write(headers: HeaderMap, address: string, nowMs: number): void;
}

/** Makes the codec of a state. */
export function createSessionCodec(state: SessionState): SessionCodec {
  return state.kind === "cookie" ? cookieCodec(state) : headerCodec(state.name);
}

// An address and a port are short; whoever sends more sends something else.
const maxEncodedLength = 512;

function decodeBase64(text: string | undefined): Buffer | undefined {
  if (text === undefined || text === "" || text.length > maxEncodedLength) return undefined;
  const bytes = Buffer.from(text, "base64");
  // Node skips what is not base64.
  return bytes.toString("base64") === text ? bytes : undefined;
}

function headerCodec(name: string): SessionCodec {
  return {
    applies: () => true,
    read: ({ headers }) => decodeBase64(headers.get(name))?.toString("latin1"),
    write: (headers, address) => headers.set(name, Buffer.from(address, "latin1").toString("base64")),
  };
}

function cookieCodec({ name, ttlMs, path, attributes }: SessionCookie): SessionCodec {
  const seconds = Math.floor(ttlMs / 1000);
  const more = attributes.map((attribute) => `; ${attribute.name}${attribute.value === "" ? "" : `=${attribute.value}`}`).join("");
  const tail = `${seconds > 0 ? `; Max-Age=${seconds}` : ""}${path === "" ? "" : `; Path=${path}`}${more}; HttpOnly`;
  return {
    applies: (stream) => isBelow(stream.path, path),
    read: (stream, nowMs) => {
      const cookie = parseCookie(decodeBase64(cookieValue(stream, name)));
      if (cookie === undefined || cookie.address === "") return undefined;
      // With a lifetime every cookie of ours has an end.
      if (ttlMs > 0 && (cookie.expiresS === 0 || cookie.expiresS < nowMs / 1000)) return undefined;
      return cookie.address;
    },
    write: (headers, address, nowMs) => {
      const value = encodeCookie(address, ttlMs === 0 ? 0 : Math.floor((nowMs + ttlMs) / 1000)).toString("base64");
      headers.add("set-cookie", `${name}="${value}"${tail}`);
    },
  };
}

/** RFC 6265 section 5.1.4: the path itself, or what lies below it. */
function isBelow(target: string, path: string): boolean {
  if (path === "" || path === "/") return true;
  const query = target.indexOf("?");
  const own = query < 0 ? target : target.slice(0, query);
  return own.startsWith(path) && (own.length === path.length || path.endsWith("/") || own[path.length] === "/");
}

interface CookieFields {
  readonly address: string;
  /** Seconds; 0 = none. */
  readonly expiresS: number;
}

// envoy.Cookie: string address = 1, int64 expires = 2.
const addressTag = 0x0a;
const expiresTag = 0x10;

function encodeCookie(address: string, expiresS: number): Buffer {
  const bytes = Buffer.from(address, "latin1");
  const fields = [Buffer.from([addressTag, ...varint(bytes.length)]), bytes];
  if (expiresS > 0) fields.push(Buffer.from([expiresTag, ...varint(expiresS)]));
  return Buffer.concat(fields);
}

function parseCookie(bytes: Buffer | undefined): CookieFields | undefined {
  if (bytes === undefined) return undefined;
  let address = "";
  let expiresS = 0;
  for (let at = 0; at < bytes.length;) {
    const tag = bytes[at];
    const value = readVarint(bytes, at + 1);
    if (value === undefined) return undefined;
    at = value.end;
    if (tag === expiresTag) expiresS = value.number;
    else if (tag === addressTag && at + value.number <= bytes.length) {
      address = bytes.toString("latin1", at, at + value.number);
      at += value.number;
    } else return undefined;
  }
  return { address, expiresS };
}

function varint(number: number): readonly number[] {
  const bytes: number[] = [];
  let rest = number;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes.push((rest % 0x80) | 0x80);
  return [...bytes, rest];
}

function readVarint(bytes: Buffer, start: number): { readonly number: number; readonly end: number } | undefined {
  let number = 0;
  // Seven bytes hold what a number here may be (2^49); a longer one is not ours.
  for (let at = start, scale = 1; at < bytes.length && at < start + 7; at++, scale *= 0x80) {
    const byte = bytes[at]!;
    number += (byte & 0x7f) * scale;
    if (byte < 0x80) return { number, end: at + 1 };
  }
  return undefined;
}
