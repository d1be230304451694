// Which ports get an outbound cluster, and how such a cluster finds its endpoints.
import type { Subset } from "../istio/destination-rule.ts";
import type { NodeView } from "../node-view.ts";
import type { MeshService, ServicePort } from "../registry/service.ts";

/** Every port and subset that gets a cluster. */
export function* clusterPorts(
  view: NodeView,
): Generator<{ readonly service: MeshService; readonly port: ServicePort; readonly subset: Subset | undefined }> {
  for (const service of view.services) {
    if (service.resolution === "dynamic-dns") continue;
    const subsets = view.ruleOf(service)?.spec.subsets ?? [];
    for (const port of service.ports) {
      if (port.protocol === "UDP") continue;
      yield { service, port, subset: undefined };
      for (const subset of subsets) yield { service, port, subset };
    }
  }
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
