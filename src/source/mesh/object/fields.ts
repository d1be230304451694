// Reads one YAML mapping field by field and remembers what was read, so that a wrong type and an unknown field are both
// reported with their path. It knows nothing of any particular kind; the readers do.
import type { Issue } from "../../../error.ts";

/** A way to a value inside an object. */
export type FieldPath = readonly (string | number)[];

/** Collects the issues of one object. */
export class IssueSink {
  readonly issues: Issue[] = [];

  error(path: FieldPath, message: string): void {
    this.issues.push({ severity: "error", path, message });
  }

  warn(path: FieldPath, message: string): void {
    this.issues.push({ severity: "warning", path, message });
  }

  get failed(): boolean {
    return this.issues.some((issue) => issue.severity === "error");
  }
}

type Mapping = Readonly<Record<string, unknown>>;

/** Tells a YAML mapping from every other value. */
export function isMapping(value: unknown): value is Mapping {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

const nameOf = (value: unknown): string =>
  value === null
    ? "null"
    : Array.isArray(value)
      ? "a list"
      : typeof value === "object"
        ? "a mapping"
        : `${typeof value} ${JSON.stringify(value)}`;

/** One mapping being read. Every getter answers `undefined` (or empty) after reporting, so a reader never has to stop early. */
export class Fields {
  readonly path: FieldPath;
  readonly #value: Mapping;
  readonly #sink: IssueSink;
  readonly #seen = new Set<string>();

  constructor(value: Mapping, path: FieldPath, sink: IssueSink) {
    this.#value = value;
    this.path = path;
    this.#sink = sink;
  }

  /** The value as it stands; null counts as absent, as in Kubernetes. */
  raw(key: string): unknown {
    this.#seen.add(key);
    return this.#value[key] ?? undefined;
  }

  has(key: string): boolean {
    return this.raw(key) !== undefined;
  }

  error(key: string, message: string): void {
    this.#sink.error([...this.path, key], message);
  }

  warn(key: string, message: string): void {
    this.#sink.warn([...this.path, key], message);
  }

  string(key: string): string | undefined {
    const value = this.raw(key);
    if (value === undefined || typeof value === "string") return value;
    this.error(key, `is ${nameOf(value)}, expected a string`);
    return undefined;
  }

  requiredString(key: string): string {
    const value = this.string(key);
    if (value !== undefined && value !== "") return value;
    if (!this.has(key) || value === "") this.error(key, "is missing, expected a string");
    return "";
  }

  boolean(key: string): boolean | undefined {
    const value = this.raw(key);
    if (value === undefined || typeof value === "boolean") return value;
    this.error(key, `is ${nameOf(value)}, expected true or false`);
    return undefined;
  }

  integer(key: string, range: { readonly min: number; readonly max: number }): number | undefined {
    const value = this.raw(key);
    if (value === undefined) return undefined;
    if (typeof value === "number" && Number.isInteger(value) && value >= range.min && value <= range.max) return value;
    this.error(key, `is ${nameOf(value)}, expected a whole number from ${range.min} to ${range.max}`);
    return undefined;
  }

  /** A number that need not be whole. */
  number(key: string, range: { readonly min: number; readonly max: number }): number | undefined {
    const value = this.raw(key);
    if (value === undefined) return undefined;
    if (typeof value === "number" && value >= range.min && value <= range.max) return value;
    this.error(key, `is ${nameOf(value)}, expected a number from ${range.min} to ${range.max}`);
    return undefined;
  }

  port(key: string): number | undefined {
    return this.integer(key, { min: 1, max: 65_535 });
  }

  requiredPort(key: string): number {
    if (!this.has(key)) this.error(key, "is missing, expected a port from 1 to 65535");
    return this.port(key) ?? 0;
  }

  /** One of a closed list of words, compared exactly. */
  oneOf<T extends string>(key: string, words: readonly T[]): T | undefined {
    const value = this.string(key);
    if (value === undefined) return undefined;
    const word = words.find((candidate) => candidate === value);
    if (word === undefined) this.error(key, `is "${value}", expected one of ${words.join(", ")}`);
    return word;
  }

  strings(key: string): readonly string[] {
    const value = this.raw(key);
    if (value === undefined) return [];
    if (!Array.isArray(value)) {
      this.error(key, `is ${nameOf(value)}, expected a list of strings`);
      return [];
    }
    return value.flatMap((item: unknown, index) => {
      if (typeof item === "string") return [item];
      this.#sink.error([...this.path, key, index], `is ${nameOf(item)}, expected a string`);
      return [];
    });
  }

  stringMap(key: string): Readonly<Record<string, string>> {
    const value = this.raw(key);
    if (value === undefined) return {};
    if (!isMapping(value)) {
      this.error(key, `is ${nameOf(value)}, expected a mapping of strings`);
      return {};
    }
    const out: Record<string, string> = {};
    for (const [name, item] of Object.entries(value)) {
      if (typeof item === "string") out[name] = item;
      else this.#sink.error([...this.path, key, name], `is ${nameOf(item)}, expected a string (quote it)`);
    }
    return out;
  }

  child(key: string): Fields | undefined {
    const value = this.raw(key);
    if (value === undefined) return undefined;
    if (isMapping(value)) return new Fields(value, [...this.path, key], this.#sink);
    this.error(key, `is ${nameOf(value)}, expected a mapping`);
    return undefined;
  }

  list<T>(key: string, read: (item: Fields) => T): readonly T[] {
    const value = this.raw(key);
    if (value === undefined) return [];
    if (!Array.isArray(value)) {
      this.error(key, `is ${nameOf(value)}, expected a list`);
      return [];
    }
    return value.flatMap((item: unknown, index) => {
      if (isMapping(item)) return [read(new Fields(item, [...this.path, key, index], this.#sink))];
      this.#sink.error([...this.path, key, index], `is ${nameOf(item)}, expected a mapping`);
      return [];
    });
  }

  /** A mapping of names to mappings, each read by `read`. */
  map<T>(key: string, read: (item: Fields, name: string) => T): ReadonlyMap<string, T> {
    const out = new Map<string, T>();
    const inner = this.child(key);
    if (inner === undefined) return out;
    for (const name of Object.keys(inner.#value)) {
      const item = inner.child(name);
      if (item !== undefined) out.set(name, read(item, name));
    }
    return out;
  }

  /** Fields that are known and valid, but without effect here: listed, so that nothing is dropped in silence. */
  notHonoured(...keys: readonly string[]): void {
    for (const key of keys) if (this.has(key)) this.warn(key, "has no effect: this field is not honoured");
  }

  /** Fields that are refused, because leaving them out could change who may reach whom. */
  refused(...keys: readonly string[]): void {
    for (const key of keys) if (this.has(key)) this.error(key, "is not supported, and leaving it out could change who may reach whom");
  }

  /** Fields that carry nothing a data plane acts on. */
  ignore(...keys: readonly string[]): void {
    for (const key of keys) this.#seen.add(key);
  }

  /** Reports every field that nobody asked for. Call it last. */
  finish(): void {
    for (const key of Object.keys(this.#value)) {
      if (this.#seen.has(key)) continue;
      const known = [...this.#seen].toSorted();
      this.error(key, `is an unknown field, expected one of ${known.join(", ")}`);
    }
  }
}
