// Turns the fields of a header block into a message head (RFC 9113 section 8): requests, responses and trailers, with what
// makes each of them malformed. One reader a connection, used block after block.
import { Head, isAuthority } from "../http1-head.ts";
import { h2Kind, type HpackField } from "../hpack/field.ts";
import type { FieldSink } from "../hpack/decoder.ts";

/** Why a head was refused; Envoy's detail after `http2.`. */
export type MessageError =
  | "invalid.header.field"
  | "violation.of.messaging.rule"
  | "header_list_size_too_large"
  | "too_many_headers"
  | "unexpected_underscore";

/** Limits of one side. */
export interface MessageLimits {
  /** Bytes of all names and values. */
  readonly maxBytes: number;
  readonly maxHeaders: number;
  readonly underscores: "ALLOW" | "REJECT_REQUEST" | "DROP_HEADER";
}

/** What a block belongs to. */
export type MessageKind = "request" | "response" | "trailers";

/** Reads blocks into heads. */
export class MessageReader implements FieldSink {
  readonly #limits: MessageLimits;
  #kind: MessageKind = "request";
  #head: Head = new Head();
  #scheme: string | undefined;
  #path: string | undefined;
  #authority: string | undefined;
  #cookie: string | undefined;
  #bytes = 0;
  #count = 0;
  #error: MessageError | undefined;

  constructor(limits: MessageLimits) {
    this.#limits = limits;
  }

  /** A block starts. */
  begin(kind: MessageKind): void {
    this.#kind = kind;
    this.#head = new Head();
    this.#scheme = undefined;
    this.#path = undefined;
    this.#authority = undefined;
    this.#cookie = undefined;
    this.#bytes = 0;
    this.#count = 0;
    this.#error = undefined;
  }

  onField(field: HpackField): void {
    const { name, value, kind } = field;
    this.#bytes += name.length + value.length;
    if (++this.#count > this.#limits.maxHeaders) this.#error ??= "too_many_headers";
    if (this.#bytes > this.#limits.maxBytes) this.#error = "header_list_size_too_large";
    if (this.#error !== undefined) return;
    const { names, values } = this.#head.headers;
    switch (kind) {
      case h2Kind.keep:
        if (this.#limits.underscores !== "ALLOW" && name.includes("_")) {
          if (this.#limits.underscores === "REJECT_REQUEST") this.#error = "unexpected_underscore";
          return;
        }
        names.push(name);
        values.push(value);
        return;
      case h2Kind.join: {
        const i = names.indexOf(name);
        if (i >= 0) values[i] = `${values[i]!},${value}`;
        else {
          names.push(name);
          values.push(value);
        }
        return;
      }
      case h2Kind.invalid:
        this.#error = "invalid.header.field";
        return;
      default:
        this.#special(kind, value);
    }
  }

  #special(kind: number, value: string): void {
    const head = this.#head;
    const { names, values } = head.headers;
    switch (kind) {
      case h2Kind.host:
        head.host ??= value;
        return;
      case h2Kind.contentLength:
        if (head.contentLength >= 0 || !/^[0-9]{1,15}$/.test(value)) this.#error = "invalid.header.field";
        else head.contentLength = Number(value);
        names.push("content-length");
        values.push(value);
        return;
      case h2Kind.cookie:
        // Clients split it for better compression; it is one field to everybody else (RFC 9113 section 8.2.3).
        this.#cookie = this.#cookie === undefined ? value : `${this.#cookie}; ${value}`;
        return;
      case h2Kind.te:
        if (value.toLowerCase() !== "trailers") this.#error = "invalid.header.field";
        names.push("te");
        values.push("trailers");
        return;
      case h2Kind.expect:
        if (this.#kind === "request" && value.toLowerCase() === "100-continue") head.expectContinue = true;
        else {
          names.push("expect");
          values.push(value);
        }
        return;
      default:
        this.#pseudo(kind, value);
    }
  }

  #pseudo(kind: number, value: string): void {
    const head = this.#head;
    // Pseudo-fields come first, once, and in the messages that they belong to.
    const misplaced = this.#count > 6 || head.headers.size > 0 || this.#cookie !== undefined || this.#kind === "trailers";
    let repeated = false;
    if (kind === h2Kind.status) {
      if (this.#kind !== "response" || !/^[1-9][0-9][0-9]$/.test(value)) this.#error = "invalid.header.field";
      repeated = head.status !== 0;
      head.status = Number(value);
    } else if (this.#kind !== "request") this.#error = "invalid.header.field";
    else if (kind === h2Kind.method) {
      repeated = head.method !== "";
      head.method = value;
      if (!/^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(value)) this.#error = "invalid.header.field";
    } else if (kind === h2Kind.path) {
      repeated = this.#path !== undefined;
      this.#path = value;
      if (!pathCharacters.test(value)) this.#error = "invalid.header.field";
      head.target = value;
    } else if (kind === h2Kind.scheme) {
      repeated = this.#scheme !== undefined;
      this.#scheme = value;
      head.scheme = value.toLowerCase();
    } else if (kind === h2Kind.authority) {
      repeated = this.#authority !== undefined;
      this.#authority = value;
      // User information has no place in HTTP/2 (RFC 9113 section 8.3.1).
      if (!isAuthority(value) || value.includes("@")) this.#error = "invalid.header.field";
    } else {
      repeated = head.upgrade !== "";
      head.upgrade = value.toLowerCase();
      if (value === "") this.#error = "invalid.header.field";
    }
    if (misplaced || repeated) this.#error ??= "invalid.header.field";
  }

  /** The head, or why there is none. */
  end(): Head | MessageError {
    const head = this.#head;
    if (this.#error !== undefined) return this.#error;
    if (this.#cookie !== undefined) head.headers.add("cookie", this.#cookie);
    if (this.#kind === "response") return head.status === 0 ? "violation.of.messaging.rule" : head;
    if (this.#kind === "trailers") return head;
    if (this.#authority !== undefined) head.host = this.#authority;
    return this.#completeRequest() ? head : "violation.of.messaging.rule";
  }

  #completeRequest(): boolean {
    const { method, upgrade, host } = this.#head;
    if (method === "CONNECT" && upgrade === "") {
      this.#head.target = host ?? "";
      return this.#scheme === undefined && this.#path === undefined && host !== undefined;
    }
    if (upgrade !== "" && method !== "CONNECT") return false;
    return method !== "" && host !== undefined && this.#scheme !== undefined && this.#scheme !== "" && validPath(this.#path, method);
  }
}

// What an HTTP/1 request line can carry, since the request may go on as one, and bytes beyond ASCII, which Envoy's HTTP/2 takes.
const pathCharacters = /^[\x21-\x7e\x80-\xff]+$/;

function validPath(path: string | undefined, method: string): boolean {
  if (path === "*") return method === "OPTIONS";
  return path !== undefined && path.startsWith("/");
}
