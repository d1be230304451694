// Where a VirtualService sends connections: the TCP proxy of its tcp and tls routes, in sidecars and at gateways.
import { tcpProxy, weightedTcpProxy } from "../chain/network-filters.ts";
import type { Json } from "../envoy-json.ts";
import type { DestinationRule } from "../istio/destination-rules.ts";
import { resolveHost } from "../istio/host-name.ts";
import type { RouteDestination } from "../istio/route/destination.ts";
import type { NodeView } from "../node-view.ts";
import type { ObjectMeta } from "../object/mesh-object.ts";
import { tcpProxyFields } from "../policy/hash-policy.ts";
import type { MeshService } from "../registry/service.ts";

/** Finds a service of the view by its full name. */
export type ServiceLookup = (hostname: string) => MeshService | undefined;

/** A lookup over the services of a view. */
export function serviceLookup(view: NodeView): ServiceLookup {
  return (hostname) => view.scope.byHost.get(hostname);
}

/** The rules of services by their full name. */
export function ruleLookup(view: NodeView, serviceOf: ServiceLookup): (hostname: string) => DestinationRule | undefined {
  return (hostname) => {
    const service = serviceOf(hostname);
    return service === undefined ? undefined : view.ruleOf(service);
  };
}

/** The filter that forwards to a route's destinations; one without a port means its service's only one, or else `port`. */
export function forwardFilter(
  view: NodeView,
  meta: ObjectMeta,
  destinations: readonly RouteDestination[],
  port: number,
  serviceOf: ServiceLookup,
): Json {
  const { config } = view.mesh;
  const nameOf = (destination: RouteDestination): string => {
    const host = resolveHost(destination.host, meta.namespace);
    const ports = serviceOf(host)?.ports ?? [];
    const only = ports.length === 1 ? ports[0]?.port : undefined;
    return `outbound|${destination.port === 0 ? (only ?? port) : destination.port}|${destination.subset}|${host}`;
  };
  const [first] = destinations;
  // The rule of the first destination holds for the whole connection.
  const service = first === undefined ? undefined : serviceOf(resolveHost(first.host, meta.namespace));
  const rule = service === undefined ? undefined : view.ruleOf(service);
  if (first !== undefined && destinations.length === 1) {
    const subset = rule?.spec.subsets.find((each) => each.name === first.subset);
    return tcpProxy(config, nameOf(first), tcpProxyFields(rule, subset));
  }
  const shares = destinations.filter(({ weight }) => weight > 0).map((each) => ({ name: nameOf(each), weight: each.weight }));
  return weightedTcpProxy(config, `${meta.name}.${meta.namespace}`, shares, tcpProxyFields(rule));
}
