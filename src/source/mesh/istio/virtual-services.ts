// Which VirtualServices a proxy follows: those bound to one of its gateways (or `mesh`) and exported to its namespace.
import type { MeshView } from "../mesh-view.ts";
import type { MeshObject } from "../object/mesh-object.ts";
import type { Proxy } from "../proxy.ts";
import { labelsMatch } from "../registry/service.ts";
import { exportRank } from "../scope/exports.ts";
import { resolveHost } from "./host-name.ts";
import type { ProxyMatch } from "./route/http-match.ts";
import type { VirtualServiceSpec } from "./virtual-service.ts";

/** A VirtualService whose hosts are in full. */
export type VirtualService = MeshObject<VirtualServiceSpec>;

/** The name of the gateway that stands for all sidecars. */
export const meshGateway = "mesh";

/** The VirtualServices of a gateway (`namespace/name`, or `mesh`): those kept to the proxy's own namespace first, then the oldest. */
export function virtualServicesOf(mesh: MeshView, proxy: Proxy, gateway: string): readonly VirtualService[] {
  const ranked: readonly VirtualService[][] = [[], [], []];
  for (const { meta, spec } of mesh.virtualServices) {
    const rank = exportRank(spec.exportTo, mesh.config.virtualServiceExportTo, meta.namespace, proxy.namespace);
    if (rank === undefined || !spec.gateways.some((name) => gatewayName(name, meta.namespace) === gateway)) continue;
    ranked[rank]?.push({ meta, spec: { ...spec, hosts: spec.hosts.map((host) => resolveHost(host, meta.namespace)) } });
  }
  return ranked.flat();
}

function gatewayName(name: string, namespace: string): string {
  return name === meshGateway || name.includes("/") ? name : `${namespace}/${name}`;
}

/** Where a proxy meets a route: the gateway (or `mesh`) and the port it serves. */
export interface RoutePlace {
  readonly proxy: Proxy;
  readonly gateway: string;
  readonly port: number;
}

/** True when the part of an HTTP match that concerns the proxy holds. As in Istio, `gateways` stand in place of labels and namespace. */
export function httpPlaceMatches(match: ProxyMatch, place: RoutePlace, namespace: string): boolean {
  if (match.port !== 0 && match.port !== place.port) return false;
  return match.gateways.length > 0 ? namesGateway(match, place, namespace) : isSource(match, place.proxy);
}

/** The same for TCP, where everything that is given has to hold. */
export function tcpPlaceMatches(match: ProxyMatch, place: RoutePlace, namespace: string): boolean {
  if (match.port !== 0 && match.port !== place.port) return false;
  return (match.gateways.length === 0 || namesGateway(match, place, namespace)) && isSource(match, place.proxy);
}

/** The same for connections at a gateway, where Istio looks at nothing of the proxy itself. */
export function gatewayPlaceMatches(match: ProxyMatch, place: Pick<RoutePlace, "gateway" | "port">, namespace: string): boolean {
  return (match.port === 0 || match.port === place.port) && (match.gateways.length === 0 || namesGateway(match, place, namespace));
}

function namesGateway(match: ProxyMatch, place: Pick<RoutePlace, "gateway">, namespace: string): boolean {
  return match.gateways.some((name) => gatewayName(name, namespace) === place.gateway);
}

function isSource(match: ProxyMatch, proxy: Proxy): boolean {
  return labelsMatch(match.sourceLabels, proxy.labels) && (match.sourceNamespace === "" || match.sourceNamespace === proxy.namespace);
}
