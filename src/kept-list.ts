// Lists that change in one place at a time: what was made of the items of before is kept for those that stayed. Items are told
// apart by identity, so whoever makes them keeps them too.

/** Where two lists differ: how many items at the start and at the end are the same in both. */
export interface Alignment {
  readonly start: number;
  readonly end: number;
}

/** Compares two lists from both ends; costs a look at each item that stayed. */
export function alignLists(before: readonly unknown[], next: readonly unknown[]): Alignment {
  const most = Math.min(before.length, next.length);
  let start = 0;
  while (start < most && before[start] === next[start]) start++;
  let end = 0;
  while (end < most - start && before[before.length - 1 - end] === next[next.length - 1 - end]) end++;
  return { start, end };
}

/** True when both lists hold the same items in the same order. */
export function sameItems(left: readonly unknown[], right: readonly unknown[]): boolean {
  return left === right || (left.length === right.length && left.every((item, index) => item === right[index]));
}

/** The list of before when the new one holds the same items, so that whoever compares lists need not look into them. */
export function keepList<T>(before: readonly T[] | undefined, next: readonly T[]): readonly T[] {
  return before !== undefined && sameItems(before, next) ? before : next;
}

interface KeptValues<Item, Value> {
  readonly ingredients: readonly unknown[];
  readonly items: readonly Item[];
  readonly values: readonly Value[];
}

/** A value for every item of a list, by owner; made again only for items that the list before did not have. */
export class KeptMap<Item, Value> {
  readonly #known = new WeakMap<object, KeptValues<Item, Value>>();

  /**
   * The values in the order of the items; the very list of before when every value is.
   * @param ingredients what values are made of beside the item: with any other than before all are made again
   */
  map(owner: object, items: readonly Item[], ingredients: readonly unknown[], make: (item: Item) => Value): readonly Value[] {
    const known = this.#known.get(owner);
    const before = known !== undefined && sameItems(known.ingredients, ingredients) ? known : undefined;
    if (before?.items === items) return before.values;
    const values = before === undefined ? items.map((item) => make(item)) : remap(before, items, make);
    this.#known.set(owner, { ingredients, items, values });
    return values;
  }
}

function remap<Item, Value>(before: KeptValues<Item, Value>, items: readonly Item[], make: (item: Item) => Value): readonly Value[] {
  const { start, end } = alignLists(before.items, items);
  const from = before.items.length - end;
  const moved = new Map<Item, Value>();
  for (let at = start; at < from; at++) moved.set(before.items[at] as Item, before.values[at] as Value);
  const middle = items.slice(start, items.length - end).map((item) => (moved.has(item) ? (moved.get(item) as Value) : make(item)));
  if (sameItems(middle, before.values.slice(start, from))) return before.values;
  return before.values.slice(0, start).concat(middle, before.values.slice(from));
}

/** The items of a list by a key of theirs. Asked about a list much like the one before, it changes one table instead of making another. */
export class KeptIndex<Item, Key> {
  readonly #keyOf: (item: Item) => Key;
  #items: readonly Item[] = [];
  #byKey = new Map<Key, Item>();
  /** False: two items of the list share a key. */
  #unique = true;

  constructor(keyOf: (item: Item) => Key) {
    this.#keyOf = keyOf;
  }

  /** The item of a list with this key; call `isUnique` first. */
  get(items: readonly Item[], key: Key): Item | undefined {
    return this.isUnique(items) ? this.#byKey.get(key) : items.find((item) => this.#keyOf(item) === key);
  }

  /** True when no two items of the list share a key. */
  isUnique(items: readonly Item[]): boolean {
    if (items === this.#items) return this.#unique;
    const before = this.#unique ? this.#items : [];
    if (!this.#unique) this.#byKey = new Map();
    this.#items = items;
    const { start, end } = alignLists(before, items);
    for (let at = start; at < before.length - end; at++) this.#byKey.delete(this.#keyOf(before[at] as Item));
    for (let at = start; at < items.length - end; at++) this.#byKey.set(this.#keyOf(items[at] as Item), items[at] as Item);
    this.#unique = this.#byKey.size === items.length;
    return this.#unique;
  }
}

/** Keys that items of a list claim, followed from list to list. Tells whether every key is claimed once. */
export class KeptClaims<Item, Key> {
  readonly #keysOf: (item: Item) => readonly Key[];
  #items: readonly Item[] = [];
  #claimed = new Set<Key>();
  #disjoint = true;

  constructor(keysOf: (item: Item) => readonly Key[]) {
    this.#keysOf = keysOf;
  }

  /** True when no key is claimed twice; only then `has` may be asked. */
  follow(items: readonly Item[]): boolean {
    if (items === this.#items) return this.#disjoint;
    const before = this.#disjoint ? this.#items : [];
    if (!this.#disjoint) this.#claimed = new Set();
    this.#items = items;
    const { start, end } = alignLists(before, items);
    for (let at = start; at < before.length - end; at++) for (const key of this.#keysOf(before[at] as Item)) this.#claimed.delete(key);
    this.#disjoint = true;
    for (let at = start; at < items.length - end && this.#disjoint; at++) this.#claim(items[at] as Item);
    return this.#disjoint;
  }

  /** True when an item of the list claims the key. */
  has(key: Key): boolean {
    return this.#claimed.has(key);
  }

  #claim(item: Item): void {
    for (const key of this.#keysOf(item)) {
      this.#disjoint &&= !this.#claimed.has(key);
      this.#claimed.add(key);
    }
  }
}

/** Lists of lists made flat, once for as long as the outer list is the same object. */
export class KeptFlat<Value> {
  readonly #known = new WeakMap<readonly (readonly Value[])[], readonly Value[]>();

  /** All items of all lists in order. */
  of(lists: readonly (readonly Value[])[]): readonly Value[] {
    let flat = this.#known.get(lists);
    if (flat === undefined) this.#known.set(lists, (flat = lists.flat()));
    return flat;
  }
}

/** A list in the order of `compare`, by owner; items that stayed in the list are not sorted again. */
export class KeptOrder<Item> {
  readonly #compare: (a: Item, b: Item) => number;
  readonly #known = new WeakMap<object, { readonly items: readonly Item[]; readonly sorted: readonly Item[] }>();

  /** @param compare tells items apart entirely: no two of a list may be equal to it unless it does not matter which comes first */
  constructor(compare: (a: Item, b: Item) => number) {
    this.#compare = compare;
  }

  /** The items in order; the very list of before when it has the same items. */
  of(owner: object, items: readonly Item[]): readonly Item[] {
    const known = this.#known.get(owner);
    if (known?.items === items) return known.sorted;
    const sorted = known === undefined ? items.toSorted(this.#compare) : this.#reorder(known.items, known.sorted, items);
    this.#known.set(owner, { items, sorted });
    return sorted;
  }

  #reorder(before: readonly Item[], sorted: readonly Item[], items: readonly Item[]): readonly Item[] {
    const { start, end } = alignLists(before, items);
    const gone = new Set(before.slice(start, before.length - end));
    const added = items.slice(start, items.length - end);
    if (gone.size === 0 && added.length === 0) return sorted;
    // Most of the list being new, a sort costs no more.
    if (added.length > 100) return items.toSorted(this.#compare);
    const next = sorted.filter((item) => !gone.has(item));
    for (const item of added) next.splice(this.#placeOf(next, item), 0, item);
    return next;
  }

  // After its equals, as a stable sort has it for an item that comes after them.
  #placeOf(sorted: readonly Item[], item: Item): number {
    let [low, high] = [0, sorted.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#compare(sorted[middle] as Item, item) <= 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
