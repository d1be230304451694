// The ports of the hosts in the name table, which Istio's table does not carry: what DNS makes SRV records of.
import type { NodeView } from "../node-view.ts";
import { Kept } from "../object/kept.ts";
import type { MeshEndpoint, MeshService } from "../registry/service.ts";
import { callableEndpoints, ofOneCluster, podName } from "./name-table.ts";

/** One pod of a headless service behind a port. */
export interface NamedEndpoint {
  readonly host: string;
  readonly address: string;
  readonly port: number;
}

/** A port of a host; with `endpoints` the host is headless and they are where the port is. */
export interface NamedPort {
  readonly name: string;
  readonly protocol: "tcp" | "udp";
  readonly port: number;
  readonly endpoints?: readonly NamedEndpoint[];
}

/** Ports by host name, for every service the node sees; wildcard hosts are left out, as they are no name to connect to. */
export function buildServicePorts(view: NodeView): Readonly<Record<string, readonly NamedPort[]>> {
  const hosts: Record<string, readonly NamedPort[]> = {};
  for (const service of view.services) {
    if (service.hostname.startsWith("*")) continue;
    hosts[service.hostname] = keptPorts.get(service, [view.context], () => portsOf(view, service));
  }
  return hosts;
}

const keptPorts = new Kept<MeshService, readonly NamedPort[]>();

function portsOf(view: NodeView, service: MeshService): readonly NamedPort[] {
  return service.ports.map((port) => ({
    name: port.name,
    protocol: port.protocol === "UDP" ? "udp" : "tcp",
    port: port.port,
    ...(service.headless ? { endpoints: endpointsOf(view, service, port.name) } : {}),
  }));
}

function endpointsOf(view: NodeView, service: MeshService, portName: string): readonly NamedEndpoint[] {
  const pods = callableEndpoints(view, service).filter((endpoint) => endpoint.portName === portName);
  return [...Map.groupBy(pods, (endpoint) => hostOf(service, endpoint))].flatMap(([host, endpoints]) =>
    ofOneCluster(view, endpoints).map(({ address, port }) => ({ host, address, port })),
  );
}

/** The pod's host name, or its address with dashes, as Kubernetes' DNS names it. */
function hostOf(service: MeshService, endpoint: MeshEndpoint): string {
  const pod = podName(endpoint);
  if (pod !== "") return `${pod}${service.hostname.slice(service.name.length)}`;
  return `${endpoint.address.replaceAll(/[.:]/g, "-")}.${service.hostname}`;
}
