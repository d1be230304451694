// networking.istio.io ServiceEntry: a service that no Kubernetes Service describes.
import { readExportTo } from "./export-to.ts";
import type { Fields } from "../object/fields.ts";
import { isHttp, isTls, parseProtocol, type Protocol } from "../registry/protocol.ts";
import type { ObjectMeta } from "../object/mesh-object.ts";

/** ServiceEntry.resolution. */
export type Resolution = "NONE" | "STATIC" | "DNS" | "DNS_ROUND_ROBIN" | "DYNAMIC_DNS";

/** A port of a ServiceEntry. */
export interface ServiceEntryPort {
  readonly number: number;
  readonly name: string;
  readonly protocol: string;
  /** 0 when not given. */
  readonly targetPort: number;
}

/** An inline WorkloadEntry. */
export interface WorkloadEndpoint {
  readonly address: string;
  readonly ports: ReadonlyMap<string, number>;
  readonly labels: Readonly<Record<string, string>>;
  readonly network: string;
  readonly locality: string;
  /** 0 when not given. */
  readonly weight: number;
  readonly serviceAccount: string;
}

/** ServiceEntry.spec. */
export interface ServiceEntrySpec {
  readonly hosts: readonly string[];
  readonly addresses: readonly string[];
  readonly ports: readonly ServiceEntryPort[];
  readonly meshExternal: boolean;
  readonly resolution: Resolution;
  readonly endpoints: readonly WorkloadEndpoint[];
  readonly workloadSelector?: Readonly<Record<string, string>>;
  readonly exportTo: readonly string[];
  readonly subjectAltNames: readonly string[];
  /** status.addresses: what an address controller has handed out, by host. */
  readonly allocated: readonly { readonly host: string; readonly address: string }[];
}

/** Reads a ServiceEntry. */
export function readServiceEntry(root: Fields, _meta: ObjectMeta): ServiceEntrySpec {
  const spec = root.child("spec");
  if (spec === undefined) {
    root.error("spec", "is missing, expected hosts and ports");
    return {
      hosts: [],
      addresses: [],
      ports: [],
      meshExternal: true,
      resolution: "NONE",
      endpoints: [],
      exportTo: [],
      subjectAltNames: [],
      allocated: [],
    };
  }
  const hosts = spec.strings("hosts");
  if (hosts.length === 0) spec.error("hosts", "is empty, expected at least one host");
  const selector = spec.child("workloadSelector");
  const labels = selector?.stringMap("labels");
  selector?.finish();
  const entry: ServiceEntrySpec = {
    hosts: hosts.map((host) => host.toLowerCase()),
    addresses: spec.strings("addresses"),
    ports: spec.list("ports", readPort),
    meshExternal: (spec.oneOf("location", ["MESH_EXTERNAL", "MESH_INTERNAL"]) ?? "MESH_EXTERNAL") === "MESH_EXTERNAL",
    resolution: spec.oneOf("resolution", ["NONE", "STATIC", "DNS", "DNS_ROUND_ROBIN", "DYNAMIC_DNS"]) ?? "NONE",
    endpoints: spec.list("endpoints", readWorkloadEndpoint),
    ...(labels === undefined ? {} : { workloadSelector: labels }),
    exportTo: readExportTo(spec, true),
    subjectAltNames: spec.strings("subjectAltNames"),
    allocated:
      root.child("status")?.list("addresses", (item) => ({ host: item.string("host") ?? "", address: item.string("value") ?? "" })) ?? [],
  };
  if (entry.resolution === "DYNAMIC_DNS")
    spec.error(
      "resolution",
      "DYNAMIC_DNS is not supported: no proxy resolves names by request; expected NONE, STATIC, DNS or DNS_ROUND_ROBIN",
    );
  const ambiguous = entry.ports.some((port) => !carriesName(parseProtocol(port.protocol)));
  if (hosts.length > 1 && entry.addresses.length === 0 && ambiguous)
    spec.error("hosts", "has several hosts with ports that are neither HTTP nor TLS, expected addresses to tell them apart");
  if (entry.workloadSelector !== undefined && entry.endpoints.length > 0)
    spec.error("workloadSelector", "is given beside endpoints, expected one of them");
  spec.finish();
  return entry;
}

const carriesName = (protocol: Protocol): boolean => isHttp(protocol) || isTls(protocol);

function readPort(item: Fields): ServiceEntryPort {
  const port = {
    number: item.requiredPort("number"),
    name: item.requiredString("name"),
    protocol: item.string("protocol") ?? "",
    targetPort: item.port("targetPort") ?? 0,
  };
  item.finish();
  return port;
}

function readWorkloadEndpoint(item: Fields): WorkloadEndpoint {
  const ports = new Map<string, number>();
  const given = item.child("ports");
  if (given !== undefined) {
    for (const name of Object.keys(item.raw("ports") ?? {})) {
      const port = given.port(name);
      if (port !== undefined) ports.set(name, port);
    }
  }
  const endpoint = {
    address: item.string("address") ?? "",
    ports,
    labels: item.stringMap("labels"),
    network: item.string("network") ?? "",
    locality: item.string("locality") ?? "",
    weight: item.integer("weight", { min: 0, max: 0xffff_ffff }) ?? 0,
    serviceAccount: item.string("serviceAccount") ?? "",
  };
  item.finish();
  return endpoint;
}
