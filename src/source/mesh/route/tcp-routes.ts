// The chains that the `tcp` and `tls` routes of VirtualServices give to connections of a sidecar's port.
import type { Json } from "../envoy-json.ts";
import { hostCovers } from "../istio/host-name.ts";
import type { RouteDestination } from "../istio/route/destination.ts";
import type { TcpMatch } from "../istio/virtual-service.ts";
import { meshGateway, tcpPlaceMatches, type VirtualService } from "../istio/virtual-services.ts";
import type { NodeView } from "../node-view.ts";
import { isTls } from "../registry/protocol.ts";
import type { MeshService, ServicePort } from "../registry/service.ts";
import { virtualServiceMetadata } from "./config-metadata.ts";
import { forwardFilter, serviceLookup } from "./forward.ts";
import { firstMatches } from "./source-subnets.ts";

/** One chain: what it does, and what connections it is for beyond those of the service's address. */
export interface RoutedChain {
  /** Undefined: what the rest of the port's connections meet. */
  readonly json: Json | undefined;
  /** In place of the service's own; empty leaves that. */
  readonly serverNames: readonly string[];
  /** In place of the service's address; empty leaves that. */
  readonly subnets: readonly string[];
  /** The caller's; empty: any. */
  readonly sourceSubnet?: string;
}

/** The chains of a port in order; `final` when no connection is left over for the service's own cluster. */
export interface RoutedPort {
  readonly chains: readonly RoutedChain[];
  readonly final: boolean;
}

/** Finds what VirtualServices say of connections to a port; `range` is the CIDR that these go to, when the service is one. */
export type ConnectionRouter = (service: MeshService, port: ServicePort, range?: string) => RoutedPort;

const unrouted: RoutedPort = { chains: [], final: false };

/** The router of one egress listener, which imports these VirtualServices. */
export function connectionRouter(view: NodeView, virtualServices: readonly VirtualService[]): ConnectionRouter {
  const routed = virtualServices.filter(({ spec }) => spec.tcp.length + spec.tls.length > 0);
  if (routed.length === 0) return () => unrouted;
  const serviceOf = serviceLookup(view);
  return (service, port, range) => {
    const concerned = routed.filter(({ spec }) => spec.hosts.some((host) => hostCovers(host, service.hostname)));
    if (concerned.length === 0) return unrouted;
    const chain: BuildChain = ({ meta }, destinations) => ({
      filters: [forwardFilter(view, meta, destinations, port.port, serviceOf)],
    });
    const place = { proxy: view.proxy, gateway: meshGateway, port: port.port, range };
    return isTls(port.protocol) ? tlsChains(concerned, place, chain) : tcpChains(concerned, place, chain);
  };
}

type Place = Parameters<typeof tcpPlaceMatches>[1] & { readonly range: string | undefined };
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

interface MatchedRoute {
  readonly virtualService: VirtualService;
  readonly destinations: readonly RouteDestination[];
  /** None: it takes every connection. */
  readonly matches: readonly Pick<TcpMatch, "subnets" | "sourceSubnet">[];
}

/** Chains for subnets, up to the first route without any, which takes the rest. */
function tcpChains(virtualServices: readonly VirtualService[], place: Place, chain: BuildChain): RoutedPort {
  const routes: MatchedRoute[] = [];
  for (const virtualService of virtualServices) {
    for (const { matches, destinations } of virtualService.spec.tcp) {
      const matching = matches.filter(({ proxy }) => tcpPlaceMatches(proxy, place, virtualService.meta.namespace));
      if (matches.length > 0 && matching.length === 0) continue;
      const limited = matching.every(({ subnets, sourceSubnet }) => subnets.length + sourceSubnet.length > 0) ? matching : [];
      routes.push({ virtualService, destinations, matches: limited });
      if (limited.length === 0) return chainsOf(routes, true, place, chain);
    }
  }
  return chainsOf(routes, false, place, chain);
}

function chainsOf(routes: readonly MatchedRoute[], final: boolean, { range }: Place, chain: BuildChain): RoutedPort {
  if (routes.some(({ matches }) => matches.some(({ sourceSubnet }) => sourceSubnet !== "")))
    return chainsBySource(routes, final, range, chain);
  const chains = routes.map(({ virtualService, destinations, matches }): RoutedChain => {
    const json = chain(virtualService, destinations);
    // istiod says where a chain comes from unless it is for subnets.
    const named = matches.length === 0 ? { ...json, metadata: virtualServiceMetadata(virtualService.meta) } : json;
    return { json: named, serverNames: [], subnets: matches.flatMap(({ subnets }) => subnets) };
  });
  return { chains, final };
}

function chainsBySource(routes: readonly MatchedRoute[], final: boolean, range: string | undefined, chain: BuildChain): RoutedPort {
  const matches = routes.flatMap(({ virtualService, destinations, matches: own }) => {
    const value: Json = { ...chain(virtualService, destinations), metadata: virtualServiceMetadata(virtualService.meta) };
    const each = own.length === 0 ? [{ subnets: [], sourceSubnet: "" }] : own;
    return each.map(({ subnets, sourceSubnet }) => ({ destinations: subnets, source: sourceSubnet, value }));
  });
  const rest = matches.at(-1)?.value;
  const cells = firstMatches(matches, range).filter((cell) => !cell.rest);
  const chains = cells.map(({ destination, source, value }): RoutedChain => ({
    json: final && value === rest ? undefined : value,
    serverNames: [],
    subnets: destination === "" ? [] : [destination],
    ...(source === "" ? {} : { sourceSubnet: source }),
  }));
  return { chains: [...chains, ...(final ? [{ json: rest, serverNames: [], subnets: [] }] : [])], final };
}
