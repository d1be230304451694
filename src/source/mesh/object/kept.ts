// What is made again on every load though most of what it is made from stayed the same: kept for as long as its ingredients are
// the same objects. A load that changed one file then makes one thing new, and everything behind it can tell by identity.

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

/** True when both lists hold the same objects in the same order. */
export function sameItems(left: readonly unknown[], right: readonly unknown[]): boolean {
  return left.length === right.length && left.every((item, index) => item === right[index]);
}

/** The list of before when the new one holds the same objects, so that whoever compares lists need not look into them. */
export function keepList<T>(before: readonly T[] | undefined, next: readonly T[]): readonly T[] {
  return before !== undefined && sameItems(before, next) ? before : next;
}
