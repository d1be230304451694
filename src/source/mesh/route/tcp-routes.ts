// The TCP route a VirtualService gives to connections of a sidecar's port.
import { tcpProxy, weightedTcpProxy } from "../chain/network-filters.ts";
import type { Json } from "../envoy-json.ts";
import { hostCovers, resolveHost } from "../istio/host-name.ts";
import type { RouteDestination } from "../istio/route/destination.ts";
import { tcpPlaceMatches, type VirtualService } from "../istio/virtual-services.ts";
import type { MeshConfig } from "../mesh-config.ts";
import type { ObjectMeta } from "../object/mesh-object.ts";
import { virtualServiceMetadata } from "./config-metadata.ts";
import type { HttpRoutePlace } from "./http-routes.ts";

/** The filters and metadata of the chain for a service's port, or undefined when no route concerns it. */
export function tcpRouteChain(
  virtualServices: readonly VirtualService[],
  config: MeshConfig,
  hostname: string,
  place: HttpRoutePlace,
): Json | undefined {
  for (const { meta, spec } of virtualServices) {
    if (spec.tcp.length === 0 || !spec.hosts.some((host) => hostCovers(host, hostname))) continue;
    const route = spec.tcp.find(
      ({ matches }) => matches.length === 0 || matches.some((match) => tcpPlaceMatches(match, place, meta.namespace)),
    );
    if (route === undefined) continue;
    return { filters: [forward(config, meta, route.destinations, place)], metadata: virtualServiceMetadata(meta) };
  }
  return undefined;
}

function forward(config: MeshConfig, meta: ObjectMeta, destinations: readonly RouteDestination[], place: HttpRoutePlace): Json {
  const nameOf = (destination: RouteDestination): string => {
    const host = resolveHost(destination.host, meta.namespace);
    return `outbound|${destination.port === 0 ? place.portOf(host) : destination.port}|${destination.subset}|${host}`;
  };
  const [only] = destinations;
  if (only !== undefined && destinations.length === 1) return tcpProxy(config, nameOf(only));
  const shares = destinations.filter(({ weight }) => weight > 0).map((each) => ({ name: nameOf(each), weight: each.weight }));
  return weightedTcpProxy(config, `${meta.name}.${meta.namespace}`, shares);
}
