// Read buffers that grow while a connection streams and shrink when it does not, bounded in total for the thread.

const smallBytes = 16 * 1024;
// Measured with TLS on the far side: 64 KiB costs twice the CPU per byte of 1 MiB, beyond that nothing is gained.
const largestBytes = 1024 * 1024;
const growth = 4;
// How many reads in a row must use less than an eighth before memory is given back.
const smallReadsToShrink = 16;
// Everything above the small size, summed over the thread's connections.
const budgetBytes = 64 * 1024 * 1024;
let spentBytes = 0;

/** The read buffer of one direction of one connection. */
export class AdaptiveBuffer {
  readonly #small: number;
  #buffer: Uint8Array;
  #smallReads = 0;

  /** @param initialBytes where it starts and what it shrinks to; default 16 KiB */
  constructor(initialBytes: number = smallBytes) {
    this.#small = initialBytes;
    this.#buffer = new Uint8Array(new ArrayBuffer(initialBytes));
  }

  get current(): Uint8Array {
    return this.#buffer;
  }

  /** Learns how much a read filled. Only call when nobody uses the buffer's content any more. */
  used(bytes: number): void {
    const size = this.#buffer.length;
    if (bytes === size) {
      this.#smallReads = 0;
      if (size < largestBytes && spentBytes + size * growth <= budgetBytes) this.#resize(Math.min(size * growth, largestBytes));
    } else if (size > this.#small && bytes < size / 8) {
      if (++this.#smallReads >= smallReadsToShrink) this.#resize(this.#small);
    } else {
      this.#smallReads = 0;
    }
  }

  /** Another buffer of the same size, because somebody still uses the content of this one. */
  replace(): void {
    this.#buffer = new Uint8Array(new ArrayBuffer(this.#buffer.length));
  }

  /** Gives the memory back to the budget; the buffer must not be used for reading after. */
  release(): void {
    this.#resize(this.#small);
  }

  #resize(size: number): void {
    if (size === this.#buffer.length) return;
    spentBytes += excess(size) - excess(this.#buffer.length);
    this.#buffer = new Uint8Array(new ArrayBuffer(size));
    this.#smallReads = 0;
  }
}

function excess(size: number): number {
  return size > smallBytes ? size : 0;
}
