// Reads an HTTP connection into one buffer that is used again and again, instead of a new one for each read: a fifth less
// CPU per request (`npm run bench -- http1`), and the memory of long bodies stays flat. Whoever keeps a piece of a read beyond
// the call says so by `keepReadBuffer`, and the next read gets another buffer.
import type { Socket } from "node:net";
import { AdaptiveBuffer } from "./relay/adaptive-buffer.ts";
import { captureReads } from "./relay/read-buffer.ts";

// A request or a small response; a connection that streams grows from here. Ten thousand idle connections hold 40 MB.
const initialBytes = 4096;

let kept = false;

/** The bytes of the read that is being worked off are needed after it: its buffer must not be reused. */
export function keepReadBuffer(): void {
  kept = true;
}

/** Delivers a connection's bytes to one callback. */
export class SocketReader {
  #onData: (chunk: Buffer) => void;
  readonly #socket: Socket;
  readonly #captured: boolean;
  readonly #buffer = new AdaptiveBuffer(initialBytes);
  #lastRead = 0;
  #lastKept = false;

  /**
   * Attaches to a paused socket; reading starts with `socket.resume()`.
   * @param raw false (TLS): reads come out of OpenSSL several at a time and cannot share a buffer, so they are `data` events
   */
  constructor(socket: Socket, raw: boolean, onData: (chunk: Buffer) => void) {
    this.#onData = onData;
    this.#socket = socket;
    this.#captured =
      raw &&
      captureReads(
        socket,
        () => this.#next(),
        (length, read) => this.#onRead(length, read),
      );
    if (!this.#captured) socket.on("data", onData);
  }

  /** Reads go to another callback from now on. */
  redirect(onData: (chunk: Buffer) => void): void {
    if (!this.#captured) {
      this.#socket.removeListener("data", this.#onData);
      this.#socket.on("data", onData);
    }
    this.#onData = onData;
  }

  /** The connection is gone. */
  release(): void {
    this.#buffer.release();
  }

  #onRead(length: number, read: Uint8Array): boolean {
    kept = false;
    this.#onData(Buffer.from(read.buffer, read.byteOffset, length));
    this.#lastKept = kept;
    this.#lastRead = length;
    return true;
  }

  // Also called once before the first read.
  #next(): Uint8Array {
    if (this.#lastKept) this.#buffer.replace();
    else this.#buffer.used(this.#lastRead);
    this.#lastKept = false;
    return this.#buffer.current;
  }
}
