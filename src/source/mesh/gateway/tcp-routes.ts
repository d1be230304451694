// What the `tcp` routes of the VirtualServices bound to a Gateway do with the connections of a TCP or terminated TLS server.
import type { Json } from "../envoy-json.ts";
import { gatewayPlaceMatches, virtualServicesOf } from "../istio/virtual-services.ts";
import type { NodeView } from "../node-view.ts";
import { forwardFilter, type ServiceLookup } from "../route/forward.ts";
import type { OwnServer } from "./merge-servers.ts";
import { sharedHosts } from "./shared-hosts.ts";

/** The filter of the first route that concerns the server, or undefined when none does. */
export function tcpRouteFilter(view: NodeView, own: OwnServer, serviceOf: ServiceLookup): Json | undefined {
  const gateway = `${own.gateway.meta.namespace}/${own.gateway.meta.name}`;
  const { number } = own.server.port;
  for (const virtualService of virtualServicesOf(view.mesh, view.proxy, gateway)) {
    if (sharedHosts(own, virtualService).length === 0) continue;
    const { meta, spec } = virtualService;
    const route = spec.tcp.find(
      ({ matches }) =>
        matches.length === 0 || matches.some(({ proxy }) => gatewayPlaceMatches(proxy, { gateway, port: number }, meta.namespace)),
    );
    if (route !== undefined) return forwardFilter(view, meta, route.destinations, number, serviceOf);
  }
  return undefined;
}
