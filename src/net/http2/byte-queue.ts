// Bytes that wait, copied together: many tiny pieces cost what they hold, not a buffer each.

// Small waits stay small; a stream that waits with much gets pieces of this size.
const firstBytes = 1024;
const largestPiece = 64 * 1024;

/** First in, first out. */
export class ByteQueue {
  readonly #pieces: Buffer[] = [];
  /** Bytes used of the last piece. */
  #tail = 0;
  /** Bytes taken of the first piece. */
  #head = 0;
  #bytes = 0;

  /** Bytes that wait. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Adds a copy of `data[start..]`. */
  push(data: Buffer, start = 0): void {
    let at = start;
    this.#bytes += data.length - start;
    while (at < data.length) {
      let last = this.#pieces.at(-1);
      if (last === undefined || this.#tail === last.length) {
        const size = last === undefined ? firstBytes : Math.min(last.length * 4, largestPiece);
        last = Buffer.allocUnsafe(Math.max(size, Math.min(data.length - at, largestPiece)));
        this.#pieces.push(last);
        this.#tail = 0;
      }
      const copied = data.copy(last, this.#tail, at);
      this.#tail += copied;
      at += copied;
    }
  }

  /** The bytes in front, at most `most` of them and not necessarily all; empty when there are none. They leave the queue. */
  take(most: number): Buffer {
    const first = this.#pieces[0];
    if (first === undefined) return Buffer.alloc(0);
    const filled = this.#pieces.length === 1 ? this.#tail : first.length;
    const end = Math.min(filled, this.#head + most);
    const taken = first.subarray(this.#head, end);
    this.#bytes -= taken.length;
    if (end < filled) this.#head = end;
    else {
      this.#pieces.shift();
      this.#head = 0;
      if (this.#pieces.length === 0) this.#tail = 0;
    }
    return taken;
  }
}
