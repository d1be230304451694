// Decoding the same JSON object twice gives the same value and the same issues, so a source that hands over unchanged objects
// again need not pay for them: the value is the one of before, and what follows can tell by identity that nothing changed.
import type { Issue } from "../../error.ts";
import type { Decoder } from "./cursor.ts";

interface Remembered {
  readonly value: unknown;
  /** Paths start at the remembered object. */
  readonly issues: readonly Issue[];
}

/** What was decoded before, for one source with one context: JSON that is never changed in place. */
export class DecodeMemory {
  readonly #known = new WeakMap<object, Map<Decoder<unknown>, Remembered>>();

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
