// The streams that this side reset and whose peer may not know yet: their frames are no offence.

// Past that many, frames of the oldest are answered as for any closed stream.
const mostRemembered = 256;

/** The streams of one connection. */
export class SelfResets {
  readonly #ids = new Set<number>();

  /** RST_STREAM is about to be sent. */
  add(id: number): void {
    const oldest = this.#ids.size < mostRemembered ? undefined : this.#ids.values().next().value;
    if (oldest !== undefined) this.#ids.delete(oldest);
    this.#ids.add(id);
  }

  /** True when frames of this stream may still be under way. */
  has(id: number): boolean {
    return this.#ids.has(id);
  }
}
