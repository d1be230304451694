// Which ports get an outbound cluster, and how such a cluster finds its endpoints.
import { KeptFlat, KeptMap } from "../../../kept-list.ts";
import type { Json } from "../envoy-json.ts";
import type { Subset } from "../istio/destination-rule.ts";
import type { NodeView } from "../node-view.ts";
import { Kept } from "../object/kept.ts";
import type { MeshService, ServicePort } from "../registry/service.ts";

/** What gets a cluster: a port of a service, or a subset behind it. */
export interface ClusterPort {
  readonly port: ServicePort;
  readonly subset: Subset | undefined;
}

/** Every port and subset of a service that gets a cluster. */
export function* clusterPorts(view: NodeView, service: MeshService): Generator<ClusterPort> {
  if (service.resolution === "dynamic-dns") return;
  const subsets = view.ruleOf(service)?.spec.subsets ?? [];
  for (const port of service.ports) {
    if (port.protocol === "UDP") continue;
    yield { port, subset: undefined };
    for (const subset of subsets) yield { port, subset };
  }
}

/**
 * A builder of resources for every service of a node, each made again only when the service, its rule or the node's context changed.
 * @param build makes the resources of one service, from its arguments alone
 */
export function forEachService(build: (view: NodeView, service: MeshService) => readonly Json[]): (view: NodeView) => readonly Json[] {
  const kept = new Kept<MeshService, readonly Json[]>();
  const inPlace = new KeptMap<MeshService, readonly Json[]>();
  const flat = new KeptFlat<Json>();
  return (view) =>
    flat.of(
      inPlace.map(view.context, view.services, [view.mesh.destinationRules], (service) =>
        kept.get(service, [view.context, view.ruleOf(service)], () => build(view, service)),
      ),
    );
}

/** How a cluster finds its endpoints. */
export type ClusterType = "EDS" | "STRICT_DNS" | "LOGICAL_DNS" | "ORIGINAL_DST";

/** The type of one cluster: a balancer PASSTHROUGH leaves the choice of the address to the caller, and a subset cannot take that back. */
export function clusterType(view: NodeView, service: MeshService, subset: Subset | undefined, port: ServicePort): ClusterType {
  const passesThrough = [undefined, subset].some((each) => view.policyOf(service, each, port).loadBalancer?.simple === "PASSTHROUGH");
  return passesThrough ? "ORIGINAL_DST" : resolutionType(view, service);
}

/** The type that a service's resolution asks for; a gateway has no original destination, so it falls back to EDS. */
export function resolutionType(view: NodeView, service: MeshService): ClusterType {
  if (service.resolution === "dns") return "STRICT_DNS";
  if (service.resolution === "dns-round-robin") return "LOGICAL_DNS";
  return service.resolution === "passthrough" && view.proxy.type === "sidecar" ? "ORIGINAL_DST" : "EDS";
}
