// Networks: which one an endpoint is on, and through which gateways another one is reached.
import { BlockList, isIP } from "node:net";
import type { MeshView } from "../mesh-view.ts";
import type { MeshObject } from "../object/mesh-object.ts";
import { Kept } from "../object/kept.ts";
import type { KubernetesCluster, KubernetesService } from "./kubernetes-objects.ts";
import { compareText } from "./service.ts";

/** A way into a network. */
export interface NetworkGateway {
  readonly network: string;
  /** The cluster the gateway runs in; empty when only its address is known. */
  readonly cluster: string;
  readonly address: string;
  readonly port: number;
}

/** The networks of a mesh. */
export interface Networks {
  readonly gateways: readonly NetworkGateway[];
  /** Least common multiple of the gateway counts: weights are multiplied by it, so that they divide evenly. */
  readonly weightScale: number;
  /** The network of an address in a cluster; empty when nothing says. */
  networkOf(cluster: string, address: string, labels: Readonly<Record<string, string>>): string;
  /** Gateways of a network, those in the endpoint's own cluster if there are any. */
  gatewaysTo(network: string, cluster: string): readonly NetworkGateway[];
}

const networkLabel = "topology.istio.io/network";
const gatewayPortLabel = "networking.istio.io/gatewayPort";
// Istio's port for traffic between networks, when the service's label names no other.
const defaultGatewayPort = 15_443;

const known = new Kept<MeshView["networks"], Networks>();

/** Reads the networks from `networks.yaml`, labels of gateway services and labels of the root namespace. */
export function readNetworks(mesh: MeshView): Networks {
  const gateways = findGateways(mesh);
  // Which services are gateways is looked up on every load; mostly they are the ones of before.
  const said = [
    mesh.config.rootNamespace,
    JSON.stringify(gateways),
    ...mesh.clusters.flatMap(({ name, namespaces }) => [name, namespaces]),
  ];
  return known.get(mesh.networks, said, () => compileNetworks(mesh, gateways));
}

function compileNetworks(mesh: MeshView, gateways: readonly NetworkGateway[]): Networks {
  const byNetwork = new Map<string, NetworkGateway[]>();
  const byCluster = new Map<string, NetworkGateway[]>();
  for (const gateway of gateways) {
    pushTo(byNetwork, gateway.network, gateway);
    pushTo(byCluster, `${gateway.network}/${gateway.cluster}`, gateway);
  }
  const weightScale = [...byNetwork.values(), ...byCluster.values()].reduce((scale, each) => leastCommonMultiple(scale, each.length), 1);
  return {
    gateways,
    weightScale,
    networkOf: networkFinder(mesh),
    gatewaysTo: (network, cluster) => byCluster.get(`${network}/${cluster}`) ?? byNetwork.get(network) ?? [],
  };
}

/** Host names among the addresses of the mesh's network gateways; somebody has to resolve them (RESOLVE_HOSTNAME_GATEWAYS). */
export function gatewayHosts(mesh: MeshView): ReadonlySet<string> {
  return new Set(givenGateways(mesh).flatMap(({ address }) => (isIP(address) === 0 ? [address] : [])));
}

function findGateways(mesh: MeshView): readonly NetworkGateway[] {
  const found = new Map<string, NetworkGateway>();
  for (const given of givenGateways(mesh)) {
    const addresses = isIP(given.address) === 0 ? (mesh.gatewayAddresses.get(given.address) ?? []) : [given.address];
    for (const address of addresses) found.set(`${given.network}/${given.cluster}/${address}/${given.port}`, { ...given, address });
  }
  return [...found.values()].toSorted(
    (a, b) =>
      compareText(a.address, b.address) || a.port - b.port || compareText(a.network, b.network) || compareText(a.cluster, b.cluster),
  );
}

