// Lays names, addresses and search domains out as a name table: numbers in flat arrays, text in one block of bytes, all in shared memory.
// Knows nothing of which host has which names; that is name-table.ts.
import { writeAddress } from "./address-bytes.ts";
import { MAX_NAME_LENGTH, writeName } from "./codec.ts";
import { addressField, field, firstSlot, hashName, isWildcard, probe, searchStart } from "./name-lookup.ts";
import type { NameTable } from "./name-table.ts";

/** Bytes of an IPv6 address, the longest. */
const MAX_ADDRESS_LENGTH = 16;

// What the last table was written into: the next one is mostly as long, and new memory costs more than writing to it.
let spare: Buffer | undefined;

/** Builds one table. Of several claims to a name the first one gets it. */
export class NameTableBuilder {
  readonly #entries: Int32Array<SharedArrayBuffer>;
  readonly #slots: Int32Array<SharedArrayBuffer>;
  readonly #addresses: number[] = [];
  readonly #searches: number[] = [];
  /** By entry, the hosts that claimed its name too late. */
  readonly #late = new Map<number, number[]>();
  #bytes: Buffer;
  #end = 0;
  #size = 0;
  #hosts = 0;
  #wildcards = false;

  /** @param maxNames the most names that will be claimed */
  constructor(maxNames: number) {
    this.#bytes = spare ?? Buffer.allocUnsafeSlow(1 << 16);
    spare = undefined;
    this.#entries = new Int32Array(new SharedArrayBuffer(4 * field.stride * maxNames));
    // At most half full, so that a miss ends after a probe or two.
    this.#slots = new Int32Array(new SharedArrayBuffer(4 * 2 ** Math.ceil(Math.log2(Math.max(4, maxNames * 2)))));
  }

  /** Adds a search domain, asked for in this order; one without a wire form is none. */
  addSearch(domain: string): void {
    const at = this.#write(domain);
    if (at >= 0) this.#searches.push(at, this.#end - at);
  }

  /** Adds a host; returns its number, counted up from 0, or -1 when none of `ips` is an address. What is no address is left out. */
  addHost(ips: readonly string[]): number {
    const at = this.#end;
    const number = this.#addAddresses(ips);
    if (this.#end > at) {
      this.#hosts++;
      return number;
    }
    this.#addresses.length -= addressField.stride;
    return -1;
  }

  /** Claims `name` for a host; returns where it lies, -1 when another has it, or when it has no wire form and can never be asked for. */
  claim(name: string, host: number): number {
    const at = this.#write(name);
    if (at < 0 || this.#insert(at, this.#end, host)) return at;
    this.#end = at;
    return -1;
  }

  /** Claims the first `labels` labels of the name at `at`, which are not stored again. */
  claimBeginning(at: number, labels: number, host: number): void {
    let to = at;
    for (let left = labels; left > 0; left--) to += 1 + this.#bytes[to]!;
    this.#insert(at, to, host);
  }

  /** Claims `name` for a pod, whose names are not known under search domains. Hosts come before pods. */
  claimPod(name: string, ip: string): void {
    const at = this.#write(name);
    if (at < 0) return;
    if (this.#insert(at, this.#end, this.#addresses.length / addressField.stride)) this.#addAddresses([ip]);
    else this.#end = at;
  }

  /** The table; nothing may be added afterwards. */
  build(): Omit<NameTable, "services" | "expandsFullNames"> {
    this.#expandKnown();
    const bytes = new Uint8Array(new SharedArrayBuffer(this.#end));
    bytes.set(this.#bytes.subarray(0, this.#end));
    spare = this.#bytes;
    return {
      size: this.#size,
      hosts: this.#hosts,
      wildcards: this.#wildcards,
      slots: this.#slots,
      entries: this.#entries,
      addresses: share(this.#addresses),
      searches: share(this.#searches),
      bytes,
    };
  }

  /**
   * Makes CNAMEs of those known names that are, under the first search domain, another name of a host that does not list them:
   * there Istio lets the expansion win.
   */
  #expandKnown(): void {
    const bytes = this.#bytes;
    const table = { slots: this.#slots, entries: this.#entries, bytes, searches: Int32Array.from(this.#searches) };
    if (table.searches.length === 0) return;
    for (let entry = 0; entry < this.#size; entry++) {
      const at = this.#entries[entry * field.stride + field.name]!;
      const cut = searchStart(table, 0, bytes, at, at + this.#entries[entry * field.stride + field.nameLength]! - 1);
      if (cut <= at) continue;
      const short = probe(table, hashName(bytes, at, cut), bytes, at, cut, false);
      if (short < 0) continue;
      const own = this.#claimants(entry);
      const expands = this.#claimants(short).some((claimant) => claimant < this.#hosts && !own.includes(claimant));
      if (expands) this.#entries[entry * field.stride + field.target] = short;
    }
  }

  /** Appends the wire form of a name without its root label; returns where, -1 when it has none or is the root itself, which is no host. */
  #write(name: string): number {
    this.#reserve(MAX_NAME_LENGTH);
    const at = this.#end;
    const length = writeName(name, this.#bytes, at);
    if (length <= 1) return -1;
    this.#end = at + length - 1;
    return at;
  }

  #addAddresses(ips: readonly string[]): number {
    this.#reserve(ips.length * MAX_ADDRESS_LENGTH);
    const at = this.#end;
    const count4 = this.#writeAddresses(ips, false);
    return this.#addresses.push(at, count4, this.#writeAddresses(ips, true)) / addressField.stride - 1;
  }

  #writeAddresses(ips: readonly string[], six: boolean): number {
    let count = 0;
    for (const ip of ips) {
      if (ip.includes(":") !== six) continue;
      const length = writeAddress(ip, this.#bytes, this.#end);
      this.#end += length;
      if (length > 0) count++;
    }
    return count;
  }

  #insert(from: number, to: number, addresses: number): boolean {
    const hash = hashName(this.#bytes, from, to);
    const entries = this.#entries;
    const slots = this.#slots;
    const known = probe({ slots, entries, bytes: this.#bytes }, hash, this.#bytes, from, to, false);
    if (known >= 0) {
      const late = this.#late.get(known);
      if (late) late.push(addresses);
      else this.#late.set(known, [addresses]);
      return false;
    }
    const base = this.#size * field.stride;
    entries[base + field.hash] = hash;
    entries[base + field.name] = from;
    entries[base + field.nameLength] = to - from + 1;
    entries[base + field.addresses] = addresses;
    entries[base + field.target] = -1;
    this.#wildcards ||= isWildcard(this.#bytes, from);
    let slot = firstSlot(hash, slots.length);
    while (slots[slot] !== 0) slot = (slot + 1) & (slots.length - 1);
    slots[slot] = ++this.#size;
    return true;
  }

  #claimants(entry: number): readonly number[] {
    return [this.#entries[entry * field.stride + field.addresses]!, ...(this.#late.get(entry) ?? [])];
  }

  #reserve(length: number): void {
    if (this.#bytes.length - this.#end >= length) return;
    const larger = Buffer.allocUnsafeSlow(2 * this.#bytes.length + length);
    larger.set(this.#bytes.subarray(0, this.#end));
    this.#bytes = larger;
  }
}

function share(numbers: readonly number[]): Int32Array {
  const shared = new Int32Array(new SharedArrayBuffer(4 * numbers.length));
  shared.set(numbers);
  return shared;
}
