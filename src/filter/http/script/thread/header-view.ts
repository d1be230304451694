// Header fields as a script sees them: reads from the list that came, and notes each change so that only changes go back.
import type { FilterHeaders } from "../filter-api.ts";

// What frames a message or a connection is the proxy's to say: a script that set it could smuggle requests.
const framing: ReadonlySet<string> = new Set([
  "connection",
  "content-length",
  "expect",
  "host",
  "keep-alive",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

const namePattern = /^[a-z0-9!#$%&'*+.^_`|~-]+$/;
// One character is one byte on the wire; tab is the only control character.
// oxlint-disable-next-line no-control-regex
const valuePattern = /^[\t\x20-\x7e\x80-\xff]*$/;

/** A name in lower case. Throws for what is none, and for what a script has no say in. */
export function headerName(name: string): string {
  const lower = String(name).toLowerCase();
  if (!namePattern.test(lower)) throw new TypeError(`${JSON.stringify(name)} is no header name`);
  if (framing.has(lower)) throw new TypeError(`${lower} is the proxy's to set`);
  return lower;
}

/** A value as it may stand in a header. */
export function headerValue(name: string, value: string): string {
  const text = String(value).trim();
  if (!valuePattern.test(text)) throw new TypeError(`${JSON.stringify(value)} cannot stand in header ${name}`);
  return text;
}

/** Header fields with a record of changes. */
export class HeaderView implements FilterHeaders {
  readonly #fields: [string, string][] = [];
  /** As HookResult.headerChanges. */
  readonly changes: string[] = [];

  constructor(flat: readonly string[]) {
    for (let i = 0; i + 1 < flat.length; i += 2) this.#fields.push([flat[i]!, flat[i + 1]!]);
  }

  get(name: string): string | undefined {
    const values = this.getAll(name);
    return values.length === 0 ? undefined : values.join(", ");
  }

  getAll(name: string): readonly string[] {
    const lower = String(name).toLowerCase();
    return this.#fields.flatMap(([known, value]) => (known === lower ? [value] : []));
  }

  has(name: string): boolean {
    const lower = String(name).toLowerCase();
    return this.#fields.some(([known]) => known === lower);
  }

  set(name: string, value: string): void {
    const [lower, text] = [headerName(name), headerValue(name, value)];
    const first = this.#fields.findIndex(([known]) => known === lower);
    if (first < 0) this.#fields.push([lower, text]);
    else {
      this.#fields[first] = [lower, text];
      this.#drop(lower, first + 1);
    }
    this.changes.push("s", lower, text);
  }

  append(name: string, value: string): void {
    const [lower, text] = [headerName(name), headerValue(name, value)];
    this.#fields.push([lower, text]);
    this.changes.push("a", lower, text);
  }

  delete(name: string): void {
    const lower = headerName(name);
    if (this.#drop(lower, 0)) this.changes.push("d", lower, "");
  }

  [Symbol.iterator](): Iterator<readonly [string, string]> {
    return this.#fields.map(([name, value]) => [name, value] as const)[Symbol.iterator]();
  }

  #drop(name: string, from: number): boolean {
    const before = this.#fields.length;
    for (let i = before - 1; i >= from; i--) if (this.#fields[i]![0] === name) this.#fields.splice(i, 1);
    return this.#fields.length < before;
  }
}
