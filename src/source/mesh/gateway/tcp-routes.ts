// What the `tcp` routes of the VirtualServices bound to a Gateway do with the connections of a TCP or terminated TLS server.
import type { Json } from "../envoy-json.ts";
import { gatewayPlaceMatches, virtualServicesOf } from "../istio/virtual-services.ts";
import type { NodeView } from "../node-view.ts";
import { forwardFilter, type ServiceLookup } from "../route/forward.ts";
import { firstMatches, prefixRange, type SubnetMatch } from "../route/source-subnets.ts";
import type { OwnServer } from "./merge-servers.ts";
import { sharedHosts } from "./shared-hosts.ts";

/** What connections from one subnet meet. */
export interface GatewayTcpRoute {
  readonly filter: Json;
  /** `filter_chain_match`; empty: everybody. */
  readonly match: Json;
}

/** The filters of the routes that concern the server: one for each subnet of callers that routes name, then the one for the rest. */
export function gatewayTcpRoutes(view: NodeView, own: OwnServer, serviceOf: ServiceLookup): readonly GatewayTcpRoute[] {
  const matches = matchesOf(view, own, serviceOf);
  return firstMatches(matches).flatMap(({ source, value }) => {
    if (value === undefined) return [];
    return [{ filter: value, match: source === "" ? {} : { source_prefix_ranges: [prefixRange(source)] } }];
  });
}

/** Up to the first route that takes everybody. Other subnets are no matter at gateways, as in Istio. */
function matchesOf(view: NodeView, own: OwnServer, serviceOf: ServiceLookup): readonly SubnetMatch<Json>[] {
  const gateway = `${own.gateway.meta.namespace}/${own.gateway.meta.name}`;
  const { number } = own.server.port;
  const found: SubnetMatch<Json>[] = [];
  for (const virtualService of virtualServicesOf(view.mesh, view.proxy, gateway)) {
    if (sharedHosts(own, virtualService).length === 0) continue;
    const { meta, spec } = virtualService;
    for (const { matches, destinations } of spec.tcp) {
      const matching = matches.filter(({ proxy }) => gatewayPlaceMatches(proxy, { gateway, port: number }, meta.namespace));
      if (matches.length > 0 && matching.length === 0) continue;
      const value = forwardFilter(view, meta, destinations, number, serviceOf);
      const limited = matching.every(({ sourceSubnet }) => sourceSubnet !== "") ? matching : [];
      if (limited.length === 0) return [...found, { destinations: [], source: "", value }];
      found.push(...limited.map(({ sourceSubnet }) => ({ destinations: [], source: sourceSubnet, value })));
    }
  }
  return found;
}
