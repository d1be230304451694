// What an HTTP/2 connection writes: frames of all its streams, put together in one buffer and written once in each turn of the
// event loop, so that ten responses that come in one read cost one system call.
import type { Socket } from "node:net";
import type { Counter } from "../../telemetry/stats.ts";

// Holds at least one frame of any size that is sent; more than a turn usually writes.
const chunkBytes = 64 * 1024;
// Chunks that are free, shared by a thread's connections: what is kept is bounded, connections that are idle hold none.
const spare: Buffer[] = [];
const mostSpare = 16;
// Written bytes that the socket still holds are copied when they are few, so that the chunk can be used again.
const copyLimitBytes = 16 * 1024;

/** The writing side of a connection. */
export class Http2Output {
  readonly #socket: Socket;
  readonly #bytes: Counter;
  readonly #raw: boolean;
  readonly #flushLater: () => void = () => this.flush();
  #chunk: Buffer | undefined;
  #used = 0;
  #scheduled = false;
  #congested = false;
  #closed = false;

  /** @param raw a plain TCP socket: what it takes, it takes at once */
  constructor(socket: Socket, raw: boolean, bytes: Counter) {
    this.#socket = socket;
    this.#raw = raw;
    this.#bytes = bytes;
  }

  /** The socket has more than it wants: only what cannot wait should be written. */
  get congested(): boolean {
    return this.#congested;
  }

  /** Nothing that was written waits for the peer. */
  get drained(): boolean {
    return this.#used === 0 && this.#socket.writableLength === 0;
  }

  /** Room for `bytes` (at most 64 KiB) at `position` of the buffer; say how many were written by `wrote`. */
  reserve(bytes: number): Buffer {
    if (this.#used + bytes > chunkBytes) this.flush();
    this.#chunk ??= spare.pop() ?? Buffer.allocUnsafeSlow(chunkBytes);
    if (!this.#scheduled) {
      this.#scheduled = true;
      setImmediate(this.#flushLater);
    }
    return this.#chunk;
  }

  /** Where the next bytes go in what `reserve` gave. */
  get position(): number {
    return this.#used;
  }

  /** Bytes up to `position` were filled in. */
  wrote(position: number): void {
    this.#used = position;
  }

  /** Writes what there is. */
  flush(): void {
    this.#scheduled = false;
    const chunk = this.#chunk;
    const used = this.#used;
    if (chunk === undefined || used === 0) return;
    this.#used = 0;
    if (this.#closed) return;
    const socket = this.#socket;
    this.#bytes.add(used);
    if (!this.#raw && used <= copyLimitBytes) {
      // OpenSSL's side keeps a reference until a later turn.
      this.#congested = !socket.write(Buffer.from(chunk.subarray(0, used)));
      return this.#release(chunk);
    }
    this.#congested = !socket.write(chunk.subarray(0, used));
    if (socket.writableLength === 0) this.#release(chunk);
    else this.#chunk = undefined;
  }

  #release(chunk: Buffer): void {
    this.#chunk = undefined;
    if (spare.length < mostSpare) spare.push(chunk);
  }

  /** The socket takes bytes again. */
  onDrain(): void {
    this.#congested = false;
  }

  /** Nothing is written any more. */
  close(): void {
    this.#closed = true;
    const chunk = this.#chunk;
    if (chunk !== undefined) this.#release(chunk);
    this.#used = 0;
  }
}
