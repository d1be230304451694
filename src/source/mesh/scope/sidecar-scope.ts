// What one proxy sees of the mesh: its egress listeners with the services and VirtualServices each imports, and all of them together.
// Compiled once for a translation; without a Sidecar one listener imports everything that is exported to the namespace.
import type { EgressListener, SidecarSpec } from "../istio/sidecar.ts";
import { meshGateway, type VirtualService, virtualServicesOf } from "../istio/virtual-services.ts";
import type { MeshView } from "../mesh-view.ts";
import type { MeshObject } from "../object/mesh-object.ts";
import type { Proxy } from "../proxy.ts";
import { joinEntries } from "../registry/join-entries.ts";
import { labelsMatch, type MeshService } from "../registry/service.ts";
import { compileEgressHosts } from "./egress-hosts.ts";
import { exportRank } from "./exports.ts";
import { ImportedServices, oneNamespacePerName, withPorts } from "./import-services.ts";
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
  readonly byHost: ReadonlyMap<string, MeshService>;
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
    for (const service of exported) imported.add(service);
    return { sidecar: undefined, egress: [], byHost: imported.byHost, unclaimedCluster: unclaimedCluster(mesh, undefined) };
  }
  const sidecar = findSidecar(mesh, proxy.namespace, labels);
  const listeners = sidecar === undefined || sidecar.spec.egress.length === 0 ? [everything] : sidecar.spec.egress;
  const rules = virtualServicesOf(mesh, proxy, meshGateway);
  const everyHost = rules.length === 0 ? noHosts : indexByHost(services);
  const egress = listeners.map((listener): EgressScope => {
    const scope = compileEgress(listener, proxy.namespace, exported, rules);
    for (const service of scope.services) imported.add(service);
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

/** The services exported to a namespace: those meant for it before those for all. */
function servicesFor(mesh: MeshView, services: readonly MeshService[], namespace: string): readonly MeshService[] {
  const forIt: MeshService[] = [];
  const forAll: MeshService[] = [];
  for (const service of services) {
    const rank = exportRank(service.exportTo, mesh.config.serviceExportTo, service.namespace, namespace);
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

const noHosts: ReadonlyMap<string, readonly MeshService[]> = new Map();

function indexByHost(services: readonly MeshService[]): ReadonlyMap<string, readonly MeshService[]> {
  const index = new Map<string, MeshService[]>();
  for (const service of services) {
    const known = index.get(service.hostname);
    if (known === undefined) index.set(service.hostname, [service]);
    else known.push(service);
  }
  return index;
}
