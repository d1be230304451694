// The services of the whole mesh, from Kubernetes and from ServiceEntries.
import { isDualStackMesh } from "../address-family.ts";
import type { MeshConfig } from "../mesh-config.ts";
import type { MeshView } from "../mesh-view.ts";
import { findAliases, hasAliases, type ServiceAlias } from "./aliases.ts";
import { readClusterServices } from "./kubernetes-services.ts";
import { ClusterMerge, inOrder, mergeOrdered } from "./merge-clusters.ts";
import { type Networks, readNetworks } from "./networks.ts";
import { readServiceEntries } from "./service-entries.ts";
import { Kept } from "../object/kept.ts";
import type { MeshService } from "./service.ts";

/** Services and networks of a mesh, the same for every node. */
export interface ServiceRegistry {
  /** Oldest first, then by name and namespace: the order in which Istio lets services claim ports. */
  readonly services: readonly MeshService[];
  readonly aliases: readonly ServiceAlias[];
  readonly networks: Networks;
}

const merges = new Kept<MeshConfig, ClusterMerge>();
const known = new Kept<MeshConfig, ServiceRegistry>();

/** Joins every source of services. */
export function buildServiceRegistry(mesh: MeshView): ServiceRegistry {
  const networks = readNetworks(mesh);
  // The registry is read for a translation and again for what is beside it.
  return known.get(mesh.config, [networks, mesh.serviceEntries, mesh.workloadEntries, ...mesh.clusters], () => joinSources(mesh, networks));
}

function joinSources(mesh: MeshView, networks: Networks): ServiceRegistry {
  const dualStack = isDualStackMesh(mesh.config);
  const merge = merges.get(
    mesh.config,
    mesh.clusters.map((cluster) => cluster.name),
    () => new ClusterMerge(mesh.config),
  );
  const services = merge.merge(
    mesh.clusters.map((cluster, index) =>
      readClusterServices(cluster, networks, dualStack, index === 0 ? mesh.workloadEntries : undefined),
    ),
  );
  // A Kubernetes service owns its name: an entry for the same host would otherwise answer for it.
  const entries = mesh.serviceEntries.length === 0 ? [] : withoutNamesOf(services, readServiceEntries(mesh, networks));
  const all = mergeOrdered(services, inOrder(entries));
  const aliases = hasAliases(mesh.clusters)
    ? keepAliases(mesh.config, findAliases(mesh.clusters, new Set(all.map((service) => service.hostname))))
    : noAliases;
  const byTarget = Map.groupBy(aliases, (alias) => alias.target);
  return { services: aliases.length === 0 ? all : all.map((service) => named(service, byTarget.get(service.hostname))), aliases, networks };
}

const noAliases: readonly ServiceAlias[] = [];
const knownAliases = new WeakMap<MeshConfig, { readonly text: string; readonly aliases: readonly ServiceAlias[] }>();

/** The list of before while it says the same. */
function keepAliases(config: MeshConfig, aliases: readonly ServiceAlias[]): readonly ServiceAlias[] {
  const text = JSON.stringify(aliases);
  const before = knownAliases.get(config);
  if (before?.text === text) return before.aliases;
  knownAliases.set(config, { text, aliases });
  return aliases;
}

const namedServices = new Kept<MeshService, MeshService>();

function named(service: MeshService, aliases: readonly ServiceAlias[] = []): MeshService {
  const own = aliases.map((alias) => alias.hostname);
  return own.length === 0 ? service : namedServices.get(service, own, () => ({ ...service, definition: {}, aliases: own }));
}

function withoutNamesOf(services: readonly MeshService[], entries: readonly MeshService[]): readonly MeshService[] {
  const known = new Set(services.map((service) => service.hostname));
  return entries.filter((service) => !known.has(service.hostname));
}
