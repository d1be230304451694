// What one proxy sees of the mesh: its egress listeners with the services and VirtualServices each imports, and all of them together.
// Compiled once for a translation; without a Sidecar one listener imports everything that is exported to the namespace.
import { KeptIndex, KeptMap } from "../../../kept-list.ts";
import type { EgressListener, SidecarSpec } from "../istio/sidecar.ts";
import { meshGateway, type VirtualService, virtualServicesOf } from "../istio/virtual-services.ts";
import type { MeshView } from "../mesh-view.ts";
import type { MeshObject } from "../object/mesh-object.ts";
import type { Proxy } from "../proxy.ts";
import { joinEntries } from "../registry/join-entries.ts";
import { labelsMatch, type MeshService } from "../registry/service.ts";
import { compileEgressHosts } from "./egress-hosts.ts";
import { type ExportRank, exportRank } from "./exports.ts";
import { ImportedServices, oneNamespacePerName, type ServicesByHost, withPorts } from "./import-services.ts";
import { routedServices } from "./routed-services.ts";

/** One egress listener and what it imports; two of them may see different services on different ports. */
export interface EgressScope {
  readonly listener: EgressListener;
  readonly services: readonly MeshService[];
  readonly virtualServices: readonly VirtualService[];
}

/** A proxy's view. */
export interface SidecarScope {
  /** Undefined where no Sidecar applies, and for gateways. */
  readonly sidecar: MeshObject<SidecarSpec> | undefined;
  /** Empty for a gateway, which has servers instead. */
  readonly egress: readonly EgressScope[];
  /** Every imported service once by name, those that routes lead to included. */
  readonly byHost: ServicesByHost;
  /** The cluster for destinations that no service claims: onward as they are, through an egress proxy, or nowhere. */
  readonly unclaimedCluster: string;
}

/** The cluster that leads nowhere. */
export const blackHole = "BlackHoleCluster";

const everything: EgressListener = { port: undefined, bind: "", captureMode: "DEFAULT", hosts: [{ namespace: "*", host: "*" }] };

/** Compiles the scope; `services` are all of the mesh in Istio's order, `labels` the workload's. */
export function compileScope(
  mesh: MeshView,
  proxy: Proxy,
  labels: Readonly<Record<string, string>>,
  services: readonly MeshService[],
): SidecarScope {
  const exported = joinEntries(servicesFor(mesh, services, proxy.namespace));
  const imported = new ImportedServices();
  if (proxy.type === "router") {
    imported.addAll(exported);
    return { sidecar: undefined, egress: [], byHost: imported.byHost, unclaimedCluster: unclaimedCluster(mesh, undefined) };
  }
  const sidecar = findSidecar(mesh, proxy.namespace, labels);
  const listeners = sidecar === undefined || sidecar.spec.egress.length === 0 ? [everything] : sidecar.spec.egress;
  const rules = virtualServicesOf(mesh, proxy, meshGateway);
  const everyHost = rules.length === 0 ? (): readonly MeshService[] => [] : servicesNamed(services);
  const egress = listeners.map((listener): EgressScope => {
    const scope = compileEgress(listener, proxy.namespace, exported, rules);
    imported.addAll(scope.services);
    for (const service of routedServices(mesh, scope.virtualServices, listener.port?.number ?? 0, proxy.namespace, everyHost))
      imported.add(service);
    return scope;
  });
  return { sidecar, egress, byHost: imported.byHost, unclaimedCluster: unclaimedCluster(mesh, sidecar?.spec) };
}

function unclaimedCluster(mesh: MeshView, sidecar: SidecarSpec | undefined): string {
  const { mode, egressProxy } = sidecar?.outboundPolicy ?? { mode: mesh.config.outboundPolicy };
  if (mode === "REGISTRY_ONLY") return blackHole;
  return egressProxy === undefined ? "PassthroughCluster" : `outbound|${egressProxy.port}|${egressProxy.subset}|${egressProxy.host}`;
}

const exportRanks = new KeptMap<MeshService, ExportRank | undefined>();

/** The services exported to a namespace: those meant for it before those for all. */
function servicesFor(mesh: MeshView, services: readonly MeshService[], namespace: string): readonly MeshService[] {
  const ranks = exportRanks.map(mesh.config, services, [namespace], (service) =>
    exportRank(service.exportTo, mesh.config.serviceExportTo, service.namespace, namespace),
  );
  if (ranks.every((rank) => rank === 2)) return services;
  const forIt: MeshService[] = [];
  const forAll: MeshService[] = [];
  for (const [index, service] of services.entries()) {
    const rank = ranks[index];
    if (rank !== undefined) (rank === 2 ? forAll : forIt).push(service);
  }
  return [...forIt, ...forAll];
}

/** The Sidecar of a workload: the oldest that selects it, else the oldest of its namespace, else that of the root namespace. */
export function findSidecar(
  mesh: MeshView,
  namespace: string,
  labels: Readonly<Record<string, string>>,
): MeshObject<SidecarSpec> | undefined {
  const own = mesh.sidecars.filter(({ meta }) => meta.namespace === namespace);
  return (
    own.find(({ spec }) => spec.selector !== undefined && labelsMatch(spec.selector, labels)) ??
    own.find(({ spec }) => spec.selector === undefined) ??
    mesh.sidecars.find(({ meta, spec }) => meta.namespace === mesh.config.rootNamespace && spec.selector === undefined)
  );
}

function compileEgress(
  listener: EgressListener,
  namespace: string,
  exported: readonly MeshService[],
  rules: readonly VirtualService[],
): EgressScope {
  if (listener === everything) return { listener, services: oneNamespacePerName(exported, namespace), virtualServices: rules };
  const hosts = compileEgressHosts(listener.hosts, namespace);
  const services = exported.flatMap((service) => {
    if (!hosts.importsService(service.hostname, service.namespace)) return [];
    return listener.port === undefined ? [service] : (withPorts(service, (port) => port === listener.port?.number) ?? []);
  });
  return {
    listener,
    services: oneNamespacePerName(services, namespace),
    virtualServices: rules.filter(({ meta, spec }) => spec.hosts.some((host) => hosts.importsRule(host, meta.namespace))),
  };
}

const allByName = new KeptIndex<MeshService, string>((service) => service.hostname);

/** Every service of a name, whichever namespace it is from. */
function servicesNamed(services: readonly MeshService[]): (hostname: string) => readonly MeshService[] {
  if (!allByName.isUnique(services)) {
    const index = Map.groupBy(services, (service) => service.hostname);
    return (hostname) => index.get(hostname) ?? [];
  }
  return (hostname) => {
    const service = allByName.get(services, hostname);
    return service === undefined ? [] : [service];
  };
}
