// The request target and Host of an HTTP/1 request as path and authority (RFC 9112 section 3.2).
import type { Head } from "../../wire/http1-head.ts";

/** Where a request goes. */
export interface RequestTarget {
  readonly path: string;
  /** Undefined: the client named no host. */
  readonly authority: string | undefined;
  /** Of a target in absolute form, in lower case; empty otherwise. */
  readonly scheme: string;
}

/**
 * Reads origin-form, absolute-form (whose authority replaces Host), authority-form and asterisk-form.
 * @param allowAbsoluteUrl false: a target in absolute form is a path like any other
 */
export function readTarget(head: Head, allowAbsoluteUrl = true): RequestTarget {
  const { target, host } = head;
  if (head.method === "CONNECT") return { path: target, authority: target, scheme: "" };
  if (target.charCodeAt(0) === 47 || target === "*" || !allowAbsoluteUrl) return { path: target, authority: host, scheme: "" };
  const start = target.indexOf("//") + 2;
  const scheme = target.slice(0, start - 3).toLowerCase();
  const length = target.slice(start).search(/[/?#]/);
  // User information is no part of where a request goes (RFC 9110 section 4.2.4).
  if (length < 0) return { path: "/", authority: withoutUser(target.slice(start)), scheme };
  // A query without a path stays one: the connection manager refuses it.
  return { path: target.slice(start + length), authority: withoutUser(target.slice(start, start + length)), scheme };
}

const withoutUser = (authority: string): string => authority.slice(authority.lastIndexOf("@") + 1);
