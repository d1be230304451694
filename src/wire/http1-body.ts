// HTTP/1 message bodies: strips the framing (Content-Length, chunked, until close) from bytes as they arrive. Payload of one
// read comes out as one contiguous view, because tiny chunks must not become tiny writes (CVE-2020-8659).
import type { HeaderMap } from "./header-map.ts";
import { parseTrailers, type HeadError, type HeadLimits } from "./http1-head.ts";

/** How a body ends. */
export type BodyFraming =
  | { readonly kind: "none" }
  | { readonly kind: "length"; readonly length: number }
  | { readonly kind: "chunked" }
  | { readonly kind: "close" };

const SIZE = 0;
const EXTENSION = 1;
const SIZE_LF = 2;
const DATA = 3;
const DATA_CR = 4;
const DATA_LF = 5;
const TRAILERS = 6;

// 15 hexadecimal digits stay below 2^60; a longer size is an attack or an error. An extension is skipped, within a bound.
const maxSizeDigits = 13;
const maxExtensionBytes = 4096;

/** Decodes one body; `reset` makes it ready for the next. */
export class BodyDecoder {
  readonly #limits: HeadLimits;
  #kind: "none" | "length" | "chunked" | "close" = "none";
  #state = SIZE;
  #left = 0;
  #digits = 0;
  #extension = 0;
  #trailerBytes: Buffer | undefined;
  /** Payload found by the last `decode`, or undefined. A view of the input. */
  data: Buffer | undefined;
  /** The body is complete. */
  done = true;
  /** The framing is broken, or trailers may not be as they are; nothing more can be read from this connection. */
  failed: HeadError | undefined = undefined;
  /** Trailers of a chunked body once `done`; undefined when there were none. */
  trailers: HeaderMap | undefined;

  constructor(limits: HeadLimits) {
    this.#limits = limits;
  }

  /** True when only the end of the connection ends this body. */
  get untilClose(): boolean {
    return this.#kind === "close";
  }

  /** Starts a body. `none` and length 0 are done at once. */
  reset(framing: BodyFraming): void {
    this.#kind = framing.kind;
    this.#left = framing.kind === "length" ? framing.length : 0;
    this.#state = SIZE;
    this.#digits = 0;
    this.#extension = 0;
    this.#trailerBytes = undefined;
    this.data = undefined;
    this.trailers = undefined;
    this.failed = undefined;
    this.done = framing.kind === "none" || (framing.kind === "length" && framing.length === 0);
  }

  /** Consumes from `buffer[start..end)` and returns the position after what was used. */
  decode(buffer: Buffer, start: number, end: number): number {
    this.data = undefined;
    if (this.done) return start;
    if (this.#kind === "length") {
      const stop = Math.min(end, start + this.#left);
      this.#left -= stop - start;
      this.done = this.#left === 0;
      if (stop > start) this.data = start === 0 && stop === buffer.length ? buffer : buffer.subarray(start, stop);
      return stop;
    }
    if (this.#kind === "close") {
      if (end > start) this.data = start === 0 && end === buffer.length ? buffer : buffer.subarray(start, end);
      return end;
    }
    return this.#decodeChunked(buffer, start, end);
  }

  #decodeChunked(buffer: Buffer, start: number, end: number): number {
    let at = start;
    let dataStart = -1;
    let dataEnd = -1;
    while (at < end) {
      const c = buffer[at]!;
      if (this.#state === DATA) {
        const stop = Math.min(end, at + this.#left);
        if (dataStart < 0) {
          dataStart = at;
          dataEnd = stop;
        } else {
          buffer.copyWithin(dataEnd, at, stop);
          dataEnd += stop - at;
        }
        this.#left -= stop - at;
        at = stop;
        if (this.#left === 0) this.#state = DATA_CR;
        continue;
      }
      if (this.#state === TRAILERS) {
        at = this.#readTrailers(buffer, at, end);
        break;
      }
      at++;
      if (!this.#step(c)) {
        this.failed = "codec_error";
        break;
      }
    }
    if (dataStart >= 0) this.data = buffer.subarray(dataStart, dataEnd);
    return at;
  }

  /** One framing byte; false when it is wrong. Only CRLF ends a chunk line: chunk framing is where parsers disagree. */
  #step(c: number): boolean {
    switch (this.#state) {
      case SIZE: {
        const digit = hexValue(c);
        if (digit >= 0) {
          if (++this.#digits > maxSizeDigits) return false;
          this.#left = this.#left * 16 + digit;
          return true;
        }
        if (this.#digits === 0) return false;
        if (c === 13) this.#state = SIZE_LF;
        else if (c === 59 || c === 32 || c === 9) this.#state = EXTENSION;
        else return false;
        return true;
      }
      case EXTENSION:
        if (c === 13) this.#state = SIZE_LF;
        else if (c === 10 || ++this.#extension > maxExtensionBytes) return false;
        return true;
      case SIZE_LF:
        if (c !== 10) return false;
        this.#digits = 0;
        this.#state = this.#left === 0 ? TRAILERS : DATA;
        return true;
      case DATA_CR:
        this.#state = DATA_LF;
        return c === 13;
      default:
        this.#state = SIZE;
        return c === 10;
    }
  }

  #readTrailers(buffer: Buffer, start: number, end: number): number {
    // The usual end: a blank line right away.
    if (this.#trailerBytes === undefined && end - start >= 2 && buffer[start] === 13 && buffer[start + 1] === 10) {
      this.done = true;
      return start + 2;
    }
    const before = this.#trailerBytes?.length ?? 0;
    const bytes = before === 0 ? buffer.subarray(start, end) : Buffer.concat([this.#trailerBytes!, buffer.subarray(start, end)]);
    const result = parseTrailers(bytes, 0, bytes.length, this.#limits);
    if (result === "incomplete") {
      this.#trailerBytes = before === 0 ? Buffer.from(bytes) : bytes;
      return end;
    }
    // Framing fields in a trailer section would mean another message to a careless reader.
    if (typeof result === "string" || result.chunked || result.contentLength >= 0 || result.host !== undefined) {
      this.failed = result === "unexpected_underscore" ? result : "codec_error";
      return end;
    }
    this.done = true;
    if (result.headers.size > 0) this.trailers = result.headers;
    return start + result.consumed - before;
  }
}

function hexValue(c: number): number {
  if (c >= 48 && c <= 57) return c - 48;
  const lower = c | 32;
  return lower >= 97 && lower <= 102 ? lower - 87 : -1;
}
