// The name table: every mesh name that the proxy's DNS answers, with the addresses as seen from its cluster.
import { isIP } from "node:net";
import type { Json } from "../envoy-json.ts";
import type { NodeView } from "../node-view.ts";
import { inNetwork } from "../proxy.ts";
import { compareText, type MeshEndpoint, type MeshService } from "../registry/service.ts";

/** The table as one resource; an unset table when nothing has an address. */
export function buildNameTable(view: NodeView): Json {
  const table = new Map<string, Json>();
  const add = (hostname: string, ips: readonly string[], service: MeshService, shortname: string): void => {
    if (ips.length === 0) return;
    const kubernetes = service.registry === "Kubernetes";
    table.set(hostname, { ips, registry: service.registry, ...(kubernetes ? { shortname, namespace: service.namespace } : {}) });
  };
  for (const service of view.scope.egress.flatMap((egress) => egress.services)) {
    if (service.headless) addHeadless(view, service, add);
    else add(service.hostname, plainAddresses(view.addressesOf(service)), service, service.name);
  }
  if (table.size === 0) return {};
  return { table: Object.fromEntries([...table].toSorted(([a], [b]) => compareText(a, b))) };
}

function addHeadless(
  view: NodeView,
  service: MeshService,
  add: (hostname: string, ips: readonly string[], service: MeshService, shortname: string) => void,
): void {
  const domain = service.hostname.slice(service.name.length + 1);
  const all = new Set<string>();
  const byPod = new Map<string, Set<string>>();
  for (const endpoint of service.endpoints) {
    if (!isCallableByAddress(view, service, endpoint)) continue;
    all.add(endpoint.address);
    if (endpoint.hostname === "" || endpoint.subdomain === "") continue;
    const pod = `${endpoint.hostname}.${endpoint.subdomain}`;
    byPod.set(pod, (byPod.get(pod) ?? new Set()).add(endpoint.address));
  }
  for (const [pod, ips] of byPod) add(`${pod}.${domain}`, [...ips], service, pod);
  add(service.hostname, [...all], service, service.name);
}

/** Whether a pod is ready (or its service lists it all the same) and the node can call it by its own address: not so in another cluster or network. */
export function isCallableByAddress(view: NodeView, service: MeshService, endpoint: MeshEndpoint): boolean {
  if (endpoint.ready === false && !service.publishNotReady) return false;
  return endpoint.cluster === view.proxy.cluster && inNetwork(view.proxy, endpoint.network) && isIP(endpoint.address) !== 0;
}

const plainAddresses = (addresses: readonly string[]): readonly string[] => addresses.filter((address) => isIP(address) !== 0);
