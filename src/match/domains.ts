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
  const duplicates: string[] = [];
  let fallback: T | undefined;
  let hasFallback = false;
  const put = (map: Map<string, T>, key: string, value: T, domain: string): void => {
    if (map.has(key)) duplicates.push(domain);
    else map.set(key, value);
  };
  for (const { domains, value } of entries) {
    for (const domain of domains) {
      if (domain === "*") {
        if (hasFallback) duplicates.push(domain);
        else fallback = value;
        hasFallback = true;
      } else if (domain.startsWith("*")) put(suffixes, domain.slice(1), value, domain);
      else if (domain.endsWith("*")) put(prefixes, domain.slice(0, -1), value, domain);
      else put(exact, domain, value, domain);
    }
  }
  if (exact.size + suffixes.size + prefixes.size === 0) return { find: () => fallback, duplicates };

  const suffixLengths = lengthsDescending(suffixes);
  const prefixLengths = lengthsDescending(prefixes);
  const find = (authority: string): T | undefined => {
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
  return { find, duplicates };
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
