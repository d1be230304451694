// Decodes one protobuf message from its JSON form. A decoder asks for the fields it honours; whatever else is there is a field
// that Envoy knows (reported as not honoured) or one that it does not (an error with the nearest name).
import knownFields from "./fields.json" with { type: "json" };
import { type Cursor, type Decoder, describe, isObject } from "./cursor.ts";
import { nearest } from "./nearest.ts";

/** What to do with a field that Envoy knows and the decoder did not ask for. */
export interface MessageOptions {
  /** `error` where leaving a field out could change who may reach whom (TLS, RBAC, JWT). Default `warn`. */
  readonly unhandled?: "warn" | "error";
}

// `stat_prefix` to `statPrefix`.
const camelCase = (name: string): string => name.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());

/** The fields of one message, for its decoder to ask for. */
export class Fields {
  readonly at: Cursor;
  readonly #json: Readonly<Record<string, unknown>>;
  /** By name, the other spelling that proto JSON allows. */
  readonly #known: ReadonlyMap<string, string>;
  readonly #type: string;
  readonly #asked: string[] = [];
  #key = "";
  // A refused field often stands in for a required one, whose absence is then no news.
  #refused = false;

  constructor(json: Readonly<Record<string, unknown>>, at: Cursor, type: string, known: ReadonlyMap<string, string>) {
    this.#json = json;
    this.at = at;
    this.#type = type;
    this.#known = known;
  }

  /** True when the field is given (null counts as absent, as in proto JSON). Marks it as honoured. */
  has(name: string): boolean {
    return this.#take(name) !== undefined;
  }

  /** The field's value, or `fallback` when it is not given. */
  field<T, F>(name: string, decoder: Decoder<T>, fallback: F): T | F {
    const json = this.#take(name);
    return json === undefined ? fallback : this.at.in(this.#key, decoder, json);
  }

  /** The field's value; an error when it is not given. */
  required<T>(name: string, decoder: Decoder<T>): T {
    const json = this.#take(name);
    if (json !== undefined) return this.at.in(this.#key, decoder, json);
    if (!this.#refused) this.at.error("required, but not given", name);
    return this.at.neutral(decoder);
  }

  /** The field as an object to spread: empty when it is not given, so that optional properties stay absent. */
  maybe<K extends string, T>(key: K, name: string, decoder: Decoder<T>): { readonly [P in K]?: T } {
    const json = this.#take(name);
    if (json === undefined) return {};
    return { [key]: this.at.in(this.#key, decoder, json) } as { readonly [P in K]?: T };
  }

  /** The one member of a oneof that is given; giving two is an error. */
  oneof<T>(members: Readonly<Record<string, Decoder<T>>>): T | undefined {
    let found: string | undefined;
    let value: T | undefined;
    for (const [name, decoder] of Object.entries(members)) {
      const json = this.#take(name);
      if (json === undefined) continue;
      if (found === undefined) value = this.at.in(this.#key, decoder, json);
      else this.at.error(`give either this or ${found}, not both`, this.#key);
      found ??= name;
    }
    return value;
  }

  /** As `oneof`, and one of them must be there. */
  requiredOneof<T>(members: Readonly<Record<string, Decoder<T>>>, neutral: T): T {
    const before = this.#asked.length;
    const value = this.oneof(members);
    if (value !== undefined) return value;
    if (this.#asked.length === before && !this.#refused) this.at.error(`one of ${Object.keys(members).join(", ")} is required`);
    return neutral;
  }

  /** Fields that ask for nothing this proxy does not already do, or that only tune Envoy itself. */
  accept(...names: readonly string[]): void {
    for (const name of names) this.#take(name);
  }

  /** Fields that are an error when given; `why` completes `... is not supported: `. */
  refuse(why: string, ...names: readonly string[]): void {
    for (const name of names) {
      const json = this.#take(name);
      if (!asksForSomething(json)) continue;
      this.at.error(`not supported: ${why}`, this.#key);
      this.#refused = true;
    }
  }

  /** Fields left out with a warning even where unhandled ones are errors. */
  ignore(...names: readonly string[]): void {
    for (const name of names) {
      const json = this.#take(name);
      if (asksForSomething(json)) this.at.warn("is not honoured", this.#key);
    }
  }

  /** Reports the fields nobody asked for. */
  finish(unhandled: "warn" | "error"): void {
    const keys = Object.keys(this.#json);
    if (keys.length === this.#asked.length) return;
    for (const key of keys) {
      if (this.#asked.includes(key) || (this.#json[key] ?? null) === null) continue;
      const name = this.#known.has(key) ? key : key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
      if (!this.#known.has(name)) {
        const near = nearest(name, this.#known.keys());
        this.at.error(`unknown field${near === undefined ? ` of ${this.#type}` : `, did you mean ${near}`}`, key);
      } else if (unhandled === "warn") this.at.warn("is not honoured", key);
      else this.at.error("is not supported, and leaving it out could change who may reach whom", key);
    }
  }

  // Sets #key to the spelling found.
  #take(name: string): unknown {
    const camel = this.#known.get(name);
    if (camel === undefined) throw new Error(`${this.#type} has no field ${name}`);
    const plain = this.#json[name];
    const other = camel === name ? undefined : this.#json[camel];
    if (plain === undefined && other === undefined) return undefined;
    this.#key = plain === undefined ? camel : name;
    if (plain !== undefined) this.#mark(name);
    if (other !== undefined) this.#mark(camel);
    if (plain !== undefined && other !== undefined) this.at.error(`given twice, as ${name} and as ${camel}`, camel);
    const json = plain === undefined ? other : plain;
    return json === null ? undefined : json;
  }

  #mark(key: string): void {
    if (!this.#asked.includes(key)) this.#asked.push(key);
  }
}

// False and the empty list are what leaving the field out means.
function asksForSomething(json: unknown): boolean {
  return json !== undefined && json !== false && !(Array.isArray(json) && json.length === 0);
}

/**
 * A decoder of a message.
 * @param type full message name in Envoy's API, whose fields are in fields.json; or the field names themselves for messages that are not Envoy's
 */
export function message<T>(type: string | readonly string[], build: (fields: Fields) => T, options: MessageOptions = {}): Decoder<T> {
  const name = typeof type === "string" ? type.slice(type.lastIndexOf(".") + 1) : "this message";
  const names = typeof type === "string" ? (knownFields as Readonly<Record<string, readonly string[]>>)[type] : type;
  if (names === undefined) throw new Error(`fields.json has no ${String(type)}: run scripts/envoy-fields.ts`);
  const known = new Map(names.map((each) => [each, camelCase(each)]));
  const unhandled = options.unhandled ?? "warn";
  return (json, at) => {
    if (isObject(json) && !at.tooDeep) {
      const fields = new Fields(json, at, name, known);
      const value = build(fields);
      fields.finish(unhandled);
      return value;
    }
    at.error(isObject(json) ? "nested too deeply" : `expected an object, got ${describe(json)}`);
    // One issue is enough: what an empty message would lack is not worth saying.
    return at.neutral((_, cursor) => build(new Fields({}, cursor, name, known)));
  };
}

/** A message of which only its presence counts. */
export function emptyMessage(type: string | readonly string[]): Decoder<true> {
  return message(type, () => true as const);
}
