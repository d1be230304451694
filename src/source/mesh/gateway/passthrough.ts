// PASSTHROUGH: chains for the `tls` routes of the VirtualServices bound to a Gateway, chosen by SNI, TLS left untouched.
import type { Json } from "../envoy-json.ts";
import { tcpProxy, weightedTcpProxy } from "../chain/network-filters.ts";
import { hostCovers, resolveHost } from "../istio/host-name.ts";
import type { RouteDestination } from "../istio/route/destination.ts";
import type { TlsRoute, VirtualServiceSpec } from "../istio/virtual-service.ts";
import { virtualServicesOf } from "../istio/virtual-services.ts";
import type { MeshObject } from "../object/mesh-object.ts";
import { tcpProxyFields } from "../policy/hash-policy.ts";
import type { NodeView, OwnServer } from "../node-view.ts";

/** The chains of one server. */
export function passthroughChains(view: NodeView, own: OwnServer): readonly Json[] {
  const { name, namespace } = own.gateway.meta;
  return virtualServicesOf(view.mesh, view.proxy, `${namespace}/${name}`).flatMap((virtualService) => {
    if (!virtualService.spec.hosts.some((host) => own.server.hosts.some((served) => hostCovers(served.host, host)))) return [];
    return virtualService.spec.tls.flatMap((route) => routeChains(view, own, virtualService, route));
  });
}

function routeChains(view: NodeView, own: OwnServer, virtualService: MeshObject<VirtualServiceSpec>, route: TlsRoute): readonly Json[] {
  return route.matches
    .filter((match) => match.port === 0 || match.port === own.server.port.number)
    .map((match) => ({
      filter_chain_match: { server_names: match.sniHosts },
      filters: [destinationFilter(view, virtualService, route.destinations)],
      transport_socket_connect_timeout: "15s",
    }));
}

function destinationFilter(
  view: NodeView,
  virtualService: MeshObject<VirtualServiceSpec>,
  destinations: readonly RouteDestination[],
): Json {
  const { meta } = virtualService;
  const clusters = destinations.map((destination) => ({
    name: destinationCluster(view, meta.namespace, destination),
    weight: destination.weight,
  }));
  const [only] = clusters;
  // The rule of the first destination holds for the whole connection.
  const [first] = destinations;
  const hostname = first === undefined ? "" : resolveHost(first.host, meta.namespace);
  const service = view.services.find((each) => each.hostname === hostname);
  const rule = service === undefined ? undefined : view.ruleOf(service);
  if (clusters.length === 1 && only !== undefined) {
    const subset = rule?.spec.subsets.find((each) => each.name === first?.subset);
    return tcpProxy(view.mesh.config, only.name, tcpProxyFields(rule, subset));
  }
  return weightedTcpProxy(view.mesh.config, `${meta.name}.${meta.namespace}`, clusters, tcpProxyFields(rule));
}

function destinationCluster(view: NodeView, namespace: string, destination: RouteDestination): string {
  const hostname = resolveHost(destination.host, namespace);
  // Without a port the service's only one is meant; a service with several leaves the cluster unknown, as in Istio.
  const service = destination.port === 0 ? view.services.find((each) => each.hostname === hostname) : undefined;
  const port = destination.port === 0 ? (service?.ports.length === 1 ? (service.ports[0]?.port ?? 0) : 0) : destination.port;
  return `outbound|${port}|${destination.subset}|${hostname}`;
}
