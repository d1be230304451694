// Counts the messages in a gRPC body without holding any of it: a flag, four bytes of length, and that many bytes, again and again.

const headBytes = 5;

/** Counts the messages that began in what was read. */
export class GrpcMessageCounter {
  messages = 0;
  /** Bytes of the message that are still to come. */
  #rest = 0;
  /** Bytes of the next head that are there, and the length they tell so far. */
  #headSeen = 0;
  #length = 0;

  /** Reads on, wherever the bytes were split. */
  read(bytes: Uint8Array): void {
    let at = 0;
    while (at < bytes.length) {
      if (this.#rest > 0) {
        const taken = Math.min(this.#rest, bytes.length - at);
        this.#rest -= taken;
        at += taken;
        continue;
      }
      if (this.#headSeen > 0) this.#length = this.#length * 256 + bytes[at]!;
      at++;
      if (++this.#headSeen < headBytes) continue;
      this.messages++;
      this.#rest = this.#length;
      this.#headSeen = 0;
      this.#length = 0;
    }
  }
}

/** Both directions of one call. */
export class GrpcMessages {
  readonly request = new GrpcMessageCounter();
  readonly response = new GrpcMessageCounter();
}
