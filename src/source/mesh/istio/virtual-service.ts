// networking.istio.io VirtualService: routes for hosts, in sidecars (`mesh`) and at gateways.
import { isIP } from "node:net";
import { readExportTo } from "./export-to.ts";
import type { Fields } from "../object/fields.ts";
import { hostCovers } from "./host-name.ts";
import { isClaimName } from "./route/claim-match.ts";
import { readDestination, readWeight, type RouteDestination } from "./route/destination.ts";
import { type ProxyMatch, readProxyMatch } from "./route/http-match.ts";
import { type Delegate, type HttpAction, type HttpRoute, readHttpRoute } from "./route/http-route.ts";

/** TLSMatchAttributes. */
export interface TlsMatch {
  readonly sniHosts: readonly string[];
  /** CIDRs of destinations; empty matches any. At gateways they are not looked at. */
  readonly subnets: readonly string[];
  readonly proxy: ProxyMatch;
}

/** L4MatchAttributes. */
export interface TcpMatch {
  /** CIDRs of destinations; empty matches any. At gateways they are not looked at. */
  readonly subnets: readonly string[];
  readonly proxy: ProxyMatch;
  /** Of the caller; empty: any. */
  readonly sourceSubnet: string;
}

/** TLSRoute. */
export interface TlsRoute {
  readonly matches: readonly TlsMatch[];
  readonly destinations: readonly RouteDestination[];
}

/** TCPRoute; without a match it takes every connection. */
export interface TcpRoute {
  readonly matches: readonly TcpMatch[];
  readonly destinations: readonly RouteDestination[];
}

/** VirtualService.spec. */
export interface VirtualServiceSpec {
  readonly hosts: readonly string[];
  /** `mesh`, or gateways by name or namespace/name; `mesh` when not given. */
  readonly gateways: readonly string[];
  readonly http: readonly HttpRoute[];
  readonly tls: readonly TlsRoute[];
  readonly tcp: readonly TcpRoute[];
  /** Namespaces whose proxies follow it; empty or `*` = all, `.` = its own. */
  readonly exportTo: readonly string[];
}

/** The same as written: routes may be left to others, and one without hosts has routes for others alone. */
export interface WrittenVirtualService extends Omit<VirtualServiceSpec, "http"> {
  readonly http: readonly HttpRoute<HttpAction | Delegate>[];
}

/** Reads a VirtualService. */
export function readVirtualService(root: Fields): WrittenVirtualService {
  const spec = root.child("spec");
  if (spec === undefined) {
    root.error("spec", "is missing, expected hosts and routes");
    return { hosts: [], gateways: [], http: [], tls: [], tcp: [], exportTo: [] };
  }
  const gateways = spec.strings("gateways");
  const hosts = spec.strings("hosts").map((host) => host.toLowerCase());
  const service = {
    hosts,
    gateways: gateways.length === 0 ? ["mesh"] : gateways,
    http: spec.list("http", readHttpRoute),
    tls: spec.list("tls", (item) => readTlsRoute(item, hosts)),
    tcp: spec.list("tcp", readTcpRoute),
    exportTo: readExportTo(spec),
  };
  if (service.gateways.includes("mesh")) checkClaims(spec, service.http);
  if (hosts.length === 0) checkDelegate(spec, service, gateways);
  spec.finish();
  return service;
}

/** Only gateways look at tokens before they choose a route. */
function checkClaims(spec: Fields, routes: WrittenVirtualService["http"]): void {
  const names = routes.flatMap(({ matches }) =>
    matches.flatMap(({ headers, withoutHeaders }) => [...headers.keys(), ...withoutHeaders.keys()]),
  );
  const claim = names.find(isClaimName);
  if (claim !== undefined)
    spec.error("http", `matches "${claim}", which is for gateways alone: expected gateways, and not mesh among them`);
}

/** Without hosts a VirtualService is but a part of others, which say where it holds. */
function checkDelegate(spec: Fields, { http, tls, tcp }: WrittenVirtualService, gateways: readonly string[]): void {
  if (tls.length + tcp.length > 0 || http.length === 0) spec.error("hosts", "is empty, expected at least one host");
  if (gateways.length > 0) spec.error("gateways", "is given without hosts: the VirtualService that delegates says where its routes hold");
  if (http.some(({ action }) => action.kind === "delegate")) spec.error("http", "delegates what was delegated, expected routes");
}

function readTlsRoute(item: Fields, hosts: readonly string[]): TlsRoute {
  const route = {
    matches: item.list("match", (match) => {
      const result = {
        sniHosts: match.strings("sniHosts").map((host) => host.toLowerCase()),
        subnets: readSubnets(match),
        proxy: readProxyMatch(match),
      };
      if (result.sniHosts.length === 0) match.error("sniHosts", "is empty, expected at least one host");
      for (const name of result.sniHosts) {
        if (!hosts.some((host) => hostCovers(host, name)))
          match.error("sniHosts", `has "${name}", expected names that the hosts of the VirtualService cover`);
      }
      match.finish();
      return result;
    }),
    destinations: readDestinations(item),
  };
  if (route.matches.length === 0) item.error("match", "is empty, expected at least one match with sniHosts");
  item.finish();
  return route;
}

function readTcpRoute(item: Fields): TcpRoute {
  const route = {
    matches: item.list("match", (match) => {
      const result = { subnets: readSubnets(match), sourceSubnet: match.string("sourceSubnet") ?? "", proxy: readProxyMatch(match) };
      if (result.sourceSubnet !== "") checkSubnet(match, "sourceSubnet", result.sourceSubnet);
      match.finish();
      return result;
    }),
    destinations: readDestinations(item),
  };
  item.finish();
  return route;
}

function readSubnets(match: Fields): readonly string[] {
  const subnets = match.strings("destinationSubnets");
  for (const subnet of subnets) checkSubnet(match, "destinationSubnets", subnet);
  return subnets;
}

function checkSubnet(match: Fields, field: string, subnet: string): void {
  const [address = "", length] = subnet.split("/");
  const bits = isIP(address) === 4 ? 32 : isIP(address) === 6 ? 128 : -1;
  if (bits < 0 || (length !== undefined && !(/^\d{1,3}$/.test(length) && Number(length) <= bits)))
    match.error(field, `has "${subnet}", expected an IP address or CIDR`);
}

function readDestinations(item: Fields): readonly RouteDestination[] {
  const destinations = item.list("route", (target) => {
    const destination = { ...readDestination(target, "destination"), weight: readWeight(target) };
    target.finish();
    return destination;
  });
  if (destinations.length === 0) item.error("route", "is empty, expected at least one destination");
  if (destinations.length > 1 && destinations.every((each) => each.weight === 0))
    item.error("route", "shares nothing out, expected weights above 0");
  return destinations;
}
