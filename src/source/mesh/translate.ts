// The mesh, seen from one node, as Envoy v3 resources. Pure and deterministic: the same view and node give the same bytes.
import type { Node } from "../../envoy/bootstrap.ts";
import { KeptOrder } from "../../kept-list.ts";
import { type Json, type ResourceList, type Translation, typeUrls } from "./envoy-json.ts";
import { buildGatewayRoutes } from "./gateway/http-routes.ts";
import { buildGatewayListeners } from "./gateway/listeners.ts";
import { buildInboundClusters, inboundPassthroughCluster } from "./inbound/clusters.ts";
import { buildBoundInbound, buildIngressListeners, buildVirtualInbound } from "./inbound/listeners.ts";
import type { MeshView } from "./mesh-view.ts";
import { buildNameTable } from "./nds/name-table.ts";
import { buildServicePorts } from "./nds/service-ports.ts";
import { Kept, KeptByText } from "./object/kept.ts";
import { type NodeView, viewFromNode } from "./node-view.ts";
import { buildAssignments } from "./outbound/assignments.ts";
import { buildOutboundClusters, buildSniDnatClusters } from "./outbound/clusters.ts";
import { blackHoleCluster, passthroughCluster } from "./outbound/fixed-clusters.ts";
import { buildOutboundListeners, buildVirtualOutbound, type OutboundListener } from "./outbound/listeners.ts";
import { buildRoutes } from "./outbound/routes.ts";
import { compareText } from "./registry/service.ts";

/** Translates the mesh for one node. */
export function translate(mesh: MeshView, node: Node): Translation {
  return translateView(viewFromNode(mesh, node));
}

/** A translation, and what the node's own DNS answers beyond Istio's name table. */
export function translateWithPorts(
  mesh: MeshView,
  node: Node,
): { readonly translation: Translation; readonly servicePorts: ReturnType<typeof buildServicePorts> } {
  const view = viewFromNode(mesh, node);
  const servicePorts = view.proxy.dnsCapture ? keptPorts.get(view.definitions, [], () => buildServicePorts(view)) : {};
  return { translation: translateView(view), servicePorts };
}

const keptPorts = new Kept<object, ReturnType<typeof buildServicePorts>>();
const keptNames = new Kept<object, Json>();
const keptOutbound = new Kept<object, { readonly listeners: readonly OutboundListener[]; readonly routes: readonly Json[] }>();
const keptListeners = new KeptByText<Json>();
const keptOwnClusters = new KeptByText<Json>();
const [clusterOrder, listenerOrder, routeOrder, assignmentOrder] = [
  orderBy("name"),
  orderBy("name"),
  orderBy("name"),
  orderBy("cluster_name"),
];
const nameOf = (resource: Json): string => String(resource["name"]);

function translateView(view: NodeView): Translation {
  const { clusters, listeners, routes } = view.proxy.type === "router" ? translateRouter(view) : translateSidecar(view);
  return {
    cds: list("cds", clusterOrder.of(view.context, clusters)),
    eds: list("eds", assignmentOrder.of(view.context, buildAssignments(view))),
    // Most listeners are of a few services each, which says little of what would have to change for them to.
    lds: list("lds", keptListeners.getAll(view.context, listenerOrder.of(view.context, listeners), nameOf)),
    rds: list("rds", routeOrder.of(view.context, routes)),
    nds: list("nds", view.proxy.dnsCapture ? [keptNames.get(view.definitions, [], () => buildNameTable(view))] : []),
  };
}

interface Parts {
  readonly clusters: readonly Json[];
  readonly listeners: readonly Json[];
  readonly routes: readonly Json[];
}

function translateSidecar(view: NodeView): Parts {
  const outbound = keptOutbound.get(view.definitions, [], () => buildOutbound(view));
  const redirected = view.proxy.interception !== "NONE";
  return {
    clusters: [...keptOwnClusters.getAll(view.context, ownClusters(view), nameOf), ...buildOutboundClusters(view)],
    listeners: [
      ...outbound.listeners.map((listener) => listener.json),
      ...(redirected ? [buildVirtualOutbound(view), buildVirtualInbound(view)] : buildBoundInbound(view)),
      ...buildIngressListeners(view),
    ],
    routes: outbound.routes,
  };
}

function ownClusters(view: NodeView): readonly Json[] {
  return [blackHoleCluster(view), passthroughCluster(view), inboundPassthroughCluster(view), ...buildInboundClusters(view)];
}

function buildOutbound(view: NodeView): { readonly listeners: readonly OutboundListener[]; readonly routes: readonly Json[] } {
  const listeners = buildOutboundListeners(view);
  return {
    listeners,
    routes: buildRoutes(
      view,
      listeners.flatMap((listener) => listener.routeName ?? []),
    ),
  };
}

function translateRouter(view: NodeView): Parts {
  return {
    clusters: [blackHoleCluster(view), ...buildOutboundClusters(view), ...(view.autoPassthrough ? buildSniDnatClusters(view) : [])],
    listeners: buildGatewayListeners(view),
    routes: buildGatewayRoutes(view),
  };
}

function list(kind: keyof typeof typeUrls, resources: readonly Json[]): ResourceList {
  return { type_url: typeUrls[kind], resources };
}

function orderBy(key: string): KeptOrder<Json> {
  return new KeptOrder((a, b) => compareText(String(a[key]), String(b[key])));
}
