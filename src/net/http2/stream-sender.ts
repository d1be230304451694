// What the streams of one HTTP/2 connection send: heads, data as far as both flow-control windows allow, and in turns what waits
// for a window or for the socket.
import type { HpackEncoder } from "../../wire/hpack/encoder.ts";
import type { HeaderMap } from "../../wire/header-map.ts";
import { defaultMaxFrameBytes, initialWindowBytes, largestWindow } from "../../wire/http2/frame.ts";
import type { FrameWriter } from "./frame-writer.ts";
import type { Http2Output } from "./output.ts";
import type { Http2Stream } from "./stream.ts";

/** What a sender is given. */
export interface StreamSenderDeps {
  readonly encoder: HpackEncoder;
  readonly writer: FrameWriter;
  readonly output: Http2Output;
}

/** The sending side of all streams of a connection. */
export class StreamSender {
  readonly #encoder: HpackEncoder;
  readonly #writer: FrameWriter;
  readonly #output: Http2Output;
  readonly #waiting = new Set<Http2Stream>();
  /** What the peer still takes on the connection. */
  #window = initialWindowBytes;
  #ended = false;

  constructor({ encoder, writer, output }: StreamSenderDeps) {
    this.#encoder = encoder;
    this.#writer = writer;
    this.#output = output;
  }

  /** Only what cannot wait should be written. */
  get congested(): boolean {
    return this.#output.congested;
  }

  /** Writes the block that was just encoded as a stream's head. */
  headers(stream: Http2Stream, endStream: boolean): void {
    this.#writer.headers(stream.id, this.#encoder, endStream);
  }

  /** Writes trailers; they end the stream. */
  trailers(stream: Http2Stream, trailers: HeaderMap): void {
    const encoder = this.#encoder;
    encoder.begin();
    for (let i = 0; i < trailers.size; i++) encoder.field(trailers.names[i]!, trailers.values[i]!);
    this.headers(stream, true);
  }

  /** Bytes of DATA that may be written for a stream now. */
  roomFor(stream: Http2Stream): number {
    return this.#output.congested ? 0 : Math.min(stream.sendWindow, this.#window, defaultMaxFrameBytes);
  }

  /** Writes as much of `data[from..]` as the windows allow; returns how far it came. END_STREAM goes with the last byte. */
  data(stream: Http2Stream, data: Buffer, from: number, endStream: boolean): number {
    let at = from;
    const { length } = data;
    if (length === at && endStream) {
      this.#frame(stream, data, at, 0, true);
      stream.onEndSent();
      return at;
    }
    while (at < length) {
      const room = this.roomFor(stream);
      if (room <= 0) return at;
      const size = Math.min(room, length - at);
      const last = endStream && at + size === length;
      this.#frame(stream, data, at, size, last);
      at += size;
      if (last) stream.onEndSent();
    }
    return at;
  }

  #frame(stream: Http2Stream, data: Buffer, from: number, size: number, last: boolean): void {
    stream.sendWindow -= size;
    this.#window -= size;
    this.#writer.data(stream.id, data, from, size, last);
  }

  // --- windows (RFC 9113 section 6.9) ----------------------------------------------------------------------------------

  /** The peer takes more on the connection; false: more than there may be. */
  widenConnection(change: number): boolean {
    this.#window += change;
    return this.#window <= largestWindow;
  }

  /** The peer takes more, or less, of a stream; false: more than there may be. */
  widen(stream: Http2Stream, change: number): boolean {
    stream.sendWindow += change;
    return stream.sendWindow <= largestWindow;
  }

  // --- what waits ------------------------------------------------------------------------------------------------------

  /** A stream has something to send, or wants to know when it may. */
  wait(stream: Http2Stream): void {
    this.#waiting.add(stream);
  }

  /** A stream is over. */
  forget(stream: Http2Stream): void {
    this.#waiting.delete(stream);
  }

  /** Sends what waits, one frame a stream and round, so that none starves the others. */
  pump(): void {
    let progress = this.#waiting.size > 0;
    while (progress && !this.#ended) {
      progress = false;
      for (const stream of Array.from(this.#waiting)) {
        if (this.congested) return;
        const before = stream.sendWindow;
        if (!stream.pump()) this.#waiting.delete(stream);
        else if (stream.sendWindow !== before) progress = true;
      }
    }
  }

  /** Sends what one stream has waiting. */
  pumpStream(stream: Http2Stream): void {
    if (!this.#waiting.has(stream)) return;
    for (let before = Infinity; !this.congested && stream.sendWindow < before;) {
      before = stream.sendWindow;
      if (stream.pump()) continue;
      this.#waiting.delete(stream);
      return;
    }
  }

  /** Nothing is sent any more. */
  end(): void {
    this.#ended = true;
    this.#waiting.clear();
  }
}
