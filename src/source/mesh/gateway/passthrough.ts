// PASSTHROUGH: chains for the `tls` routes of the VirtualServices bound to a Gateway, chosen by SNI, TLS left untouched.
import type { Json } from "../envoy-json.ts";
import { gatewayPlaceMatches, virtualServicesOf } from "../istio/virtual-services.ts";
import type { NodeView } from "../node-view.ts";
import { forwardFilter, type ServiceLookup } from "../route/forward.ts";
import type { OwnServer } from "./merge-servers.ts";
import { sharedHosts } from "./shared-hosts.ts";

/** The chains of one server. `taken` are the SNI hosts of the listener that have a chain: Envoy refuses a second one for them. */
export function passthroughChains(view: NodeView, own: OwnServer, serviceOf: ServiceLookup, taken: Set<string>): readonly Json[] {
  const gateway = `${own.gateway.meta.namespace}/${own.gateway.meta.name}`;
  const { number } = own.server.port;
  const chains: Json[] = [];
  for (const virtualService of virtualServicesOf(view.mesh, view.proxy, gateway)) {
    if (sharedHosts(own, virtualService).length === 0) continue;
    const { meta, spec } = virtualService;
    for (const { matches, destinations } of spec.tls) {
      for (const match of matches) {
        if (!gatewayPlaceMatches(match.proxy, { gateway, port: number }, meta.namespace)) continue;
        if (match.sniHosts.some((host) => taken.has(host))) continue;
        for (const host of match.sniHosts) taken.add(host);
        chains.push({
          ...sniMatch(match.sniHosts),
          filters: [...view.security.tcp, forwardFilter(view, meta, destinations, number, serviceOf)],
          transport_socket_connect_timeout: "15s",
        });
      }
    }
  }
  return chains;
}

/** `*` among the names stands for every name, which no match at all does. */
function sniMatch(hosts: readonly string[]): Json {
  return hosts.includes("*") ? {} : { filter_chain_match: { server_names: hosts.toSorted() } };
}
