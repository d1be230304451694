// Reads text files one after another into one piece of memory: a big file that is read on every change would otherwise leave a
// buffer of its size behind each time, which V8 takes for a reason to collect the whole heap.
import { open } from "node:fs/promises";

/** Reads files as UTF-8, one at a time. */
export class TextReader {
  readonly #maxBytes: number;
  #buffer = Buffer.allocUnsafeSlow(64 * 1024);
  #last: Promise<unknown> = Promise.resolve();

  /** @param maxBytes a file that turns out to be larger is not read to its end */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** The text of a file; rejects when it is too large, and as `open` and `read` of node:fs do. */
  read(path: string): Promise<string> {
    const text = this.#last.then(() => this.#read(path));
    this.#last = text.catch(() => undefined);
    return text;
  }

  async #read(path: string): Promise<string> {
    await using file = await open(path);
    const { size } = await file.stat();
    this.#reserve(Math.min(size, this.#maxBytes) + 1, 0);
    let length = 0;
    for (;;) {
      const { bytesRead } = await file.read(this.#buffer, length, this.#buffer.length - length);
      length += bytesRead;
      // Its size was looked at before, but what grows, or has none to tell, must not take all memory.
      if (length > this.#maxBytes) throw new Error(`is larger than ${this.#maxBytes} bytes`);
      // Decoded at once: a string put together of parts costs three times as much to look into.
      if (bytesRead === 0) return this.#buffer.toString("utf8", 0, length);
      this.#reserve(length + 1, length);
    }
  }

  #reserve(bytes: number, used: number): void {
    if (bytes <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(bytes, this.#buffer.length * 2));
    this.#buffer.copy(larger, 0, 0, used);
    this.#buffer = larger;
  }
}
