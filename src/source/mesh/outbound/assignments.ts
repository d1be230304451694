// Endpoint assignments (EDS): one for every cluster of the node that asks for its endpoints.
import type { Json } from "../envoy-json.ts";
import type { Subset } from "../istio/destination-rule.ts";
import type { NodeView } from "../node-view.ts";
import { clusterName, type MeshService, type ServicePort, sniName } from "../registry/service.ts";
import { type ClusterPort, clusterPorts, clusterType, forEachService } from "./cluster-ports.ts";
import { buildLocalityEndpoints } from "./endpoints.ts";

/** Every assignment that the node's EDS clusters ask for. */
export function buildAssignments(view: NodeView): readonly Json[] {
  return view.autoPassthrough ? [...ofClusters(view), ...ofSniDnatClusters(view)] : ofClusters(view);
}

const ofClusters = forEachService((view, service) =>
  edsPorts(view, service).map(({ port, subset }) =>
    assignment(view, service, port, subset, clusterName("outbound", subset, service.hostname, port.port), false),
  ),
);

const ofSniDnatClusters = forEachService((view, service) =>
  service.meshExternal
    ? []
    : edsPorts(view, service).map(({ port, subset }) =>
        assignment(view, service, port, subset, sniName(subset, service.hostname, port.port), true),
      ),
);

function edsPorts(view: NodeView, service: MeshService): readonly ClusterPort[] {
  return [...clusterPorts(view, service)].filter(({ port, subset }) => clusterType(view, service, subset, port) === "EDS");
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
