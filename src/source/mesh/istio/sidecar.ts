// networking.istio.io Sidecar: what the proxies of a namespace, or some of them, import and expose.
import { isIP } from "node:net";
import type { Fields } from "../object/fields.ts";
import { parseProtocol, type Protocol } from "../registry/protocol.ts";
import { type ConnectionPool, readConnectionPool } from "./connection-pool.ts";
import { type Destination, readDestination } from "./route/destination.ts";

/** SidecarPort. */
export interface SidecarPort {
  readonly number: number;
  readonly name: string;
  readonly protocol: Protocol;
}

/** CaptureMode: whether traffic is redirected to the listener; NONE binds a port of its own. */
export type CaptureMode = "DEFAULT" | "IPTABLES" | "NONE";

/** A host of an egress listener. */
export interface ImportedHost {
  /** A name, `.` the proxy's own, `*` any, `~` none. */
  readonly namespace: string;
  readonly host: string;
}

/** IstioEgressListener. */
export interface EgressListener {
  /** Undefined: every port that no other listener names. */
  readonly port: SidecarPort | undefined;
  /** An IP address; empty: as the capture mode asks. */
  readonly bind: string;
  readonly captureMode: CaptureMode;
  readonly hosts: readonly ImportedHost[];
}

/** Where an ingress listener forwards to: loopback or the workload's own address. */
export interface DefaultEndpoint {
  readonly host: "127.0.0.1" | "0.0.0.0" | "::1" | "::";
  readonly port: number;
}

/** IstioIngressListener. */
export interface IngressListener {
  readonly port: SidecarPort;
  readonly bind: string;
  readonly captureMode: CaptureMode;
  /** Undefined: the original destination. */
  readonly defaultEndpoint: DefaultEndpoint | undefined;
  readonly connectionPool: ConnectionPool | undefined;
}

/** OutboundTrafficPolicy of a Sidecar. */
export interface SidecarOutboundPolicy {
  readonly mode: "ALLOW_ANY" | "REGISTRY_ONLY";
  /** Takes the place of PassthroughCluster. */
  readonly egressProxy: Destination | undefined;
}

/** Sidecar.spec. */
export interface SidecarSpec {
  /** `workloadSelector.labels`; undefined: every workload of the namespace, and in the root namespace of the mesh. */
  readonly selector: Readonly<Record<string, string>> | undefined;
  /** Empty imports everything. */
  readonly egress: readonly EgressListener[];
  /** Empty: the ports come from the workload's services. */
  readonly ingress: readonly IngressListener[];
  /** Undefined: as MeshConfig says. */
  readonly outboundPolicy: SidecarOutboundPolicy | undefined;
  readonly inboundPool: ConnectionPool | undefined;
}

/** Reads a Sidecar. */
export function readSidecar(root: Fields): SidecarSpec {
  const spec = root.child("spec");
  const selector = spec?.child("workloadSelector");
  const labels = selector?.stringMap("labels");
  selector?.finish();
  const sidecar: SidecarSpec = {
    selector: labels,
    egress: spec?.list("egress", readEgress) ?? [],
    ingress: spec?.list("ingress", readIngress) ?? [],
    outboundPolicy: spec && readOutboundPolicy(spec),
    inboundPool: spec && readConnectionPool(spec, "inboundConnectionPool"),
  };
  checkPorts(spec, sidecar);
  spec?.finish();
  return sidecar;
}

function checkPorts(spec: Fields | undefined, { egress, ingress }: SidecarSpec): void {
  if (egress.slice(0, -1).some((listener) => listener.port === undefined))
    spec?.error("egress", "has a listener without port before the last, expected at most one, at the end");
  for (const [key, listeners] of [
    ["egress", egress],
    ["ingress", ingress],
  ] as const) {
    const seen = new Set<number>();
    for (const { port } of listeners) {
      if (port === undefined) continue;
      if (seen.has(port.number)) spec?.error(key, `has two listeners for port ${port.number}, expected one`);
      seen.add(port.number);
    }
  }
}

