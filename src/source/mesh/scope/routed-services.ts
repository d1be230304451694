// Services that a proxy sees because a VirtualService it follows leads to them, imported or not.
import { resolveHost } from "../istio/host-name.ts";
import type { Destination } from "../istio/route/destination.ts";
import type { VirtualService } from "../istio/virtual-services.ts";
import type { MeshView } from "../mesh-view.ts";
import { compareText, type MeshService } from "../registry/service.ts";
import { exportRank } from "./exports.ts";
import { withPorts } from "./import-services.ts";

/**
 * The destinations of a listener's VirtualServices, with the ports that are routed to or that of the listener (0: it has none);
 * `servicesNamed` finds among all services of the mesh.
 */
export function routedServices(
  mesh: MeshView,
  virtualServices: readonly VirtualService[],
  listenerPort: number,
  namespace: string,
  servicesNamed: (hostname: string) => readonly MeshService[],
): readonly MeshService[] {
  return virtualServices.flatMap((virtualService) =>
    [...destinationPorts(virtualService, namespace)].flatMap(([host, ports]) => {
      const service = pickService(mesh, servicesNamed(host), namespace);
      if (service === undefined) return [];
      if (listenerPort !== 0) return withPorts(service, (port) => port === listenerPort) ?? [];
      // A destination without a port may mean any of them.
      return withPorts(service, (port) => ports.has(0) || ports.has(port)) ?? [];
    }),
  );
}

/** Hosts in full with the ports named for them, 0 for none; HTTP routes for callers in other namespaces are left out. */
function destinationPorts({ meta, spec }: VirtualService, namespace: string): ReadonlyMap<string, ReadonlySet<number>> {
  const found = new Map<string, Set<number>>();
  const add = ({ host, port }: Destination): void => {
    const full = resolveHost(host, meta.namespace);
    found.set(full, (found.get(full) ?? new Set()).add(port));
  };
  for (const { matches, action } of spec.http) {
    const sources = matches.map((match) => match.proxy.sourceNamespace).filter((source) => source !== "");
    if (action.kind !== "forward" || (sources.length > 0 && !sources.includes(namespace))) continue;
    for (const destination of action.destinations) add(destination);
    for (const { destination } of action.mirrors) add(destination);
  }
  for (const { destinations } of [...spec.tcp, ...spec.tls]) for (const destination of destinations) add(destination);
  return found;
}

/** The service meant by a name: that of the client's own namespace whatever its exportTo, else the visible one whose namespace comes first. */
function pickService(mesh: MeshView, services: readonly MeshService[], namespace: string): MeshService | undefined {
  const isVisible = (service: MeshService): boolean =>
    exportRank(service.exportTo, mesh.config.serviceExportTo, service.namespace, namespace) !== undefined;
  const own = services.filter((service) => service.namespace === namespace);
  const candidates = own.length > 0 ? own : services.filter(isVisible);
  const [first] = candidates.map((service) => service.namespace).toSorted(compareText);
  const ofOne = candidates.filter((service) => service.namespace === first);
  return ofOne.find((service) => service.registry === "Kubernetes") ?? ofOne[0];
}
