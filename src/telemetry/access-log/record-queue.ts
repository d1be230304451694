// Records that wait to be written, as bytes in buffers that are used again and again.
import type { RecordText } from "./record-text.ts";

/** A buffer of whole records. */
export interface RecordChunk {
  readonly bytes: Buffer;
  /** Bytes filled in. */
  used: number;
  records: number;
}

// One is written while the next is filled.
const mostSpare = 2;

/** Whole records in the order of their arrival. */
export class RecordQueue {
  readonly #chunkBytes: number;
  #full: RecordChunk[] = [];
  #current: RecordChunk | undefined = undefined;
  #bytes = 0;
  readonly #spare: RecordChunk[] = [];

  /** @param chunkBytes size of a buffer; a longer record has one of its own */
  constructor(chunkBytes: number) {
    this.#chunkBytes = chunkBytes;
  }

  /** Bytes that wait. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Adds a copy of a record. */
  add(record: RecordText): void {
    const { length } = record;
    let chunk = this.#current;
    if (chunk === undefined || chunk.used + length > chunk.bytes.length) chunk = this.#next(length);
    record.copyTo(chunk.bytes, chunk.used);
    chunk.used += length;
    chunk.records++;
    this.#bytes += length;
  }

  #next(length: number): RecordChunk {
    if (this.#current !== undefined) this.#full.push(this.#current);
    const spare = length <= this.#chunkBytes ? this.#spare.pop() : undefined;
    this.#current = spare ?? { bytes: Buffer.allocUnsafeSlow(Math.max(this.#chunkBytes, length)), used: 0, records: 0 };
    return this.#current;
  }

  /** The oldest records, a buffer full of them or what there is; undefined when none wait. To be given back once written. */
  take(): RecordChunk | undefined {
    let chunk = this.#full.shift();
    if (chunk === undefined) {
      chunk = this.#current;
      this.#current = undefined;
    }
    if (chunk !== undefined) this.#bytes -= chunk.used;
    return chunk;
  }

  /** The buffer may be used again. */
  giveBack(chunk: RecordChunk): void {
    if (this.#spare.length >= mostSpare || chunk.bytes.length > this.#chunkBytes) return;
    chunk.used = 0;
    chunk.records = 0;
    this.#spare.push(chunk);
  }

  /** Everything that waits, in one piece; nothing does after this. */
  takeAll(): Buffer {
    const chunks = this.#current === undefined ? this.#full : [...this.#full, this.#current];
    this.#full = [];
    this.#current = undefined;
    this.#bytes = 0;
    return Buffer.concat(chunks.map(({ bytes, used }) => bytes.subarray(0, used)));
  }
}
