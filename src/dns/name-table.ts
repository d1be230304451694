// The names of the mesh, compiled from Istio's name table into flat arrays in shared memory: looked up without allocation
// (name-lookup.ts), posted to another thread without a copy, never changed after it is built. Encoding the answer is answer.ts.
import { NameTableBuilder } from "./name-table-builder.ts";
import type { HostPorts, ServiceEndpoint, ServicePorts } from "./service-ports.ts";

/** One host of Istio's name table (`istio.networking.nds.v1.NameTable.NameInfo`). */
export interface NameInfo {
  readonly ips?: readonly string[];
  readonly registry?: string;
  readonly shortname?: string;
  readonly namespace?: string;
  readonly alt_hosts?: readonly string[];
  /** `alt_hosts` as proto JSON writes it. */
  readonly altHosts?: readonly string[];
}

/** Istio's name table (`istio.networking.nds.v1.NameTable`) as proto JSON. */
export interface NameTableJson {
  readonly table?: Readonly<Record<string, NameInfo>>;
}

/** Whose point of view the short names are from. */
export interface NameTableOptions {
  /** The proxy's DNS domain, with or without its namespace in front: `default.svc.cluster.local`. */
  readonly proxyDomain: string;
  /** The proxy's namespace: its services answer to their bare name. */
  readonly proxyNamespace: string;
  /** The search domains that names are also known under; Istio takes resolv.conf's first one only. */
  readonly searchDomains: readonly string[];
  /**
   * Names that end in a search domain are known under it as well: resolvers that count dots ask for those first, and without this the
   * answer waits for an upstream that may be dead. Default false, as in Istio.
   */
  readonly expandFullNames?: boolean;
}

/** A compiled table. The arrays lie in shared memory, so posting one to a thread shares it. */
export interface NameTable {
  /** Names it has, aliases included; what they are under a search domain is found without being stored. */
  readonly size: number;
  /** How many of `addresses` are of hosts; those behind them are of pods that only SRV records name. */
  readonly hosts: number;
  /** False lets a lookup skip the walk over parent domains. */
  readonly wildcards: boolean;
  /** Open addressing, a power of two long: entry number + 1, 0 = free. */
  readonly slots: Int32Array;
  /** `field.stride` numbers an entry. */
  readonly entries: Int32Array;
  /** `addressField.stride` numbers a host, then a pod. */
  readonly addresses: Int32Array;
  /** `searchField.stride` numbers a search domain, in the order they are tried. */
  readonly searches: Int32Array;
  /** Whether a name that ends in a search domain is known under it as well. */
  readonly expandsFullNames: boolean;
  /** Names and search domains in wire form without the root label, and addresses. */
  readonly bytes: Uint8Array;
  /** By host number; not shared with threads, which know nothing of ports. */
  readonly services?: readonly (HostPorts | undefined)[] | undefined;
}

/** A host with its names, lower case. */
interface NamedHost {
  /** Without the final dot; undefined when it is known by no name. */
  readonly full: string | undefined;
  /** The others; one may be there twice. */
  readonly aliases: readonly string[];
  readonly ips: readonly string[];
}

/** Where the short names are from. */
interface PointOfView {
  readonly namespace: string;
  /** The domain of the proxy's cluster, without the namespace, lower case. */
  readonly domain: string;
  readonly firstLabel: string;
}

const noNames: readonly string[] = [];

/**
 * Compiles what the proxy at `options` answers for `nds`; hosts without a usable address are left out, so they are forwarded.
 * @param ports of the hosts in `nds`, for SRV; the pods named in there become names as well
 */
export function compileNameTable(nds: NameTableJson, options: NameTableOptions, ports: ServicePorts = {}): NameTable {
  const { table = {} } = nds;
  const view = pointOfView(options);
  const keys = Object.keys(table).sort();
  const named = keys.map((key) => nameHost(key, table[key]!, view));
  const known = keys.map((key) => (Object.hasOwn(ports, key) ? { host: key, ports: ports[key]! } : undefined));
  const builder = new NameTableBuilder(named.reduce((sum, { aliases }) => sum + 1 + aliases.length, podsOf(known).length));
  for (const search of new Set(options.searchDomains.map((name) => name.toLowerCase().replace(/\.$/, "")))) builder.addSearch(search);

  const services: (HostPorts | undefined)[] = [];
  const claims: { readonly named: NamedHost; readonly host: number; readonly at: number }[] = [];
  // Istio walks its map in random order, so a name claimed twice is anyone's there. Here full names come first and win.
  named.forEach((host, i) => {
    const number = builder.addHost(host.ips);
    if (number < 0) return;
    services.push(known[i]);
    claims.push({ named: host, host: number, at: host.full === undefined ? -1 : builder.claim(host.full, number) });
  });
  for (const { named: names, host, at } of claims) {
    for (const alias of names.aliases) {
      // Most aliases are how the full name begins, so their bytes are there already.
      if (at >= 0 && names.full?.startsWith(`${alias}.`)) builder.claimBeginning(at, countLabels(alias), host);
      else builder.claim(alias, host);
    }
  }
  // Pods that SRV records point to and the name table does not have: they have no host name of their own.
  for (const pod of podsOf(services)) builder.claimPod(pod.host.toLowerCase(), pod.address);
  return { ...builder.build(), expandsFullNames: options.expandFullNames ?? false, services };
}

function podsOf(services: readonly (HostPorts | undefined)[]): readonly ServiceEndpoint[] {
  return services.flatMap((service) => service?.ports ?? []).flatMap((port) => port.endpoints ?? []);
}

function countLabels(name: string): number {
  let count = 1;
  for (let dot = name.indexOf("."); dot >= 0; dot = name.indexOf(".", dot + 1)) count++;
  return count;
}

function pointOfView({ proxyDomain, proxyNamespace: namespace }: NameTableOptions): PointOfView {
  const full = proxyDomain.toLowerCase();
  const domain = namespace !== "" && full.startsWith(`${namespace}.`) ? full.slice(namespace.length + 1) : full;
  return { namespace, domain, firstLabel: domain.split(".", 1)[0]! };
}

function nameHost(host: string, info: NameInfo, view: PointOfView): NamedHost {
  const { domain, namespace: proxyNamespace } = view;
  const { ips = noNames, registry, shortname, namespace } = info;
  const full = host.toLowerCase();
  if (registry !== "Kubernetes") return { full: full.replace(/\.$/, ""), aliases: noNames, ips };
  if (full.endsWith(".")) return { full: undefined, aliases: noNames, ips };
  // Across domains `name.namespace` would be ambiguous, so a service of another domain answers to its full name only.
  if (domain === "" || !full.endsWith(domain)) return { full, aliases: noNames, ips };
  const aliases: string[] = [];
  if (shortname && namespace) {
    const short = `${shortname}.${namespace}`.toLowerCase();
    aliases.push(short);
    if (namespace === proxyNamespace) aliases.push(shortname.toLowerCase());
    aliases.push(`${short}.${view.firstLabel}`);
  }
  for (const alias of info.alt_hosts ?? info.altHosts ?? noNames) aliases.push(alias.toLowerCase());
  return { full, aliases, ips };
}
