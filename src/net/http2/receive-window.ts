// What the peer of an HTTP/2 connection may still send, on the connection and on its streams, and when it is told that it may
// send more (RFC 9113 section 6.9).
import { initialWindowBytes } from "../../wire/http2/frame.ts";
import type { FrameWriter } from "./frame-writer.ts";
import type { SessionOptions } from "./session-options.ts";
import type { Http2Stream } from "./stream.ts";

/** The receiving windows of a connection. */
export class ReceiveWindow {
  readonly #writer: FrameWriter;
  readonly #connectionBytes: number;
  readonly #streamBytes: number;
  #left: number;
  #uncredited = 0;

  constructor({ connectionWindowBytes, streamWindowBytes }: SessionOptions, writer: FrameWriter) {
    this.#writer = writer;
    this.#connectionBytes = connectionWindowBytes;
    this.#streamBytes = streamWindowBytes;
    this.#left = Math.max(connectionWindowBytes, initialWindowBytes);
  }

  /** Bytes came; false: more than the connection may bring. */
  take(bytes: number): boolean {
    this.#left -= bytes;
    return this.#left >= 0;
  }

  /** Received bytes of a stream went on: the peer may send as many more. */
  credit(stream: Http2Stream, bytes: number): void {
    this.creditConnection(bytes);
    if (stream.remoteEnded || stream.closed) return;
    stream.uncredited += bytes;
    // Half a window at a time: neither a frame for every piece, nor a peer that stops.
    if (stream.uncredited * 2 < this.#streamBytes) return;
    stream.receiveWindow += stream.uncredited;
    this.#writer.windowUpdate(stream.id, stream.uncredited);
    stream.uncredited = 0;
  }

  /** As `credit`, for bytes that no stream has. */
  creditConnection(bytes: number): void {
    this.#uncredited += bytes;
    if (this.#uncredited * 2 < this.#connectionBytes) return;
    this.#left += this.#uncredited;
    this.#writer.windowUpdate(0, this.#uncredited);
    this.#uncredited = 0;
  }
}
