// Route configurations of a gateway's HTTP ports: the hosts that a server and the VirtualServices bound to its Gateway share.
import type { Json } from "../envoy-json.ts";
import { bySpecificity } from "../istio/host-name.ts";
import { virtualServicesOf } from "../istio/virtual-services.ts";
import { servesHttp } from "../istio/gateway.ts";
import type { NodeView } from "../node-view.ts";
import { compareText, type MeshService } from "../registry/service.ts";
import { buildHttpRoutes } from "../route/http-routes.ts";
import { ruleLookup } from "../route/forward.ts";
import { routeConfiguration } from "../route/route-configuration.ts";
import { isCatchAll } from "../route/route-match.ts";
import type { OwnServer } from "./merge-servers.ts";
import { type GatewayPort, gatewayPorts } from "./ports.ts";
import { sharedHosts } from "./shared-hosts.ts";

/** The name of the route configuration of an HTTP port; an address of its own is part of it. */
export function httpRouteName(port: GatewayPort): string {
  const bind = port.servers[0]?.server.bind ?? "";
  return `http.${port.number}${bind === "" ? "" : `.${bind}`}`;
}

/** The name of the route configuration of one HTTPS server; each has its own, as each is a filter chain of its own. */
export function httpsRouteName({ gateway, server }: OwnServer): string {
  const { number, name } = server.port;
  return `https.${number}.${name}.${gateway.meta.name}.${gateway.meta.namespace}${server.bind === "" ? "" : `.${server.bind}`}`;
}

/** The configurations of every HTTP port and HTTPS server. */
export function buildGatewayRoutes(view: NodeView): readonly Json[] {
  const services = new Map(view.services.map((service) => [service.hostname, service]));
  return gatewayPorts(view).flatMap((port) =>
    port.kind === "http"
      ? [routeConfiguration(httpRouteName(port), virtualHosts(view, port.servers, services))]
      : port.servers
          .filter(({ server }) => servesHttp(server))
          .map((own) => routeConfiguration(httpsRouteName(own), virtualHosts(view, [own], services))),
  );
}

/** One host being put together. `sources` names what its routes came from: hosts with the same ones are one virtual host. */
interface Host {
  /** The port of the server that named it first. */
  readonly port: number;
  readonly routes: Json[];
  readonly sources: string[];
  httpsOnly: boolean;
}

function virtualHosts(view: NodeView, servers: readonly OwnServer[], services: ReadonlyMap<string, MeshService>): readonly Json[] {
  const hosts = new Map<string, Host>();
  for (const own of servers) addServer(view, own, services, hosts);
  // Without any host a configuration answers 404 to everything.
  if (hosts.size === 0) return [{ name: `blackhole:${servers[0]?.server.port.number ?? 0}`, domains: ["*"] }];
  const merged = new Map<string, { readonly name: string; readonly domains: string[]; readonly host: Host }>();
  for (const [name, host] of [...hosts].toSorted(([a], [b]) => bySpecificity(a, b))) {
    const key = JSON.stringify([host.sources, host.httpsOnly]);
    const same = merged.get(key);
    if (same !== undefined) same.domains.push(name);
    else merged.set(key, { name: `${name}:${host.port}`, domains: [name], host });
  }
  return [...merged.values()]
    .map(({ name, domains, host }) => ({
      name,
      domains,
      ...(host.routes.length === 0 ? {} : { routes: catchAllLast(host.routes) }),
      ...(host.httpsOnly ? { require_tls: "ALL" } : {}),
      include_request_attempt_count: true,
    }))
    .toSorted((a, b) => compareText(a.name, b.name));
}

function addServer(view: NodeView, own: OwnServer, services: ReadonlyMap<string, MeshService>, hosts: Map<string, Host>): void {
  const { gateway, server } = own;
  const { number } = server.port;
  const gatewayName = `${gateway.meta.namespace}/${gateway.meta.name}`;
  const place = {
    proxy: view.proxy,
    gateway: gatewayName,
    port: number,
    defaultRetries: view.mesh.config.retries,
    portOf: (hostname: string): number => onlyPort(services.get(hostname) ?? view.aliases.get(hostname)) ?? number,
    targetOf: (hostname: string): string => view.aliases.get(hostname)?.externalName ?? hostname,
    ruleOf: ruleLookup(view, (hostname) => services.get(hostname)),
  };
  for (const virtualService of virtualServicesOf(view.mesh, view.proxy, gatewayName)) {
    const shared = sharedHosts(own, virtualService);
    if (shared.length === 0) continue;
    const routes = buildHttpRoutes(virtualService, place);
    if (routes.length === 0) continue;
    const source = `${gatewayName} ${virtualService.meta.namespace}/${virtualService.meta.name}`;
    for (const name of shared) {
      const host = hostOf(hosts, name, number);
      host.routes.push(...routes);
      host.sources.push(source);
      host.httpsOnly ||= server.httpsRedirect;
    }
  }
  if (!server.httpsRedirect) return;
  for (const { host: name } of server.hosts) hostOf(hosts, name.toLowerCase(), number).httpsOnly = true;
}

function hostOf(hosts: Map<string, Host>, name: string, port: number): Host {
  const known = hosts.get(name);
  if (known !== undefined) return known;
  const host: Host = { port, routes: [], sources: [], httpsOnly: false };
  hosts.set(name, host);
  return host;
}

/** As in Istio a route that takes everything never stands before one of another VirtualService that takes less. */
function catchAllLast(routes: readonly Json[]): readonly Json[] {
  const takesAll = (route: Json): boolean => isCatchAll(route["match"] as Json);
  return [...routes.filter((route) => !takesAll(route)), ...routes.filter(takesAll)];
}

const onlyPort = (service: Pick<MeshService, "ports"> | undefined): number | undefined =>
  service?.ports.length === 1 ? service.ports[0]?.port : undefined;
