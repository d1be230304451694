// Writes HPACK header blocks (RFC 7541). A field enters the table when its value comes a second time, so that values which
// never repeat (request ids) push nothing out. Strings are written plain: Huffman coding saves bytes and costs time.
import { entryOverhead } from "./field.ts";
import { staticTable } from "./static-table.ts";

interface NameState {
  /** Index in the static table, 0 = none. */
  readonly staticIndex: number;
  /** Values in the static table. */
  readonly staticValues: ReadonlyMap<string, number> | undefined;
  /** Values in the dynamic table, by the number of their insertion. */
  readonly inserted: Map<string, number>;
  /** The last values that were written plain, newest first. */
  recent: string;
  recent2: string;
  readonly never: boolean;
}

interface Entry {
  readonly state: NameState;
  readonly value: string;
  readonly size: number;
}

// What differs in every message, or would give a secret's length away to who can write into the same table.
const neverIndexed: ReadonlySet<string> = new Set(
  "content-length x-request-id authorization cookie set-cookie etag if-none-match if-modified-since last-modified age location traceparent".split(
    " ",
  ),
);

const staticIndexes = new Map<string, { index: number; values: Map<string, number> }>();
staticTable.forEach(({ name, value }, i) => {
  const known = staticIndexes.get(name);
  if (known !== undefined) known.values.set(value, i + 1);
  else staticIndexes.set(name, { index: i + 1, values: value === "" ? new Map() : new Map([[value, i + 1]]) });
});

// Names come from the network; past this many they are written plain.
const mostNames = 256;
// Values longer than this would push much else out.
const longestIndexed = 512;

/** The encoding side. */
export class HpackEncoder {
  readonly #names = new Map<string, NameState>();
  #entries: Entry[] = [];
  #first = 0;
  /** Insertions ever made; an entry's number is how many were made before it. */
  #insertions = 0;
  #bytes = 0;
  #maxBytes: number;
  #sizeUpdate = -1;
  #out: Buffer = Buffer.allocUnsafe(1024);
  #at = 0;

  /** @param maxBytes the table's size; the peer may allow less */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** The peer's SETTINGS_HEADER_TABLE_SIZE. */
  limitTable(peerBytes: number, ownBytes: number): void {
    const bytes = Math.min(peerBytes, ownBytes);
    if (bytes === this.#maxBytes) return;
    this.#maxBytes = bytes;
    this.#sizeUpdate = bytes;
    this.#evict(0);
  }

  /** Starts a block. */
  begin(): void {
    this.#at = 0;
    if (this.#sizeUpdate < 0) return;
    this.#integer(0x20, 0x1f, this.#sizeUpdate);
    this.#sizeUpdate = -1;
  }

  /** The block; valid until the next one begins. */
  end(): Buffer {
    return this.#out.subarray(0, this.#at);
  }

  /** Adds a field; its name is in lower case, its characters are bytes (latin1). */
  field(name: string, value: string): void {
    const state = this.#names.get(name) ?? this.#learn(name);
    if (state === undefined) {
      this.#reserve(name.length + value.length + 16);
      this.#out[this.#at++] = 0;
      this.#string(name);
      this.#string(value);
      return;
    }
    const insertion = state.inserted.get(value);
    if (insertion !== undefined) {
      this.#reserve(8);
      this.#integer(0x80, 0x7f, staticTable.length + this.#insertions - insertion);
      return;
    }
    const fixed = state.staticValues?.get(value);
    if (fixed !== undefined) {
      this.#reserve(8);
      this.#integer(0x80, 0x7f, fixed);
      return;
    }
    this.#literal(state, name, value);
  }

  #literal(state: NameState, name: string, value: string): void {
    this.#reserve(name.length + value.length + 16);
    const index = state.staticIndex;
    if (state.never) this.#integer(name === "content-length" ? 0x00 : 0x10, 0x0f, index);
    else if (value === state.recent || value === state.recent2) {
      this.#integer(0x40, 0x3f, index);
      this.#insert(state, name, value);
    } else {
      if (value.length <= longestIndexed) {
        state.recent2 = state.recent;
        state.recent = value;
      }
      this.#integer(0x00, 0x0f, index);
    }
    if (index === 0) this.#string(name);
    this.#string(value);
  }

  #learn(name: string): NameState | undefined {
    if (this.#names.size >= mostNames) return undefined;
    const known = staticIndexes.get(name);
    const state: NameState = {
      staticIndex: known?.index ?? 0,
      staticValues: known === undefined || known.values.size === 0 ? undefined : known.values,
      inserted: new Map(),
      recent: "\n",
      recent2: "\n",
      never: neverIndexed.has(name),
    };
    this.#names.set(name, state);
    return state;
  }

  #insert(state: NameState, name: string, value: string): void {
    const size = name.length + value.length + entryOverhead;
    this.#evict(size);
    if (size > this.#maxBytes) return;
    this.#entries.push({ state, value, size });
    state.inserted.set(value, this.#insertions);
    this.#insertions++;
    this.#bytes += size;
  }

  #evict(room: number): void {
    while (this.#first < this.#entries.length && this.#bytes + room > this.#maxBytes) {
      const { state, value, size } = this.#entries[this.#first++]!;
      state.inserted.delete(value);
      this.#bytes -= size;
    }
    if (this.#first > 256 || this.#first === this.#entries.length) {
      this.#entries = this.#entries.slice(this.#first);
      this.#first = 0;
    }
  }

  #reserve(bytes: number): void {
    const needed = this.#at + bytes;
    if (needed <= this.#out.length) return;
    const larger = Buffer.allocUnsafe(Math.max(needed, this.#out.length * 2));
    this.#out.copy(larger, 0, 0, this.#at);
    this.#out = larger;
  }

  #integer(prefix: number, mask: number, value: number): void {
    const out = this.#out;
    if (value < mask) {
      out[this.#at++] = prefix | value;
      return;
    }
    out[this.#at++] = prefix | mask;
    let rest = value - mask;
    for (; rest >= 0x80; rest >>>= 7) out[this.#at++] = (rest & 0x7f) | 0x80;
    out[this.#at++] = rest;
  }

  #string(text: string): void {
    this.#integer(0x00, 0x7f, text.length);
    const out = this.#out;
    let at = this.#at;
    // A call into C++ costs more than a few dozen characters.
    if (text.length > 40) at += out.write(text, at, "latin1");
    else for (let i = 0; i < text.length; i++) out[at++] = text.charCodeAt(i);
    this.#at = at;
  }
}