function readEgress(item: Fields): EgressListener {
  const hosts = item.strings("hosts").map((text, index) => {
    const [namespace = "", host = "", ...rest] = text.split("/");
    if (namespace === "" || host === "" || rest.length > 0)
      item.error("hosts", `has "${text}" at ${index}, expected NAMESPACE/HOST, where NAMESPACE may be . * or ~`);
    else if (namespace.startsWith("~") && text !== "~/*")
      item.error("hosts", `has "${text}" at ${index}, expected ~/* where ~ is used: leaving single hosts out is not supported`);
    return { namespace, host: host.toLowerCase() };
  });
  if (hosts.length === 0) item.error("hosts", "is empty, expected at least one host such as ./*");
  const listener = { port: readPort(item), bind: readBind(item), captureMode: readCaptureMode(item), hosts };
  item.finish();
  return listener;
}

function readIngress(item: Fields): IngressListener {
  const port = readPort(item);
  if (port === undefined && !item.has("port")) item.error("port", "is missing, expected a port");
  const listener = {
    port: port ?? { number: 0, name: "", protocol: "TCP" },
    bind: readBind(item),
    captureMode: readCaptureMode(item),
    defaultEndpoint: readDefaultEndpoint(item),
    connectionPool: readConnectionPool(item),
  } as const;
  item.refused("tls");
  item.finish();
  return listener;
}

function readPort(item: Fields): SidecarPort | undefined {
  const port = item.child("port");
  if (port === undefined) return undefined;
  const word = port.requiredString("protocol");
  if (word.toUpperCase() === "HTTP_PROXY") port.error("protocol", "is HTTP_PROXY, which is not supported: expected a protocol of services");
  else if (word !== "" && parseProtocol(word) === "AUTO")
    port.error("protocol", `is "${word}", expected one such as HTTP, HTTP2, GRPC, TLS or TCP`);
  const read = { number: port.requiredPort("number"), name: port.string("name") ?? "", protocol: parseProtocol(word) };
  port.ignore("targetPort");
  port.finish();
  return read;
}

function readCaptureMode(item: Fields): CaptureMode {
  return item.oneOf("captureMode", ["DEFAULT", "IPTABLES", "NONE"]) ?? "DEFAULT";
}

function readBind(item: Fields): string {
  const bind = item.string("bind") ?? "";
  if (bind.startsWith("unix://")) item.error("bind", "is a Unix domain socket, which is not supported: expected an IP address");
  else if (bind !== "" && isIP(bind) === 0) item.error("bind", `is "${bind}", expected an IP address`);
  return bind;
}

function readDefaultEndpoint(item: Fields): DefaultEndpoint | undefined {
  const text = item.string("defaultEndpoint") ?? "";
  if (text === "") return undefined;
  if (text.startsWith("unix://")) {
    item.error("defaultEndpoint", "is a Unix domain socket, which is not supported: expected 127.0.0.1:PORT or 0.0.0.0:PORT");
    return undefined;
  }
  const [, v6, v4, digits] = /^(?:\[([^\]]*)\]|([^:]*)):(\d{1,5})$/.exec(text) ?? [];
  const host = (["127.0.0.1", "0.0.0.0", "::1", "::"] as const).find(
    (each) => each === (v6 ?? v4) && each.includes(":") === (v6 !== undefined),
  );
  const port = Number(digits);
  if (host !== undefined && port >= 1 && port <= 65_535) return { host, port };
  item.error("defaultEndpoint", `is "${text}", expected 127.0.0.1, 0.0.0.0, [::1] or [::] and a port`);
  return undefined;
}

function readOutboundPolicy(spec: Fields): SidecarOutboundPolicy | undefined {
  const policy = spec.child("outboundTrafficPolicy");
  if (policy === undefined) return undefined;
  const read = {
    // proto3's zero value, and not MeshConfig's default.
    mode: policy.oneOf("mode", ["ALLOW_ANY", "REGISTRY_ONLY"]) ?? "REGISTRY_ONLY",
    egressProxy: policy.has("egressProxy") ? readDestination(policy, "egressProxy") : undefined,
  };
  policy.finish();
  return read;
}
