// Decoding the same JSON object twice gives the same value and the same issues, so a source that hands over unchanged objects
// again need not pay for them: the value is the one of before, and what follows can tell by identity that nothing changed.
import type { Issue } from "../../error.ts";
import { alignLists, keepList } from "../../kept-list.ts";
import { type Cursor, type Decoder, describe } from "./cursor.ts";

interface Remembered {
  readonly value: unknown;
  /** Paths start at the remembered object. */
  readonly issues: readonly Issue[];
}

/** What was decoded before, for one source with one context: JSON that is never changed in place. */
export class DecodeMemory {
  readonly #known = new WeakMap<object, Map<Decoder<unknown>, Remembered>>();

  /** Lists by where they stood, and what was checked about them as a whole. */
  readonly lists = new Map<string, RememberedList>();
  readonly tables = new Map<string, unknown>();

  /** What `decoder` made of `json`. */
  recall(decoder: Decoder<unknown>, json: object): Remembered | undefined {
    return this.#known.get(json)?.get(decoder);
  }

  /** Keeps it for as long as somebody has `json`. */
  keep(decoder: Decoder<unknown>, json: object, outcome: Remembered): void {
    const known = this.#known.get(json);
    if (known === undefined) this.#known.set(json, new Map([[decoder, outcome]]));
    else known.set(decoder, outcome);
  }
}

/** A list as it was decoded last. */
interface RememberedList {
  readonly decoder: Decoder<unknown>;
  readonly json: readonly unknown[];
  readonly values: readonly unknown[];
  /** Entries that have something to report, or that depend on more than the document: those are decoded every time. */
  readonly loud: readonly number[];
}

/** A list after decoding: a value for each entry, and which entries had errors. */
export interface DecodedEntries<T> {
  /** The same list as before when nothing differs. */
  readonly values: readonly T[];
  readonly refused: ReadonlySet<number>;
}

const nothingRefused: ReadonlySet<number> = new Set();

/**
 * Decodes each entry of a list. With a memory, entries that stand where they stood in the list that was decoded before at this
 * place are not looked at again.
 */
export function decodeEntries<T>(decoder: Decoder<T>, json: readonly unknown[], at: Cursor): DecodedEntries<T> {
  const { memory } = at.context;
  const place = at.place;
  const known = memory === undefined || at.muted ? undefined : memory.lists.get(place);
  const before = known?.decoder === decoder ? known : undefined;
  const { start, end } = before === undefined ? { start: 0, end: 0 } : alignLists(before.json, json);
  const shift = json.length - (before?.json.length ?? 0);
  const loud: number[] = [];
  const refused = new Set<number>();
  const read = (index: number): T => {
    const errors = at.errors;
    const { value, issues, selfContained } = at.observe(() => at.in(index, decoder, json[index]));
    if (at.errors > errors) refused.add(index);
    if (issues.length > 0 || !selfContained) loud.push(index);
    return value;
  };
  const values = before === undefined ? [] : before.values.slice(0, start);
  for (const index of before?.loud ?? []) if (index < start) values[index] = read(index);
  for (let index = start; index < json.length - end; index++) values.push(read(index));
  if (before !== undefined) {
    const from = before.json.length - end;
    for (let index = from; index < before.json.length; index++) values.push(before.values[index]);
    for (const index of before.loud) if (index >= from) values[index + shift] = read(index + shift);
  }
  const kept = keepList(before?.values, values) as readonly T[];
  if (memory !== undefined && !at.muted) memory.lists.set(place, { decoder, json, values: kept, loud });
  return { values: kept, refused: refused.size === 0 ? nothingRefused : refused };
}

/** A list whose entries are decoded by `decodeEntries`. */
export function rememberedEntries<T>(decoder: Decoder<T>): Decoder<readonly T[]> {
  return (json, at) => {
    if (Array.isArray(json)) return decodeEntries(decoder, json, at).values;
    at.error(`expected a list, got ${describe(json)}`);
    return [];
  };
}

/** A decoder that asks the context's memory first. What depends on files or the environment is never remembered. */
export function remembered<T>(decoder: Decoder<T>): Decoder<T> {
  return (json, at) => {
    const { memory } = at.context;
    if (memory === undefined || typeof json !== "object" || json === null || at.muted) return decoder(json, at);
    const known = memory.recall(decoder, json);
    if (known !== undefined) {
      at.repeat(known.issues);
      return known.value as T;
    }
    const { value, issues, selfContained } = at.observe(() => decoder(json, at));
    if (selfContained) memory.keep(decoder, json, { value, issues });
    return value;
  };
}
