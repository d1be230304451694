// Reads HPACK header blocks (RFC 7541). One decoder a connection and direction: its table is part of the connection's state,
// so every block has to be read, even that of a message nobody wants.
import { createField, entryOverhead, type HpackField } from "./field.ts";
import { decodeHuffman } from "./huffman.ts";
import { staticTable } from "./static-table.ts";

/** Takes the fields of a block, in order. */
export interface FieldSink {
  onField(field: HpackField): void;
}

// Integers past this are a peer's mistake or worse: no string or table here is that long.
const largestInteger = 1 << 24;

/** The decoding side. */
export class HpackDecoder {
  /** What SETTINGS_HEADER_TABLE_SIZE promised. */
  readonly #limit: number;
  #maxBytes: number;
  #bytes = 0;
  /** Oldest first, from `#first` on. */
  #entries: HpackField[] = [];
  #first = 0;
  #at = 0;

  /** @param limit SETTINGS_HEADER_TABLE_SIZE as announced to the peer, in bytes */
  constructor(limit: number) {
    this.#limit = limit;
    this.#maxBytes = limit;
  }

  /** Reads one whole block; false: it is broken, and with it the connection (COMPRESSION_ERROR). */
  decode(block: Buffer, start: number, end: number, sink: FieldSink): boolean {
    this.#at = start;
    let fieldSeen = false;
    while (this.#at < end) {
      const byte = block[this.#at]!;
      if (byte >= 0x80) {
        const index = this.#integer(block, end, 0x7f);
        const field = index > 0 ? this.#lookUp(index) : undefined;
        if (field === undefined) return false;
        sink.onField(field);
        fieldSeen = true;
      } else if ((byte & 0xe0) === 0x20) {
        const size = this.#integer(block, end, 0x1f);
        // Only in front of a block's fields (RFC 7541 section 4.2).
        if (size < 0 || size > this.#limit || fieldSeen) return false;
        this.#maxBytes = size;
        this.#evict(0);
      } else {
        const indexed = byte >= 0x40;
        const field = this.#literal(block, end, indexed ? 0x3f : 0x0f);
        if (field === undefined) return false;
        if (indexed) this.#insert(field);
        sink.onField(field);
        fieldSeen = true;
      }
    }
    return true;
  }

  #literal(block: Buffer, end: number, mask: number): HpackField | undefined {
    const index = this.#integer(block, end, mask);
    if (index < 0) return undefined;
    const name = index === 0 ? this.#string(block, end) : this.#lookUp(index)?.name;
    if (name === undefined) return undefined;
    const value = this.#string(block, end);
    return value === undefined ? undefined : createField(name, value);
  }

  #lookUp(index: number): HpackField | undefined {
    if (index <= staticTable.length) return staticTable[index - 1];
    const at = this.#entries.length - (index - staticTable.length);
    return at < this.#first ? undefined : this.#entries[at];
  }

  /** -1 when it is cut off or absurd. */
  #integer(block: Buffer, end: number, mask: number): number {
    if (this.#at >= end) return -1;
    let value = block[this.#at++]! & mask;
    if (value < mask) return value;
    for (let shift = 0; shift <= 21; shift += 7) {
      if (this.#at >= end) return -1;
      const byte = block[this.#at++]!;
      value += (byte & 0x7f) << shift;
      if (value > largestInteger) return -1;
      if (byte < 0x80) return value;
    }
    return -1;
  }

  #string(block: Buffer, end: number): string | undefined {
    if (this.#at >= end) return undefined;
    const huffman = block[this.#at]! >= 0x80;
    const length = this.#integer(block, end, 0x7f);
    const start = this.#at;
    if (length < 0 || length > end - start) return undefined;
    this.#at = start + length;
    return huffman ? decodeHuffman(block, start, this.#at) : block.toString("latin1", start, this.#at);
  }

  #insert(field: HpackField): void {
    const size = sizeOf(field);
    this.#evict(size);
    // An entry larger than the table empties it and is not kept.
    if (size > this.#maxBytes) return;
    this.#entries.push(field);
    this.#bytes += size;
  }

  #evict(room: number): void {
    while (this.#first < this.#entries.length && this.#bytes + room > this.#maxBytes) {
      this.#bytes -= sizeOf(this.#entries[this.#first]!);
      this.#first++;
    }
    // Evicted entries are dropped many at a time: removing from the front of an array moves all the rest.
    if (this.#first > 256 || this.#first === this.#entries.length) {
      this.#entries = this.#entries.slice(this.#first);
      this.#first = 0;
    }
  }
}

function sizeOf(field: HpackField): number {
  return field.name.length + field.value.length + entryOverhead;
}
