// networking.istio.io VirtualService, narrowed to `tls` routes bound to a gateway; `http` and `tcp` routes are listed.
import type { Fields } from "../object/fields.ts";

/** A destination with its share. */
export interface RouteDestination {
  readonly host: string;
  readonly subset: string;
  /** 0 when not given. */
  readonly port: number;
  readonly weight: number;
}

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

/** VirtualService.spec. */
export interface VirtualServiceSpec {
  readonly hosts: readonly string[];
  /** `mesh`, or gateways by name or namespace/name; `mesh` when not given. */
  readonly gateways: readonly string[];
  readonly tls: readonly TlsRoute[];
}

/** Reads a VirtualService. */
export function readVirtualService(root: Fields): VirtualServiceSpec {
  const spec = root.child("spec");
  if (spec === undefined) {
    root.error("spec", "is missing, expected hosts and routes");
    return { hosts: [], gateways: [], tls: [] };
  }
  const gateways = spec.strings("gateways");
  const service = {
    hosts: spec.strings("hosts").map((host) => host.toLowerCase()),
    gateways: gateways.length === 0 ? ["mesh"] : gateways,
    tls: spec.list("tls", readTlsRoute),
  };
  spec.notHonoured("http", "tcp", "exportTo");
  if (service.tls.length > 0 && service.gateways.includes("mesh"))
    spec.warn("tls", "has no effect in sidecars: tls routes are honoured at gateways only");
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
    destinations: item.list("route", (target) => {
      const destination = target.child("destination");
      if (destination === undefined) target.error("destination", "is missing, expected a host");
      const port = destination?.child("port");
      const result = {
        host: (destination?.requiredString("host") ?? "").toLowerCase(),
        subset: destination?.string("subset") ?? "",
        port: port?.requiredPort("number") ?? 0,
        weight: target.integer("weight", { min: 0, max: 0xffff_ffff }) ?? 0,
      };
      port?.finish();
      destination?.finish();
      target.finish();
      return result;
    }),
  };
  if (route.matches.length === 0) item.error("match", "is empty, expected at least one match with sniHosts");
  if (route.destinations.length === 0) item.error("route", "is empty, expected at least one destination");
  item.finish();
  return route;
}
