// Virtual host lookup by authority: exact, then the longest `*.suffix`, then the longest `prefix.*`, then `*`.
// Case-insensitive; the port is part of the name unless told otherwise.

/** What a lookup table is made of. Domains are lower case. */
export interface DomainEntry<T> {
  readonly domains: readonly string[];
  readonly value: T;
}

/** A lookup table, and the domains that were given twice (the first one counts). */
export interface DomainTable<T> {
  /** The value for an authority as the client sent it, or undefined. */
  find(authority: string): T | undefined;
  readonly duplicates: readonly string[];
  /** Takes domains out, then puts others in; all at once for whoever looks. A domain that is there already keeps its value. */
  replace(removed: Iterable<string>, added: readonly DomainEntry<T>[]): void;
}

/** Options of a table. */
export interface DomainOptions {
  /** Compare names without `:port` (RouteConfiguration.ignore_port_in_host_matching). Default false. */
  readonly ignorePort?: boolean;
}

/** Builds a table. */
export function compileDomains<T>(entries: readonly DomainEntry<T>[], options: DomainOptions = {}): DomainTable<T> {
  const ignorePort = options.ignorePort ?? false;
  const exact = new Map<string, T>();
  const suffixes = new Map<string, T>();
  const prefixes = new Map<string, T>();
  const any = new Map<string, T>();
  const duplicates: string[] = [];
  let suffixLengths: readonly number[] = [];
  let prefixLengths: readonly number[] = [];
  let fallback: T | undefined;

  const placeOf = (domain: string): readonly [Map<string, T>, string] => {
    if (domain === "*") return [any, domain];
    if (domain.startsWith("*")) return [suffixes, domain.slice(1)];
    return domain.endsWith("*") ? [prefixes, domain.slice(0, -1)] : [exact, domain];
  };
  const add = (added: readonly DomainEntry<T>[]): void => {
    for (const { domains, value } of added) {
      for (const domain of domains) {
        const [map, key] = placeOf(domain);
        if (map.has(key)) duplicates.push(domain);
        else map.set(key, value);
      }
    }
  };
  const measure = (): void => {
    suffixLengths = lengthsDescending(suffixes);
    prefixLengths = lengthsDescending(prefixes);
    fallback = any.get("*");
  };
  add(entries);
  measure();

  const find = (authority: string): T | undefined => {
    if (exact.size === 0 && suffixLengths.length === 0 && prefixLengths.length === 0) return fallback;
    const host = (ignorePort ? withoutPort(authority) : authority).toLowerCase();
    const found = exact.get(host);
    if (found !== undefined) return found;
    // Shorter than the host, not equal: `*.example.com` does not stand for `.example.com`.
    for (const length of suffixLengths) {
      if (length >= host.length) continue;
      const value = suffixes.get(host.slice(host.length - length));
      if (value !== undefined) return value;
    }
    for (const length of prefixLengths) {
      if (length >= host.length) continue;
      const value = prefixes.get(host.slice(0, length));
      if (value !== undefined) return value;
    }
    return fallback;
  };
  const replace = (removed: Iterable<string>, added: readonly DomainEntry<T>[]): void => {
    for (const domain of removed) {
      const [map, key] = placeOf(domain);
      map.delete(key);
    }
    add(added);
    measure();
  };
  return { find, duplicates, replace };
}

/** Where `:port` starts in an authority, or -1; a colon inside an IPv6 literal is none. */
export function portStart(authority: string): number {
  const colon = authority.lastIndexOf(":");
  return colon > authority.lastIndexOf("]") ? colon : -1;
}

function withoutPort(authority: string): string {
  const colon = portStart(authority);
  return colon < 0 ? authority : authority.slice(0, colon);
}

function lengthsDescending(map: ReadonlyMap<string, unknown>): readonly number[] {
  return [...new Set(Array.from(map.keys(), (key) => key.length))].sort((a, b) => b - a);
}