/** Every gateway as it is given: its address may be a host name. */
function givenGateways(mesh: MeshView): readonly NetworkGateway[] {
  const given: NetworkGateway[] = [];
  for (const [network, description] of mesh.networks) {
    for (const { address, port } of description.gateways) if (address !== "") given.push({ network, cluster: "", address, port });
  }
  for (const cluster of mesh.clusters) {
    for (const service of mesh.networks.size === 0 ? labelledServices(cluster.services) : cluster.services) {
      const ways = waysThrough(mesh, service);
      for (const address of ways.length === 0 ? [] : externalAddresses(service.spec))
        given.push(...ways.map((way) => ({ ...way, cluster: cluster.name, address })));
    }
  }
  return given;
}

const labelled = new Kept<KubernetesCluster["services"], KubernetesCluster["services"]>();

/** Without networks.yaml a service is a gateway by its label alone, which few have. */
function labelledServices(services: KubernetesCluster["services"]): KubernetesCluster["services"] {
  return labelled.get(services, [], () => services.filter(({ meta }) => (meta.labels[networkLabel] ?? "") !== ""));
}

/** The networks that a service leads into. Its own label says it alone; only without one does networks.yaml. */
function waysThrough(
  mesh: MeshView,
  { meta }: MeshObject<KubernetesService>,
): readonly { readonly network: string; readonly port: number }[] {
  const labelled = meta.labels[networkLabel] ?? "";
  if (labelled !== "") return [{ network: labelled, port: Number(meta.labels[gatewayPortLabel] ?? defaultGatewayPort) }];
  if (mesh.networks.size === 0) return [];
  const hostname = `${meta.name}.${meta.namespace}.svc.cluster.local`;
  return [...mesh.networks].flatMap(([network, { gateways }]) =>
    gateways.filter(({ registryServiceName }) => registryServiceName === hostname).map(({ port }) => ({ network, port })),
  );
}

function externalAddresses(service: KubernetesService): readonly string[] {
  const balanced = service.type === "LoadBalancer" ? service.loadBalancer.map(({ ip, hostname }) => (ip === "" ? hostname : ip)) : [];
  return [...service.externalIps, ...balanced].filter((address) => address !== "");
}

function networkFinder(mesh: MeshView): Networks["networkOf"] {
  const byRegistry = new Map<string, string>();
  const byCidr: { readonly network: string; readonly list: BlockList }[] = [];
  for (const [network, description] of mesh.networks) {
    for (const registry of description.fromRegistry) byRegistry.set(registry, network);
    for (const cidr of description.fromCidr) {
      const [prefix = "", length = ""] = cidr.split("/");
      const family = isIP(prefix);
      if (family === 0 || !/^\d+$/.test(length) || Number(length) > (family === 4 ? 32 : 128)) continue;
      const list = new BlockList();
      list.addSubnet(prefix, Number(length), family === 4 ? "ipv4" : "ipv6");
      byCidr.push({ network, list });
    }
  }
  const byRootNamespace = new Map<string, string>();
  for (const cluster of mesh.clusters) {
    const root = cluster.namespaces.find((namespace) => namespace.meta.name === mesh.config.rootNamespace);
    const network = root?.meta.labels[networkLabel];
    if (network !== undefined) byRootNamespace.set(cluster.name, network);
  }
  return (cluster, address, labels) => {
    const labelled = labels[networkLabel];
    if (labelled !== undefined && labelled !== "") return labelled;
    const own = byRootNamespace.get(cluster) ?? byRegistry.get(cluster);
    if (own !== undefined) return own;
    const family = isIP(address);
    const ranged = family === 0 ? undefined : byCidr.find((each) => each.list.check(address, family === 4 ? "ipv4" : "ipv6"));
    return ranged?.network ?? "";
  };
}

function pushTo(map: Map<string, NetworkGateway[]>, key: string, gateway: NetworkGateway): void {
  const list = map.get(key);
  if (list === undefined) map.set(key, [gateway]);
  else list.push(gateway);
}

function leastCommonMultiple(a: number, b: number): number {
  let [x, y] = [a, b];
  while (y !== 0) [x, y] = [y, x % y];
  return (a / x) * b;
}
