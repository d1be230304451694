// Outbound route configurations: one for each HTTP port number, and one for each sniffed port of a service.
import type { Json } from "../envoy-json.ts";
import type { NodeView } from "../node-view.ts";
import { Kept } from "../object/kept.ts";
import { routeConfiguration } from "../route/route-configuration.ts";
import { blackHole } from "../scope/sidecar-scope.ts";
import { type PortHosts, VirtualHostBuilder } from "./virtual-hosts.ts";

/** Builds the configurations that the node's listeners name. */
export function buildRoutes(view: NodeView, names: Iterable<string>): readonly Json[] {
  const builders = new Map(view.scope.egress.map((egress) => [egress, new VirtualHostBuilder(view, egress)]));
  return [...new Set(names)].flatMap((name) => {
    const colon = name.lastIndexOf(":");
    const port = Number(name.slice(colon + 1));
    // The listeners that name a port stand before the one for all the others.
    const egress = view.scope.egress.find(({ listener }) => listener.port === undefined || listener.port.number === port);
    const hosts = (egress && builders.get(egress)?.hostsOf(port)) ?? noHosts;
    if (colon < 0) {
      return [routeConfiguration(name, hosts.get(`*:${port}`) === undefined ? [...hosts.hosts, unknownHost(view)] : hosts.hosts)];
    }
    // A sniffed port has an address of its own, so whatever host is asked for is the service's.
    const host = hosts.get(name);
    return host === undefined ? [] : [sniffed.get(host, [name], () => routeConfiguration(name, [{ ...host, domains: ["*"] }]))];
  });
}

const noHosts: PortHosts = { hosts: [], get: () => undefined };
const sniffed = new Kept<Json, Json>();
const unknownHosts = new Kept<object, Json>();

function unknownHost(view: NodeView): Json {
  const cluster = view.scope.unclaimedCluster;
  return unknownHosts.get(view.context, [cluster], () => buildUnknownHost(cluster));
}

function buildUnknownHost(cluster: string): Json {
  const allowed = cluster !== blackHole;
  const name = allowed ? "allow_any" : "block_all";
  const action = allowed ? { route: { cluster, timeout: "0s", max_grpc_timeout: "0s" } } : { direct_response: { status: 502 } };
  return { name, domains: ["*"], routes: [{ name, match: { prefix: "/" }, ...action }], include_request_attempt_count: true };
}
