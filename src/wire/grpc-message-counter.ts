// Counts gRPC messages in one direction of a call by their five-byte prefixes, whatever the pieces they arrive in.

const prefixBytes = 5;

/** The messages of one direction. */
export class GrpcMessageCounter {
  /** Messages begun so far: their prefix was complete. */
  total = 0;
  #prefixed = 0;
  #length = 0;
  #left = 0;

  /** How many messages began in these bytes. */
  count(data: Uint8Array): number {
    const before = this.total;
    for (let at = 0; at < data.length;) {
      if (this.#left > 0) {
        const taken = Math.min(this.#left, data.length - at);
        this.#left -= taken;
        at += taken;
        continue;
      }
      // The first byte of a prefix tells whether the message is compressed.
      if (this.#prefixed > 0) this.#length = this.#length * 256 + data[at]!;
      at++;
      if (++this.#prefixed < prefixBytes) continue;
      this.total++;
      this.#left = this.#length;
      this.#prefixed = 0;
      this.#length = 0;
    }
    return this.total - before;
  }
}

/** Both directions of one call. */
export class GrpcMessages {
  readonly request = new GrpcMessageCounter();
  readonly response = new GrpcMessageCounter();
}
