// networking.istio.io VirtualService: routes for hosts, in sidecars (`mesh`) and at gateways.
import { readExportTo } from "./export-to.ts";
import type { Fields } from "../object/fields.ts";
import { readDestination, readWeight, type RouteDestination } from "./route/destination.ts";
import { type ProxyMatch, readProxyMatch } from "./route/http-match.ts";
import { type HttpRoute, readHttpRoute } from "./route/http-route.ts";

/** TLSMatchAttributes. */
export interface TlsMatch {
  readonly sniHosts: readonly string[];
  /** 0 matches every port. */
  readonly port: number;
  readonly gateways: readonly string[];
}

/** TLSRoute. */
export interface TlsRoute {
  readonly matches: readonly TlsMatch[];
  readonly destinations: readonly RouteDestination[];
}

/** TCPRoute; without a match it takes every connection. */
export interface TcpRoute {
  readonly matches: readonly ProxyMatch[];
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

/** Reads a VirtualService. */
export function readVirtualService(root: Fields): VirtualServiceSpec {
  const spec = root.child("spec");
  if (spec === undefined) {
    root.error("spec", "is missing, expected hosts and routes");
    return { hosts: [], gateways: [], http: [], tls: [], tcp: [], exportTo: [] };
  }
  const gateways = spec.strings("gateways");
  const service = {
    hosts: spec.strings("hosts").map((host) => host.toLowerCase()),
    gateways: gateways.length === 0 ? ["mesh"] : gateways,
    http: spec.list("http", readHttpRoute),
    tls: spec.list("tls", readTlsRoute),
    tcp: spec.list("tcp", readTcpRoute),
    exportTo: readExportTo(spec),
  };
  if (service.tls.length > 0 && service.gateways.includes("mesh"))
    spec.warn("tls", "has no effect in sidecars: tls routes are honoured at gateways only");
  if (service.tcp.length > 0 && service.gateways.some((gateway) => gateway !== "mesh"))
    spec.warn("tcp", "has no effect at gateways: tcp routes are honoured in sidecars only");
  spec.finish();
  return service;
}

function readTlsRoute(item: Fields): TlsRoute {
  const route = {
    matches: item.list("match", (match) => {
      const result = {
        sniHosts: match.strings("sniHosts").map((host) => host.toLowerCase()),
        port: match.port("port") ?? 0,
        gateways: match.strings("gateways"),
      };
      match.refused("destinationSubnets", "sourceLabels", "sourceNamespace");
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
      const result = readProxyMatch(match);
      match.refused("destinationSubnets", "sourceSubnet");
      match.finish();
      return result;
    }),
    destinations: readDestinations(item),
  };
  item.finish();
  return route;
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
