// Keeps the memory of long HTTP bodies flat: once a connection has streamed enough, its reads go into one buffer that is used
// again, instead of a new one for each read that only the garbage collector gives back. Whoever keeps a piece of a read
// beyond the call says so by `keepReadBuffer`, and the next read gets another buffer.
import type { Socket } from "node:net";
import { AdaptiveBuffer } from "./relay/adaptive-buffer.ts";
import { captureReads } from "./relay/read-buffer.ts";

// A connection that streams less is cheaper left alone: captured reads hold a buffer for its life.
const bulkBytes = 1024 * 1024;

let kept = false;

/** The bytes of the read that is being worked off are needed after it: its buffer must not be reused. */
export function keepReadBuffer(): void {
  kept = true;
}

/** Watches how much a connection reads and switches it to a reused buffer. */
export class BulkReader {
  readonly #socket: Socket;
  readonly #onData: (chunk: Buffer) => void;
  #left: number;
  #buffer: AdaptiveBuffer | undefined;
  #lastRead = 0;
  #lastKept = false;

  /** @param raw false (TLS): reads come out of OpenSSL several at a time and cannot share a buffer, so nothing is ever switched */
  constructor(socket: Socket, raw: boolean, onData: (chunk: Buffer) => void) {
    this.#socket = socket;
    this.#onData = onData;
    this.#left = raw ? bulkBytes : Infinity;
  }

  /** Body bytes of one message went through; called after they were worked off. */
  note(bytes: number): void {
    this.#left -= bytes;
    if (this.#left > 0 || this.#socket.destroyed) return;
    this.#left = Infinity;
    captureReads(
      this.#socket,
      () => this.#next(),
      (length, read) => this.#onRead(length, read),
    );
  }

  /** The connection is gone. */
  release(): void {
    this.#buffer?.release();
  }

  #onRead(length: number, read: Uint8Array): boolean {
    kept = false;
    this.#onData(Buffer.from(read.buffer, read.byteOffset, length));
    this.#lastKept = kept;
    this.#lastRead = length;
    return true;
  }

  #next(): Uint8Array {
    const buffer = (this.#buffer ??= new AdaptiveBuffer());
    if (this.#lastKept) buffer.replace();
    else buffer.used(this.#lastRead);
    return buffer.current;
  }
}
