// HTTP header fields in arrival order: names lower-cased, values as latin1 strings (one char = one byte).
// A flat pair of arrays, because a message has about ten fields and a linear scan beats a Map at that size.

/** An ordered multimap of header fields. */
export class HeaderMap {
  readonly names: string[] = [];
  readonly values: string[] = [];

  /** Number of fields. */
  get size(): number {
    return this.names.length;
  }

  /** The first value of `name` (lower case), or undefined. */
  get(name: string): string | undefined {
    const i = this.names.indexOf(name);
    return i < 0 ? undefined : this.values[i];
  }

  /** True when at least one field has this name (lower case). */
  has(name: string): boolean {
    return this.names.includes(name);
  }

  /** Every value of `name` joined by `,`, as policy must see them (CVE-2021-32777, CVE-2026-26308); undefined when absent. */
  getAll(name: string): string | undefined {
    let joined: string | undefined;
    for (let i = this.names.indexOf(name); i >= 0; i = this.names.indexOf(name, i + 1)) {
      const value = this.values[i]!;
      joined = joined === undefined ? value : `${joined},${value}`;
    }
    return joined;
  }

  /** Appends a field; an existing one of the same name stays. */
  add(name: string, value: string): void {
    this.names.push(name);
    this.values.push(value);
  }

  /** Replaces the first field of this name in place and drops the others, or appends. */
  set(name: string, value: string): void {
    const first = this.names.indexOf(name);
    if (first < 0) {
      this.names.push(name);
      this.values.push(value);
      return;
    }
    this.values[first] = value;
    this.#removeFrom(name, first + 1);
  }

  /** Removes every field of this name; true when there was one. */
  remove(name: string): boolean {
    return this.#removeFrom(name, 0);
  }

  /** Removes the field at `index`. */
  removeAt(index: number): void {
    this.names.splice(index, 1);
    this.values.splice(index, 1);
  }

  /** A copy that shares nothing. */
  clone(): HeaderMap {
    const copy = new HeaderMap();
    for (let i = 0; i < this.names.length; i++) copy.add(this.names[i]!, this.values[i]!);
    return copy;
  }

  #removeFrom(name: string, from: number): boolean {
    let found = false;
    for (let i = this.names.indexOf(name, from); i >= 0; i = this.names.indexOf(name, i)) {
      this.names.splice(i, 1);
      this.values.splice(i, 1);
      found = true;
    }
    return found;
  }
}
