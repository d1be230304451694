// The services of all clusters made one list: a Kubernetes service of the same name and namespace is one service in every cluster.
// From load to load only what the clusters' lists differ in is merged again.
import { alignLists, sameItems } from "../../../kept-list.ts";
import type { MeshConfig } from "../mesh-config.ts";
import type { ClusterService } from "./kubernetes-services.ts";
import { compareText, type MeshService } from "./service.ts";

/** The parts of one service, in the order of the clusters. */
interface Merged {
  readonly parts: readonly ClusterService[];
  readonly service: MeshService;
}

/** Merges the lists of one mesh. */
export class ClusterMerge {
  readonly #config: MeshConfig;
  #lists: readonly (readonly ClusterService[])[] = [];
  readonly #byHost = new Map<string, Merged>();
  #services: readonly MeshService[] = [];

  constructor(config: MeshConfig) {
    this.#config = config;
  }

  /** The services in Istio's order; `lists` are those of the clusters in their order, the same clusters every time. */
  merge(lists: readonly (readonly ClusterService[])[]): readonly MeshService[] {
    const touched = new Set<string>();
    for (const [index, list] of lists.entries()) {
      const before = this.#lists[index] ?? [];
      if (before === list) continue;
      const { start, end } = alignLists(before, list);
      for (const { hostname } of before.slice(start, before.length - end)) touched.add(hostname);
      for (const { hostname } of list.slice(start, list.length - end)) touched.add(hostname);
    }
    this.#lists = lists;
    if (touched.size === 0) return this.#services;
    const parts = partsOf(lists, touched);
    const gone = new Set<MeshService>();
    const added: MeshService[] = [];
    for (const hostname of touched) {
      const known = this.#byHost.get(hostname);
      const now = parts.get(hostname);
      if (known !== undefined && now !== undefined && sameItems(known.parts, now)) continue;
      if (known !== undefined) gone.add(known.service);
      if (now === undefined) this.#byHost.delete(hostname);
      else {
        const service = mergeParts(this.#config, now, known);
        this.#byHost.set(hostname, { parts: now, service });
        added.push(service);
      }
    }
    this.#services = mergeOrdered(
      this.#services.filter((service) => !gone.has(service)),
      inOrder(added),
    );
    return this.#services;
  }
}

function partsOf(
  lists: readonly (readonly ClusterService[])[],
  wanted: ReadonlySet<string>,
): ReadonlyMap<string, readonly ClusterService[]> {
  const parts = new Map<string, ClusterService[]>();
  for (const list of lists) {
    for (const service of list) {
      if (!wanted.has(service.hostname)) continue;
      const known = parts.get(service.hostname);
      if (known === undefined) parts.set(service.hostname, [service]);
      else known.push(service);
    }
  }
  return parts;
}

function mergeParts(config: MeshConfig, parts: readonly ClusterService[], before: Merged | undefined): MeshService {
  const [first] = parts;
  if (first === undefined) throw new Error("a service is merged from at least one cluster");
  const domains = [config.trustDomain, ...config.trustDomainAliases];
  const accounts = parts.flatMap((part) => part.serviceAccounts);
  const identities = new Set(domains.flatMap((domain) => accounts.map((account) => `spiffe://${domain}/${account}`)));
  return {
    definition: before !== undefined && isSameButEndpoints(before.parts, parts) ? before.service.definition : {},
    hostname: first.hostname,
    name: first.name,
    namespace: first.namespace,
    createdAt: first.createdAt,
    registry: "Kubernetes",
    meshExternal: false,
    resolution: first.headless ? "passthrough" : "eds",
    ports: first.ports,
    addresses: new Map(parts.filter((part) => part.addresses.length > 0).map((part) => [part.cluster, part.addresses])),
    allocated: [],
    headless: first.headless,
    publishNotReady: first.publishNotReady,
    nodeLocal: first.nodeLocal,
    persistentSessions: first.persistentSessions,
    aliases: [],
    endpoints: parts.flatMap((part) => part.endpoints),
    identities: [...identities].toSorted(compareText),
    trafficDistribution: first.trafficDistribution,
    targets: new Map(parts.map((part) => [part.cluster, part.targets])),
    exportTo: first.exportTo,
  };
}

function isSameButEndpoints(before: readonly ClusterService[], now: readonly ClusterService[]): boolean {
  return before.length === now.length && now.every((part, index) => !part.headless && before[index]?.object === part.object);
}

/** Oldest first, then by name and namespace together: the order in which Istio lets services claim ports. */
export function inOrder(services: readonly MeshService[]): readonly MeshService[] {
  return services
    .map((service) => ({ service, name: orderName(service) }))
    .toSorted((a, b) => a.service.createdAt - b.service.createdAt || compareText(a.name, b.name))
    .map(({ service }) => service);
}

/** Two lists in that order made one; of equals those of `many` come first. Cheap for a short second list. */
export function mergeOrdered(many: readonly MeshService[], few: readonly MeshService[]): readonly MeshService[] {
  if (few.length === 0) return many;
  const merged: MeshService[] = [];
  let from = 0;
  for (const service of few) {
    const to = placeOf(many, service, from);
    for (; from < to; from++) merged.push(many[from] as MeshService);
    merged.push(service);
  }
  for (; from < many.length; from++) merged.push(many[from] as MeshService);
  return merged;
}

function placeOf(services: readonly MeshService[], service: MeshService, from: number): number {
  const name = orderName(service);
  let [low, high] = [from, services.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    const other = services[middle] as MeshService;
    if ((other.createdAt - service.createdAt || compareText(orderName(other), name)) <= 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

const orderName = ({ name, namespace }: MeshService): string => `${name}.${namespace}`;
