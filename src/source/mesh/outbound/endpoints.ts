// Which endpoints of a port a node may use, by locality, with other networks behind their gateways.
import type { Locality } from "../../../envoy/cluster/endpoint.ts";
import { additionalAddresses } from "../address-family.ts";
import { type Json, socketAddress } from "../envoy-json.ts";
import type { Subset } from "../istio/destination-rule.ts";
import type { NodeView } from "../node-view.ts";
import { chooseLocality } from "../policy/locality.ts";
import { type LocalityGroup, orderLocalities, type PlacedEndpoint } from "../policy/locality-priorities.ts";
import { inNetwork, seesNetwork } from "../proxy.ts";
import type { NetworkGateway } from "../registry/networks.ts";
import { compareText, labelsMatch, type MeshEndpoint, type MeshService, type ServicePort } from "../registry/service.ts";
import { withTopology } from "../registry/topology-labels.ts";

const maxWeight = 0xffff_ffff;

/** Why an endpoint of a port is none for a node. */
export type LeftOut = "not_ready" | "subset_labels" | "node_local" | "cluster_local" | "network_view";

/** Tells why an endpoint is left out for a node; undefined: it is not. Whether it takes mTLS is for `reachOf`. */
export function compileLeftOut(
  view: NodeView,
  service: MeshService,
  subset: Subset | undefined,
): (endpoint: MeshEndpoint) => LeftOut | undefined {
  // Preferring near endpoints needs to know which of them have failed, so for such a service unready ones are sent as what they are.
  const hidesUnready = service.trafficDistribution === "any";
  const stayLocal = view.clusterLocal(service.hostname);
  return (endpoint) => {
    if (endpoint.ready === false && hidesUnready && !endpoint.draining) return "not_ready";
    if (subset !== undefined && !labelsMatch(subset.labels, endpoint.labels)) return "subset_labels";
    if (service.nodeLocal && endpoint.nodeName !== view.proxy.nodeName) return "node_local";
    if (stayLocal && endpoint.cluster !== view.proxy.cluster) return "cluster_local";
    return seesNetwork(view.proxy, endpoint.network) ? undefined : "network_view";
  };
}

/** How an endpoint is reached: at its own address, through its network's gateways, or not at all for want of mTLS or of an address. */
export function reachOf(
  view: NodeView,
  service: MeshService,
  endpoint: MeshEndpoint,
  mutualTls: boolean,
  sniDnat: boolean,
): "direct" | "no_mutual_tls" | "no_address" | readonly NetworkGateway[] {
  // What the client resolves it reaches directly, whatever network it is said to be on.
  const direct = resolvedByClient(service) || inNetwork(view.proxy, endpoint.network);
  const gateways = direct ? [] : view.networks.gatewaysTo(endpoint.network, endpoint.cluster);
  if (gateways.length === 0) {
    if (sniDnat && !mutualTls) return "no_mutual_tls";
    return endpoint.address === "" ? "no_address" : "direct";
  }
  return mutualTls ? gateways : "no_mutual_tls";
}

/**
 * The endpoints of one port by locality. An endpoint on another network becomes that network's gateways, its weight split
 * among them; it is left out when it takes no mTLS, as the gateway routes by the SNI of mTLS. A locality whose endpoints
 * all went stays, empty, as istiod sends it. For SNI-DNAT only endpoints with mTLS are kept.
 */
export function buildLocalityEndpoints(
  view: NodeView,
  service: MeshService,
  port: ServicePort,
  subset: Subset | undefined,
  sniDnat: boolean,
): readonly Json[] {
  const localities = new Map<string, { readonly locality: Locality; readonly endpoints: MeshEndpoint[] }>();
  const whyLeftOut = compileLeftOut(view, service, subset);
  for (const endpoint of service.endpoints) {
    if (endpoint.portName !== port.name || whyLeftOut(endpoint) !== undefined) continue;
    const { region, zone, subZone } = endpoint.locality;
    const key = region === "" && zone === "" && subZone === "" ? "" : `${region}/${zone}/${subZone}`;
    const entry = localities.get(key);
    if (entry === undefined) localities.set(key, { locality: endpoint.locality, endpoints: [endpoint] });
    else entry.endpoints.push(endpoint);
  }
  const takesMutualTls = view.takesMutualTls(service, subset, port);
  const groups = [...localities]
    .toSorted(([a], [b]) => compareText(a, b))
    .map(([, { locality, endpoints }]): LocalityGroup => {
      const placed = placeEndpoints(view, service, endpoints, takesMutualTls, sniDnat);
      const weight = placed.length === 0 ? undefined : placed.reduce((sum, each) => sum + each.weight, 0);
      return { locality, endpoints: placed, priority: 0, weight };
    });
  const choice = chooseLocality(view.mesh.config, service, view.policyOf(service, subset, port));
  return orderLocalities(groups, choice, view.caller, !resolvedByClient(service)).map(encodeLocality);
}

