// Resources of one type by name, in the order given. Most are only ever walked, so the index is made when somebody asks for a name.
import type { Versioned } from "./update.ts";

/** Resources of one type; no two share a name. */
export class ResourceTable<T> {
  readonly list: readonly Versioned<T>[];
  #byName: ReadonlyMap<string, Versioned<T>> | undefined;

  constructor(list: readonly Versioned<T>[]) {
    this.list = list;
  }

  get size(): number {
    return this.list.length;
  }

  get(name: string): Versioned<T> | undefined {
    return this.#index().get(name);
  }

  has(name: string): boolean {
    return this.#index().has(name);
  }

  /** Names in the order given. */
  keys(): Iterable<string> {
    return this.#index().keys();
  }

  /** Resources in the order given. */
  values(): Iterable<Versioned<T>> {
    return this.list;
  }

  #index(): ReadonlyMap<string, Versioned<T>> {
    return (this.#byName ??= new Map(this.list.map((resource) => [resource.name, resource])));
  }
}
