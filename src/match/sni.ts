// Values by server name: exact names, then `*.suffix` from the most specific on, then the one for "any name".

/** A table of server names. Names are lower case, as the inspector delivers them. */
export class ServerNameTable<T> {
  readonly #exact = new Map<string, T>();
  /** Keyed by the suffix with its leading dot. */
  readonly #suffix = new Map<string, T>();
  #any: T | undefined;

  /** The value at exactly this pattern; `make` creates it when there is none. The empty pattern and `*` mean any name, also none. */
  getOrAdd(pattern: string, make: () => T): T {
    if (pattern === "" || pattern === "*") return (this.#any ??= make());
    const wildcard = pattern.startsWith("*.");
    const names = wildcard ? this.#suffix : this.#exact;
    const key = wildcard ? pattern.slice(1) : pattern;
    const found = names.get(key);
    if (found !== undefined) return found;
    const made = make();
    names.set(key, made);
    return made;
  }

  /** The value for a name; `*.example.com` takes `a.example.com` and `b.a.example.com`, not `example.com`. */
  find(serverName: string): T | undefined {
    const exact = this.#exact.get(serverName);
    if (exact !== undefined) return exact;
    if (this.#suffix.size > 0) {
      for (let dot = serverName.indexOf(".", 1); dot >= 0 && dot < serverName.length - 1; dot = serverName.indexOf(".", dot + 1)) {
        const found = this.#suffix.get(serverName.slice(dot));
        if (found !== undefined) return found;
      }
    }
    return this.#any;
  }
}
