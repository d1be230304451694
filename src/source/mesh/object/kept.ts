// What is made again on every load though most of what it is made from stayed the same: kept for as long as its ingredients are
// the same objects. A load that changed one file then makes one thing new, and everything behind it can tell by identity.
import { sameItems } from "../../../kept-list.ts";

/** Values by owner, each good for as long as what it was made from is the same, object by object. */
export class Kept<Owner extends object, Value> {
  readonly #known = new WeakMap<Owner, { readonly ingredients: readonly unknown[]; readonly value: Value }>();

  /** The value made before of the same ingredients, or a new one. */
  get(owner: Owner, ingredients: readonly unknown[], make: () => Value): Value {
    const known = this.#known.get(owner);
    if (known !== undefined && sameItems(known.ingredients, ingredients)) return known.value;
    const value = make();
    this.#known.set(owner, { ingredients, value });
    return value;
  }
}

/** Named values, each the object of before while it says the same: for what is cheap to make and dear to work on. */
export class KeptByText<Value extends object> {
  readonly #known = new WeakMap<object, ReadonlyMap<string, { readonly text: string; readonly value: Value }>>();

  /** The values with those that were given before in place of their equals. */
  getAll(owner: object, values: readonly Value[], nameOf: (value: Value) => string): readonly Value[] {
    const before = this.#known.get(owner);
    const now = new Map<string, { readonly text: string; readonly value: Value }>();
    this.#known.set(owner, now);
    return values.map((value) => {
      const name = nameOf(value);
      const known = before?.get(name);
      const text = known?.value === value ? known.text : JSON.stringify(value);
      const kept = known?.text === text ? known : { text, value };
      now.set(name, kept);
      return kept.value;
    });
  }
}
