// Names to addresses for DNS clusters: the system's resolver (hosts file included), or c-ares where TTLs are wanted. One
// lookup of a name is shared by all clusters that ask for it at the same time.
import { promises as dns } from "node:dns";
import type { Cluster } from "../../envoy/cluster/cluster.ts";

/** An address and how long it may be kept; TTL undefined = not known. */
export interface ResolvedAddress {
  readonly address: string;
  readonly ttlSeconds: number | undefined;
}

/** Which families are wanted, in Envoy's words. */
export type LookupFamily = Cluster["dnsLookupFamily"];

/** Looks a host name up; rejects when there is no answer. The caller keeps the deadline. */
export type HostLookup = (hostname: string, family: LookupFamily, withTtl: boolean) => Promise<readonly ResolvedAddress[]>;

/** The lookup of this system. */
export function createSystemLookup(): HostLookup {
  const running = new Map<string, Promise<readonly ResolvedAddress[]>>();
  return (hostname, family, withTtl) => {
    const key = `${hostname} ${family} ${withTtl}`;
    const held = running.get(key);
    if (held !== undefined) return held;
    const started = (withTtl ? resolveWithTtl(hostname, family) : resolveBySystem(hostname, family)).finally(() => running.delete(key));
    running.set(key, started);
    return started;
  };
}

async function resolveBySystem(hostname: string, family: LookupFamily): Promise<readonly ResolvedAddress[]> {
  const found = await dns.lookup(hostname, { all: true, family: family === "V4_ONLY" ? 4 : family === "V6_ONLY" ? 6 : 0 });
  return chooseFamily(
    found.filter((entry) => entry.family === 4).map(({ address }) => ({ address, ttlSeconds: undefined })),
    found.filter((entry) => entry.family === 6).map(({ address }) => ({ address, ttlSeconds: undefined })),
    family,
  );
}

async function resolveWithTtl(hostname: string, family: LookupFamily): Promise<readonly ResolvedAddress[]> {
  const ask = async (wanted: 4 | 6): Promise<readonly ResolvedAddress[]> => {
    const records = await (wanted === 4 ? dns.resolve4(hostname, { ttl: true }) : dns.resolve6(hostname, { ttl: true }));
    return records.map(({ address, ttl }) => ({ address, ttlSeconds: ttl }));
  };
  const [v4, v6] = await Promise.allSettled([family === "V6_ONLY" ? [] : ask(4), family === "V4_ONLY" ? [] : ask(6)]);
  const found = chooseFamily(v4.status === "fulfilled" ? v4.value : [], v6.status === "fulfilled" ? v6.value : [], family);
  // c-ares knows DNS alone; names of the hosts file and of other NSS sources have no TTL.
  return found.length > 0 ? found : resolveBySystem(hostname, family);
}

/** What of both families a cluster wants (Envoy: AUTO prefers IPv6). */
function chooseFamily(v4: readonly ResolvedAddress[], v6: readonly ResolvedAddress[], family: LookupFamily): readonly ResolvedAddress[] {
  switch (family) {
    case "V4_ONLY":
      return v4;
    case "V6_ONLY":
      return v6;
    case "AUTO":
      return v6.length > 0 ? v6 : v4;
    case "V4_PREFERRED":
      return v4.length > 0 ? v4 : v6;
    case "ALL":
      return [...v6, ...v4];
  }
}
