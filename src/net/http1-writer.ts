// Writes one HTTP/1 message at a time on a socket: holds the head back for the first body bytes, so that a small message is
// one string and one write, frames chunks, and says when to stop. Used on both sides of the proxy.
import type { Socket } from "node:net";
import type { Counter } from "../telemetry/stats.ts";
import type { HeaderMap } from "../wire/header-map.ts";
import { encodeLastChunk } from "../wire/http1-encode.ts";
import { keepReadBuffer } from "./socket-reader.ts";

// Body bytes up to this size are joined with the head into one string; copying more costs more than a vectored write.
const joinLimitBytes = 8192;

/** The writing side of an HTTP/1 connection. */
export class Http1Writer {
  readonly #socket: Socket;
  readonly #bytes: Counter;
  #held = "";
  #chunked = false;

  /** @param bytes counts what is written */
  constructor(socket: Socket, bytes: Counter) {
    this.#socket = socket;
    this.#bytes = bytes;
  }

  /**
   * Starts a message. `head` ends with the blank line.
   * @param chunked frame what follows in chunks
   * @param complete nothing follows: write it now
   */
  begin(head: string, chunked: boolean, complete: boolean): void {
    this.#chunked = chunked;
    if (complete) this.text(head);
    else this.#held = head;
  }

  /** Writes body bytes; false means wait for the socket's `drain`. */
  data(data: Buffer, endStream: boolean): boolean {
    if (data.length > joinLimitBytes) return this.#large(data, endStream);
    let text = this.#held;
    this.#held = "";
    if (data.length > 0) text += this.#chunked ? `${data.length.toString(16)}\r\n${data.toString("latin1")}\r\n` : data.toString("latin1");
    if (endStream && this.#chunked) text += "0\r\n\r\n";
    return text === "" || this.text(text);
  }

  #large(data: Buffer, endStream: boolean): boolean {
    const socket = this.#socket;
    socket.cork();
    this.flush();
    if (this.#chunked) this.text(`${data.length.toString(16)}\r\n`);
    this.#bytes.add(data.length);
    let ok = socket.write(data);
    if (this.#chunked) ok = this.text(endStream ? "\r\n0\r\n\r\n" : "\r\n");
    socket.uncork();
    // After a false nothing is read until the write is done; otherwise the bytes may still be waiting when the next read comes.
    if (socket.writableLength > 0 && (ok || endStream)) keepReadBuffer();
    return ok;
  }

  /** Ends a chunked message, with trailers if there are any. */
  trailers(trailers: HeaderMap | undefined): void {
    this.flush();
    if (this.#chunked) this.text(encodeLastChunk(trailers));
  }

  /** Writes a head that is held back. */
  flush(): void {
    if (this.#held === "") return;
    const head = this.#held;
    this.#held = "";
    this.text(head);
  }

  /** Writes characters as bytes (latin1), as they are. */
  text(text: string): boolean {
    this.#bytes.add(text.length);
    return this.#socket.write(text, "latin1");
  }
}
