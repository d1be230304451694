// Cuts a connection's bytes into frames. A frame that a read holds whole is passed as it lies there; one that spans reads is
// put together first.
import { frameHeaderBytes } from "./frame.ts";

/** Takes frames. The payload is `buffer[start..end)`, valid during the call. */
export interface FrameSink {
  /** False: nothing more is wanted of this connection. */
  onFrame(type: number, flags: number, streamId: number, buffer: Buffer, start: number, end: number): boolean;
  /** A frame announces more than is allowed. */
  onOversizedFrame(type: number, streamId: number): void;
}

/** The reading side of framing. */
export class FrameReader {
  readonly #sink: FrameSink;
  readonly #maxBytes: number;
  readonly #head: Buffer = Buffer.allocUnsafe(frameHeaderBytes);
  #headBytes = 0;
  #payload: Buffer | undefined;
  #payloadBytes = 0;

  /** @param maxBytes the SETTINGS_MAX_FRAME_SIZE that was announced */
  constructor(sink: FrameSink, maxBytes: number) {
    this.#sink = sink;
    this.#maxBytes = maxBytes;
  }

  /** Works through `chunk[start..]`; false: the connection is done with. */
  read(chunk: Buffer, start: number): boolean {
    let at = start;
    const end = chunk.length;
    while (at < end) {
      if (this.#payload !== undefined || this.#headBytes > 0) {
        at = this.#continue(chunk, at);
        if (at < 0) return false;
        continue;
      }
      if (end - at < frameHeaderBytes) {
        this.#headBytes = chunk.copy(this.#head, 0, at);
        return true;
      }
      const length = (chunk[at]! << 16) | (chunk[at + 1]! << 8) | chunk[at + 2]!;
      const payload = at + frameHeaderBytes;
      if (length > this.#maxBytes) return this.#oversized(chunk, at);
      if (payload + length > end) {
        chunk.copy(this.#head, 0, at, payload);
        this.#payload = Buffer.allocUnsafe(length);
        this.#payloadBytes = chunk.copy(this.#payload, 0, payload);
        return true;
      }
      if (!this.#sink.onFrame(chunk[at + 3]!, chunk[at + 4]!, streamIdAt(chunk, at), chunk, payload, payload + length)) return false;
      at = payload + length;
    }
    return true;
  }

  /** Goes on with a frame begun in an earlier read; -1: the connection is done with. */
  #continue(chunk: Buffer, start: number): number {
    const head = this.#head;
    let at = start;
    if (this.#payload === undefined) {
      const taken = chunk.copy(head, this.#headBytes, at, at + frameHeaderBytes - this.#headBytes);
      this.#headBytes += taken;
      at += taken;
      if (this.#headBytes < frameHeaderBytes) return at;
      this.#headBytes = 0;
      const length = (head[0]! << 16) | (head[1]! << 8) | head[2]!;
      if (length > this.#maxBytes) return this.#oversized(head, 0) ? at : -1;
      this.#payload = Buffer.allocUnsafe(length);
      this.#payloadBytes = 0;
    }
    const payload = this.#payload;
    const taken = chunk.copy(payload, this.#payloadBytes, at, at + payload.length - this.#payloadBytes);
    this.#payloadBytes += taken;
    at += taken;
    if (this.#payloadBytes < payload.length) return at;
    this.#payload = undefined;
    return this.#sink.onFrame(head[3]!, head[4]!, streamIdAt(head, 0), payload, 0, payload.length) ? at : -1;
  }

  #oversized(bytes: Buffer, at: number): false {
    this.#sink.onOversizedFrame(bytes[at + 3]!, streamIdAt(bytes, at));
    return false;
  }
}

function streamIdAt(bytes: Buffer, at: number): number {
  return ((bytes[at + 5]! & 0x7f) << 24) | (bytes[at + 6]! << 16) | (bytes[at + 7]! << 8) | bytes[at + 8]!;
}
