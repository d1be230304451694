// networking.istio.io ServiceEntry: a service that no Kubernetes Service describes.
import { isIP } from "node:net";
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
  checkEntry(entry, spec);
  spec.finish();
  return entry;
}

/** What Istio's validation refuses, as no proxy could do it. */
function checkEntry(entry: ServiceEntrySpec, spec: Fields): void {
  const { resolution, hosts, addresses, endpoints, ports } = entry;
  if (resolution === "DYNAMIC_DNS") checkDynamic(entry, spec);
  const ambiguous = ports.some((port) => !carriesName(parseProtocol(port.protocol)));
  if (hosts.length > 1 && addresses.length === 0 && ambiguous)
    spec.error("hosts", "has several hosts with ports that are neither HTTP nor TLS, expected addresses to tell them apart");
  if (entry.workloadSelector !== undefined && endpoints.length > 0)
    spec.error("workloadSelector", "is given beside endpoints, expected one of them");
  for (const address of addresses) {
    const [prefix = "", length, ...rest] = address.split("/");
    const bits = isIP(prefix) === 4 ? 32 : 128;
    const fits = length === undefined || (/^\d{1,3}$/.test(length) && Number(length) <= bits && rest.length === 0);
    if (isIP(prefix) === 0 || !fits) spec.error("addresses", `has "${address}", expected IP addresses and CIDRs`);
    else if (length !== undefined && resolution !== "NONE" && resolution !== "STATIC")
      spec.error("addresses", `has the range ${address}, expected single addresses with resolution ${resolution}`);
  }
  if (resolution === "NONE" && endpoints.length > 0) spec.error("endpoints", "are given, expected none with resolution NONE");
  if (resolution === "DNS_ROUND_ROBIN" && endpoints.length > 1)
    spec.error("endpoints", `has ${endpoints.length}, expected one at most with resolution DNS_ROUND_ROBIN`);
  const named = resolution === "STATIC" ? endpoints.find((each) => each.address !== "" && isIP(each.address) === 0) : undefined;
  if (named !== undefined) spec.error("endpoints", `has the address "${named.address}", expected IP addresses with resolution STATIC`);
}

function checkDynamic({ hosts, addresses, endpoints, ports, meshExternal }: ServiceEntrySpec, spec: Fields): void {
  const because = "with resolution DYNAMIC_DNS";
  if (hosts.some((host) => !host.startsWith("*."))) spec.error("hosts", `has an exact name, expected wildcards ${because}`);
  if (!meshExternal) spec.error("location", `is MESH_INTERNAL, expected MESH_EXTERNAL ${because}`);
  if (addresses.length > 0) spec.error("addresses", `are given, expected none ${because}`);
  if (endpoints.length > 0) spec.error("endpoints", `are given, expected none ${because}`);
  const other = ports
    .map((port) => ({ ...port, spoken: parseProtocol(port.protocol) }))
    .find(({ spoken }) => !isHttp(spoken) && spoken !== "TLS");
  if (other !== undefined) spec.error("ports", `has ${other.name} with protocol "${other.protocol}", expected HTTP or TLS ${because}`);
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

/** Reads the fields of a WorkloadEntry, inline or of its own. */
export function readWorkloadEndpoint(item: Fields): WorkloadEndpoint {
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
