// The read buffer of a TLS source. Decrypted records come one by one and several in a row without a way to stop in between;
// they are laid behind one another, so that one write carries all of a turn of the event loop.
import { AdaptiveBuffer } from "./adaptive-buffer.ts";

// A large buffer is written before it is full: what was received together (64 KiB) is delivered even after reading was stopped.
const reserveBytes = 80 * 1024;
const reserveFrom = 256 * 1024;

/** Memory for records that were read and not yet written. */
export class RecordBuffer {
  readonly #buffer = new AdaptiveBuffer();
  /** Records up to here were given to `take`. */
  #taken = 0;
  #filled = 0;
  #largestTake = 0;

  /** No more records should be gathered. */
  get full(): boolean {
    return this.#filled >= limitOf(this.#buffer.current.length);
  }

  /** A record of `bytes` was read to where `next` said. */
  add(bytes: number): void {
    this.#filled += bytes;
  }

  /** What was added since the last call; undefined when nothing was. Its memory stays as it is until `next(false)`. */
  take(): Uint8Array | undefined {
    if (this.#taken === this.#filled) return undefined;
    const taken = this.#buffer.current.subarray(this.#taken, this.#filled);
    this.#taken = this.#filled;
    this.#largestTake = Math.max(this.#largestTake, taken.length);
    return taken;
  }

  /**
   * Where the next record goes. Empty only when the memory is full of what is not taken.
   * @param held whether something that was taken is still being written
   */
  next(held: boolean): Uint8Array {
    const size = this.#buffer.current.length;
    const empty = this.#taken === this.#filled;
    if (empty && (!held || this.#filled === size)) {
      const learned = this.#largestTake >= limitOf(size) ? size : this.#largestTake;
      this.#filled = this.#taken = this.#largestTake = 0;
      this.#buffer.used(learned);
      if (held && this.#buffer.current.length === size) this.#buffer.replace();
    }
    return this.#filled === 0 ? this.#buffer.current : this.#buffer.current.subarray(this.#filled);
  }

  /** Gives the memory back to the budget of the thread; nothing must be read after. */
  release(): void {
    this.#buffer.release();
  }
}

function limitOf(size: number): number {
  return size >= reserveFrom ? size - reserveBytes : size;
}
