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
  const callable = service.endpoints.filter((endpoint) => isCallableByAddress(view, service, endpoint));
  const byPod = Map.groupBy(
    callable.filter(({ hostname, subdomain }) => hostname !== "" && subdomain !== ""),
    ({ hostname, subdomain }) => `${hostname}.${subdomain}`,
  );
  const distinct = (endpoints: readonly MeshEndpoint[]): readonly string[] => [...new Set(endpoints.map(({ address }) => address))];
  return [
    ...[...byPod].map(([pod, endpoints]) => [`${pod}.${domain}`, distinct(endpoints), pod] as const),
    [service.hostname, distinct(callable), service.name],
  ];
}

/** Whether a pod is ready (or its service lists it all the same) and the node can call it by its own address: not so in another cluster or network. */
export function isCallableByAddress(view: NodeView, service: MeshService, endpoint: MeshEndpoint): boolean {
  if (endpoint.ready === false && !service.publishNotReady) return false;
  return endpoint.cluster === view.proxy.cluster && inNetwork(view.proxy, endpoint.network) && isIP(endpoint.address) !== 0;
}
