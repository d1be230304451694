// The request body seen so far, as long as it may have to be sent again.
import { keepReadBuffer } from "../../../net/socket-reader.ts";

/** Body bytes kept within a bound; past it the request can be sent only once. */
export class ReplayBuffer {
  #pieces: Buffer[] = [];
  #bytes = 0;
  #complete = true;

  /** Everything kept, in order. */
  get pieces(): readonly Buffer[] {
    return this.#pieces;
  }

  /** Bytes kept. */
  get bytes(): number {
    return this.#bytes;
  }

  /** True when what is kept is all there was: the request may be sent again. */
  get replayable(): boolean {
    return this.#complete;
  }

  /** Keeps a piece, or gives everything up when it would be more than `limit` bytes. */
  keep(data: Buffer, limit: number): void {
    if (!this.#complete || data.length === 0) return;
    if (this.#bytes + data.length > limit) {
      this.drop();
      return;
    }
    keepReadBuffer();
    this.#bytes += data.length;
    this.#pieces.push(data);
  }

  /** The request will not be sent again. */
  drop(): void {
    this.#complete = false;
    this.#pieces = [];
    this.#bytes = 0;
  }
}
