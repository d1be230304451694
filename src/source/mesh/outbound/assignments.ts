// Endpoint assignments (EDS): one for every cluster of the node that asks for its endpoints.
import type { Json } from "../envoy-json.ts";
import type { Subset } from "../istio/destination-rule.ts";
import type { NodeView } from "../node-view.ts";
import { clusterName, type MeshService, type ServicePort, sniName } from "../registry/service.ts";
import { clusterPorts, clusterType } from "./cluster-ports.ts";
import { buildLocalityEndpoints } from "./endpoints.ts";

/** Every assignment that the node's EDS clusters ask for. */
export function buildAssignments(view: NodeView): readonly Json[] {
  const assignments: Json[] = [];
  for (const { service, port, subset } of clusterPorts(view)) {
    if (clusterType(view, service, subset, port) !== "EDS") continue;
    assignments.push(assignment(view, service, port, subset, clusterName("outbound", subset, service.hostname, port.port), false));
    if (view.autoPassthrough && !service.meshExternal) {
      assignments.push(assignment(view, service, port, subset, sniName(subset, service.hostname, port.port), true));
    }
  }
  return assignments;
}

function assignment(
  view: NodeView,
  service: MeshService,
  port: ServicePort,
  subset: Subset | undefined,
  name: string,
  sniDnat: boolean,
): Json {
  const endpoints = buildLocalityEndpoints(view, service, port, subset, sniDnat);
  return endpoints.length === 0 ? { cluster_name: name } : { cluster_name: name, endpoints };
}
