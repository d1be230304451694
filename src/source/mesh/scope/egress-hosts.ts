// The hosts of an egress listener, compiled: exact ones are looked up, wildcards are tried in turn.
import { hostCovers } from "../istio/host-name.ts";
import type { ImportedHost } from "../istio/sidecar.ts";

/** The hosts imported from one namespace. */
interface HostSet {
  readonly exact: Set<string>;
  readonly wildcards: string[];
}

/** Answers what an egress listener imports. */
export interface EgressHosts {
  /** True when a service of this name and namespace is imported. */
  importsService(hostname: string, namespace: string): boolean;
  /** The same for a host of a VirtualService, where a wildcard on either side may cover the other. */
  importsRule(host: string, namespace: string): boolean;
}

/** Compiles hosts for proxies of `namespace`. */
export function compileEgressHosts(hosts: readonly ImportedHost[], namespace: string): EgressHosts {
  const sets = new Map<string, HostSet>();
  for (const { namespace: named, host } of hosts) {
    const from = named === "." ? namespace : named;
    const set = sets.get(from) ?? { exact: new Set(), wildcards: [] };
    sets.set(from, set);
    if (host.startsWith("*")) set.wildcards.push(host);
    else set.exact.add(host);
  }
  const fromAny = sets.get("*");
  const ofNamespace = (from: string, holds: (set: HostSet) => boolean): boolean => {
    const own = sets.get(from);
    return (own !== undefined && holds(own)) || (fromAny !== undefined && holds(fromAny));
  };
  return {
    importsService: (hostname, from) =>
      ofNamespace(from, (set) => set.exact.has(hostname) || set.wildcards.some((wildcard) => hostCovers(wildcard, hostname))),
    importsRule: (host, from) =>
      ofNamespace(
        from,
        (set) =>
          set.exact.has(host) ||
          set.wildcards.some((wildcard) => hostCovers(wildcard, host) || hostCovers(host, wildcard)) ||
          (host.startsWith("*") && [...set.exact].some((exact) => hostCovers(host, exact))),
      ),
  };
}
