// The name table: every mesh name that the proxy's DNS answers, with the addresses as seen from its cluster.
import { isIP } from "node:net";
import { KeptFlat, KeptIndex, KeptMap, KeptOrder } from "../../../kept-list.ts";
import type { Json } from "../envoy-json.ts";
import type { NodeView } from "../node-view.ts";
import { inNetwork } from "../proxy.ts";
import { compareText, type MeshEndpoint, type MeshService } from "../registry/service.ts";

type NamedHost = readonly [hostname: string, info: Json];

const keptHosts = new KeptMap<MeshService, readonly NamedHost[]>();
const flatHosts = new KeptFlat<NamedHost>();
const byName = new KeptIndex<NamedHost, string>(([hostname]) => hostname);
const compareHosts = ([a]: NamedHost, [b]: NamedHost): number => compareText(a, b);
const inOrder = new KeptOrder<NamedHost>(compareHosts);

/** The table as one resource; an unset table when nothing has an address. */
export function buildNameTable(view: NodeView): Json {
  const named = view.scope.egress.flatMap(({ listener, services }) =>
    flatHosts.of(keptHosts.map(listener, services, [view.context], (service) => hostsOf(view, service))),
  );
  if (named.length === 0) return {};
  // Of a name that several have, the last one holds.
  const sorted = byName.isUnique(named) ? inOrder.of(view.context, named) : named.toSorted(compareHosts);
  return { table: Object.fromEntries(sorted) };
}

function hostsOf(view: NodeView, service: MeshService): readonly NamedHost[] {
  const named = service.headless ? headlessHosts(view, service) : [[service.hostname, view.addressesOf(service), service.name] as const];
  return named.flatMap(([hostname, addresses, shortname]): readonly NamedHost[] => {
    const ips = addresses.filter((address) => isIP(address) !== 0);
    if (ips.length === 0) return [];
    const kubernetes = service.registry === "Kubernetes" ? { shortname, namespace: service.namespace } : {};
    return [[hostname, { ips, registry: service.registry, ...kubernetes }]];
  });
}

/** The pods by their own names, then the service with all of them. */
function headlessHosts(
  view: NodeView,
  service: MeshService,
): readonly (readonly [hostname: string, addresses: readonly string[], shortname: string])[] {
  const domain = service.hostname.slice(service.name.length + 1);
  const callable = callableEndpoints(view, service);
  const byPod = Map.groupBy(
    callable.filter((endpoint) => podName(endpoint) !== ""),
    podName,
  );
  const distinct = (endpoints: readonly MeshEndpoint[]): readonly string[] => [...new Set(endpoints.map(({ address }) => address))];
  return [
    ...[...byPod].map(([pod, endpoints]) => [`${pod}.${domain}`, distinct(ofOneCluster(view, endpoints)), pod] as const),
    [service.hostname, distinct(callable), service.name],
  ];
}

/** A pod's name below its service's domain, as `mysql-0.mysql`; empty when it has none. */
export function podName({ hostname, subdomain }: MeshEndpoint): string {
  return hostname === "" || subdomain === "" ? "" : `${hostname}.${subdomain}`;
}

/** Of pods of one name: a name is one pod, that of the node's own cluster where there is one. */
export function ofOneCluster(view: NodeView, pods: readonly MeshEndpoint[]): readonly MeshEndpoint[] {
  const holder = pods.some(({ cluster }) => cluster === view.proxy.cluster) ? view.proxy.cluster : pods[0]?.cluster;
  return pods.filter(({ cluster }) => cluster === holder);
}

/** Pods that are ready (or that their service lists all the same) and that the node can call by their own address: those of its network, and where the service stays in its cluster of that. */
export function callableEndpoints(view: NodeView, service: MeshService): readonly MeshEndpoint[] {
  const stays = view.clusterLocal(service.hostname);
  return service.endpoints.filter(
    ({ ready, cluster, network, address }) =>
      (ready !== false || service.publishNotReady) &&
      (!stays || cluster === view.proxy.cluster) &&
      inNetwork(view.proxy, network) &&
      isIP(address) !== 0,
  );
}