/** Host names are resolved by the client itself. */
function resolvedByClient(service: MeshService): boolean {
  return service.resolution === "dns" || service.resolution === "dns-round-robin";
}

function placeEndpoints(
  view: NodeView,
  service: MeshService,
  endpoints: readonly MeshEndpoint[],
  takesMutualTls: (endpoint: MeshEndpoint) => boolean,
  sniDnat: boolean,
): readonly PlacedEndpoint[] {
  const placed: PlacedEndpoint[] = [];
  const gatewayWeights = new Map<NetworkGateway, number>();
  const scale = resolvedByClient(service) ? 1 : view.networks.weightScale;
  for (const endpoint of endpoints) {
    const weight = Math.min(maxWeight, (endpoint.weight === 0 ? 1 : endpoint.weight) * scale);
    const mutualTls = takesMutualTls(endpoint);
    const gateways = reachOf(view, service, endpoint, mutualTls, sniDnat);
    if (gateways === "no_mutual_tls" || gateways === "no_address") continue;
    if (gateways === "direct") {
      placed.push({ weight, json: encodeEndpoint(endpoint, weight, mutualTls), labels: endpoint.labels });
      continue;
    }
    for (const gateway of gateways) gatewayWeights.set(gateway, (gatewayWeights.get(gateway) ?? 0) + Math.floor(weight / gateways.length));
  }
  for (const gateway of view.networks.gateways) {
    const weight = gatewayWeights.get(gateway);
    if (weight === undefined) continue;
    const atLeastOne = Math.max(weight, 1);
    const { cluster, network } = gateway;
    const labels = withTopology({}, { cluster, network, node: "", locality: { region: "", zone: "", subZone: "" } });
    placed.push({ weight: atLeastOne, json: encodeGateway(gateway, atLeastOne), labels });
  }
  return placed;
}

function encodeLocality(group: LocalityGroup): Json {
  const { region, zone, subZone } = group.locality;
  return {
    locality: { ...(region === "" ? {} : { region }), ...(zone === "" ? {} : { zone }), ...(subZone === "" ? {} : { sub_zone: subZone }) },
    ...(group.endpoints.length === 0 ? {} : { lb_endpoints: group.endpoints.map((each) => each.json) }),
    ...(group.weight === undefined ? {} : { load_balancing_weight: Math.min(maxWeight, group.weight) }),
    ...(group.priority === 0 ? {} : { priority: group.priority }),
  };
}

function encodeEndpoint(endpoint: MeshEndpoint, weight: number, mutualTls: boolean): Json {
  return {
    endpoint: { address: socketAddress(endpoint.address, endpoint.port), ...additionalAddresses(endpoint.moreAddresses, endpoint.port) },
    ...(endpoint.ready === undefined ? {} : { health_status: endpoint.ready ? "HEALTHY" : endpoint.draining ? "DRAINING" : "UNHEALTHY" }),
    metadata: endpointMetadata(mutualTls, workloadString(endpoint)),
    load_balancing_weight: weight,
  };
}

function encodeGateway(gateway: NetworkGateway, weight: number): Json {
  return {
    endpoint: { address: socketAddress(gateway.address, gateway.port) },
    metadata: endpointMetadata(true, `;;;;${gateway.cluster}`),
    load_balancing_weight: weight,
  };
}

function endpointMetadata(mutualTls: boolean, workload: string): Json {
  return { filter_metadata: { ...(mutualTls ? { "envoy.transport_socket_match": { tlsMode: "istio" } } : {}), istio: { workload } } };
}

/** `workload;namespace;canonical name;canonical revision;cluster`, the revision `latest` left out as istiod does. */
function workloadString(endpoint: MeshEndpoint): string {
  const { labels } = endpoint;
  const name = labels["service.istio.io/canonical-name"] ?? labels["app.kubernetes.io/name"] ?? labels["app"] ?? endpoint.workloadName;
  const revision = labels["service.istio.io/canonical-revision"] ?? labels["app.kubernetes.io/version"] ?? labels["version"] ?? "";
  return [endpoint.workloadName, endpoint.namespace, name, revision === "latest" ? "" : revision, endpoint.cluster].join(";");
}
