// The services of the whole mesh: a Kubernetes service of the same name and namespace is one service in every cluster.
import { isDualStackMesh } from "../address-family.ts";
import type { MeshView } from "../mesh-view.ts";
import { findAliases, hasAliases, type ServiceAlias } from "./aliases.ts";
import { type ClusterService, readClusterServices } from "./kubernetes-services.ts";
import { type Networks, readNetworks } from "./networks.ts";
import { readServiceEntries } from "./service-entries.ts";
import { Kept } from "../object/kept.ts";
import { compareText, type MeshService } from "./service.ts";

/** Services and networks of a mesh, the same for every node. */
export interface ServiceRegistry {
  /** Oldest first, then by name and namespace: the order in which Istio lets services claim ports. */
  readonly services: readonly MeshService[];
  readonly aliases: readonly ServiceAlias[];
  readonly networks: Networks;
}

/** Joins every source of services. */
export function buildServiceRegistry(mesh: MeshView): ServiceRegistry {
  const networks = readNetworks(mesh);
  const dualStack = isDualStackMesh(mesh.config);
  const merged = new Map<string, ClusterService[]>();
  for (const cluster of mesh.clusters) {
    for (const service of readClusterServices(
      cluster,
      networks,
      dualStack,
      cluster === mesh.clusters[0] ? mesh.workloadEntries : undefined,
    )) {
      const key = `${service.namespace}/${service.name}`;
      const parts = merged.get(key);
      if (parts === undefined) merged.set(key, [service]);
      else parts.push(service);
    }
  }
  const services = [...merged.values()].map((parts) => mergedOnce(mesh, parts));
  // A Kubernetes service owns its name: an entry for the same host would otherwise answer for it.
  const entries = mesh.serviceEntries.length === 0 ? [] : withoutNamesOf(services, readServiceEntries(mesh, networks));
  const all = inOrder([...services, ...entries]);
  const aliases = hasAliases(mesh.clusters) ? findAliases(mesh.clusters, new Set(all.map((service) => service.hostname))) : noAliases;
  const byTarget = Map.groupBy(aliases, (alias) => alias.target);
  return { services: aliases.length === 0 ? all : all.map((service) => named(service, byTarget.get(service.hostname))), aliases, networks };
}

const noAliases: readonly ServiceAlias[] = [];
const namedServices = new Kept<MeshService, MeshService>();

function named(service: MeshService, aliases: readonly ServiceAlias[] = []): MeshService {
  const own = aliases.map((alias) => alias.hostname);
  return own.length === 0 ? service : namedServices.get(service, own, () => ({ ...service, aliases: own }));
}

const mergedServices = new Kept<ClusterService, MeshService>();

function mergedOnce(mesh: MeshView, parts: readonly ClusterService[]): MeshService {
  const [first] = parts;
  if (first === undefined) throw new Error("a service is merged from at least one cluster");
  return mergedServices.get(first, [mesh.config, ...parts], () => mergeClusters(mesh, first, parts));
}

function mergeClusters(mesh: MeshView, first: ClusterService, parts: readonly ClusterService[]): MeshService {
  const domains = [mesh.config.trustDomain, ...mesh.config.trustDomainAliases];
  const accounts = parts.flatMap((part) => part.serviceAccounts);
  const identities = new Set(domains.flatMap((domain) => accounts.map((account) => `spiffe://${domain}/${account}`)));
  return {
    hostname: `${first.name}.${first.namespace}.svc.cluster.local`,
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

function withoutNamesOf(services: readonly MeshService[], entries: readonly MeshService[]): readonly MeshService[] {
  const known = new Set(services.map((service) => service.hostname));
  return entries.filter((service) => !known.has(service.hostname));
}

/** Oldest first, then by name and namespace together. */
function inOrder(services: readonly MeshService[]): readonly MeshService[] {
  return services
    .map((service) => ({ service, name: `${service.name}.${service.namespace}` }))
    .toSorted((a, b) => a.service.createdAt - b.service.createdAt || compareText(a.name, b.name))
    .map(({ service }) => service);
}
