// The chains that the `tcp` and `tls` routes of VirtualServices give to connections of a sidecar's port.
import type { Json } from "../envoy-json.ts";
import { hostCovers } from "../istio/host-name.ts";
import type { RouteDestination } from "../istio/route/destination.ts";
import { meshGateway, tcpPlaceMatches, type VirtualService } from "../istio/virtual-services.ts";
import type { NodeView } from "../node-view.ts";
import { isTls } from "../registry/protocol.ts";
import type { MeshService, ServicePort } from "../registry/service.ts";
import { virtualServiceMetadata } from "./config-metadata.ts";
import { forwardFilter, serviceLookup } from "./forward.ts";

/** One chain: what it does, and what connections it is for beyond those of the service's address. */
export interface RoutedChain {
  readonly json: Json;
  /** In place of the service's own; empty leaves that. */
  readonly serverNames: readonly string[];
  /** In place of the service's address; empty leaves that. */
  readonly subnets: readonly string[];
}

/** The chains of a port in order; `final` when no connection is left over for the service's own cluster. */
export interface RoutedPort {
  readonly chains: readonly RoutedChain[];
  readonly final: boolean;
}

/** Finds what VirtualServices say of connections to a port. */
export type ConnectionRouter = (service: MeshService, port: ServicePort) => RoutedPort;

const unrouted: RoutedPort = { chains: [], final: false };

/** The router of one egress listener, which imports these VirtualServices. */
export function connectionRouter(view: NodeView, virtualServices: readonly VirtualService[]): ConnectionRouter {
  const routed = virtualServices.filter(({ spec }) => spec.tcp.length + spec.tls.length > 0);
  if (routed.length === 0) return () => unrouted;
  const serviceOf = serviceLookup(view);
  return (service, port) => {
    const concerned = routed.filter(({ spec }) => spec.hosts.some((host) => hostCovers(host, service.hostname)));
    if (concerned.length === 0) return unrouted;
    const chain: BuildChain = ({ meta }, destinations) => ({
      filters: [forwardFilter(view, meta, destinations, port.port, serviceOf)],
    });
    const place = { proxy: view.proxy, gateway: meshGateway, port: port.port };
    return isTls(port.protocol) ? tlsChains(concerned, place, chain) : tcpChains(concerned, place, chain);
  };
}

type Place = Parameters<typeof tcpPlaceMatches>[1];
type BuildChain = (virtualService: VirtualService, destinations: readonly RouteDestination[]) => Json;

/** A chain for each match; the service's own cluster is out of reach as soon as there is one. */
function tlsChains(virtualServices: readonly VirtualService[], place: Place, chain: BuildChain): RoutedPort {
  const seen = new Set<string>();
  const chains: RoutedChain[] = [];
  for (const virtualService of virtualServices) {
    for (const { matches, destinations } of virtualService.spec.tls) {
      for (const { proxy, sniHosts, subnets } of matches) {
        if (!tcpPlaceMatches(proxy, place, virtualService.meta.namespace)) continue;
        // What a connection is matched by may repeat where only the callers differ: the first one for this caller holds.
        const key = JSON.stringify([sniHosts.toSorted(), subnets.toSorted()]);
        if (seen.has(key)) continue;
        seen.add(key);
        chains.push({
          json: { ...chain(virtualService, destinations), metadata: virtualServiceMetadata(virtualService.meta) },
          serverNames: sniHosts.includes("*") ? [] : sniHosts,
          subnets,
        });
      }
    }
  }
  return { chains, final: chains.length > 0 };
}

/** Chains for subnets, up to the first route without any, which takes the rest. */
function tcpChains(virtualServices: readonly VirtualService[], place: Place, chain: BuildChain): RoutedPort {
  const chains: RoutedChain[] = [];
  for (const virtualService of virtualServices) {
    for (const { matches, destinations } of virtualService.spec.tcp) {
      const matching = matches.filter(({ proxy }) => tcpPlaceMatches(proxy, place, virtualService.meta.namespace));
      if (matches.length > 0 && matching.length === 0) continue;
      const takesRest = matches.length === 0 || matching.some(({ subnets }) => subnets.length === 0);
      const subnets = takesRest ? [] : matching.flatMap((match) => match.subnets);
      const json = chain(virtualService, destinations);
      // istiod says where a chain comes from unless it is for subnets.
      const named = takesRest ? { ...json, metadata: virtualServiceMetadata(virtualService.meta) } : json;
      chains.push({ json: named, serverNames: [], subnets });
      if (takesRest) return { chains, final: true };
    }
  }
  return { chains, final: false };
}
