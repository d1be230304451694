// What a node's identity means for its configuration: Istio's reading of core.v3.Node and its metadata.
import { isIP } from "node:net";
import type { Locality } from "../../envoy/cluster/endpoint.ts";
import type { Node } from "../../envoy/bootstrap.ts";
import { type GatewayTopology, topologyOfNode } from "./istio/gateway-topology.ts";
import { isMapping } from "./object/fields.ts";

/** A proxy as the translation sees it. */
export interface Proxy {
  readonly type: "sidecar" | "router";
  /** Own addresses, the first one is the proxy's main address. */
  readonly addresses: readonly string[];
  readonly name: string;
  readonly namespace: string;
  /** The namespace that short names are resolved in, from the id's DNS domain. */
  readonly domainNamespace: string;
  readonly cluster: string;
  readonly network: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly locality: Locality;
  /** The Kubernetes node it runs on (NODE_NAME), empty when unknown. */
  readonly nodeName: string;
  /** NONE: nothing is redirected to the proxy, it binds the service addresses itself. */
  readonly interception: "REDIRECT" | "TPROXY" | "NONE";
  readonly dnsCapture: boolean;
  /** DNS_AUTO_ALLOCATE: opts in to handed-out addresses, where the mesh asks for that. */
  readonly dnsAutoAllocate: boolean;
  /** Networks whose endpoints are visible; empty means all (ISTIO_META_REQUESTED_NETWORK_VIEW). */
  readonly networkView: readonly string[];
  /** PROXY_CONFIG.gatewayTopology; undefined where the node has no PROXY_CONFIG: the mesh's holds. */
  readonly gatewayTopology: GatewayTopology | undefined;
}

/** The parts of `type~ip~name.namespace~domain`. */
export interface NodeId {
  readonly type: "sidecar" | "router";
  readonly address: string;
  readonly name: string;
  readonly namespace: string;
  readonly domain: string;
}

/** Splits a node id, or says what is wrong with it. */
export function parseNodeId(id: string): NodeId | { readonly problem: string } {
  const [type, address = "", workload = "", domain = "", ...rest] = id.split("~");
  if (rest.length > 0 || domain === "")
    return { problem: `"${id}" is no node id, expected sidecar~IP~POD.NAMESPACE~NAMESPACE.svc.cluster.local` };
  if (type !== "sidecar" && type !== "router") return { problem: `"${type}" is no proxy type, expected sidecar or router` };
  if (isIP(address) === 0) return { problem: `"${address}" in the node id is no IP address` };
  const dot = workload.lastIndexOf(".");
  if (dot <= 0 || dot === workload.length - 1) return { problem: `"${workload}" in the node id is not POD.NAMESPACE` };
  return { type, address, name: workload.slice(0, dot), namespace: workload.slice(dot + 1), domain };
}

const text = (value: unknown): string => (typeof value === "string" ? value : "");
const flag = (value: unknown): boolean => value === true || value === "true" || value === "1";
const words = (value: unknown): readonly string[] =>
  text(value)
    .split(",")
    .map((word) => word.trim())
    .filter((word) => word !== "");

/** Reads a node that parseNode has accepted; an id that is none yields a sidecar with nothing of its own. */
export function describeProxy(node: Node): Proxy {
  const id = parseNodeId(node.id);
  const known = "problem" in id ? undefined : id;
  const { metadata } = node;
  const instanceIps = words(metadata["INSTANCE_IPS"]).filter((ip) => isIP(ip) !== 0);
  const labels = isMapping(metadata["LABELS"]) ? metadata["LABELS"] : {};
  const mode = metadata["INTERCEPTION_MODE"];
  return {
    type: known?.type ?? "sidecar",
    addresses: instanceIps.length > 0 ? instanceIps : known === undefined ? [] : [known.address],
    name: known?.name ?? text(metadata["NAME"]),
    namespace: text(metadata["NAMESPACE"]) === "" ? (known?.namespace ?? "default") : text(metadata["NAMESPACE"]),
    domainNamespace: known?.domain.split(".")[0] ?? "",
    cluster: text(metadata["CLUSTER_ID"]),
    network: text(metadata["NETWORK"]),
    labels: Object.fromEntries(Object.entries(labels).filter((entry): entry is [string, string] => typeof entry[1] === "string")),
    locality: node.locality,
    nodeName: text(metadata["NODE_NAME"]),
    interception: mode === "NONE" || mode === "TPROXY" ? mode : "REDIRECT",
    dnsCapture: flag(metadata["DNS_CAPTURE"]),
    dnsAutoAllocate: flag(metadata["DNS_AUTO_ALLOCATE"]),
    networkView: words(metadata["REQUESTED_NETWORK_VIEW"]),
    gatewayTopology: topologyOfNode(metadata["PROXY_CONFIG"]),
  };
}

/** True when an endpoint's network is reached directly: either side unnamed, or both the same. */
export function inNetwork(proxy: Proxy, network: string): boolean {
  return proxy.network === "" || network === "" || proxy.network === network;
}

/** True when the proxy may see endpoints of a network at all. */
export function seesNetwork(proxy: Proxy, network: string): boolean {
  return proxy.networkView.length === 0 || network === "" || proxy.networkView.includes(network);
}

/** True when one of the proxy's own addresses has the family of `address`; host names pass. */
export function speaksFamily(proxy: Proxy, address: string): boolean {
  const family = isIP(address);
  return family === 0 || proxy.addresses.length === 0 || proxy.addresses.some((own) => isIP(own) === family);
}
