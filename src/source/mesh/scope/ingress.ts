// The ports that a Sidecar opens for a workload in place of those of its services.
import { isIPv4 } from "node:net";
import type { DefaultEndpoint, IngressListener, SidecarSpec } from "../istio/sidecar.ts";
import type { OwnPort } from "../node-view.ts";
import type { MeshObject } from "../object/mesh-object.ts";
import type { Proxy } from "../proxy.ts";
import type { MeshService } from "../registry/service.ts";

/** How a Sidecar opens a port. */
export interface OwnIngress {
  /** The address of the listener, and its part of names. */
  readonly bind: string;
  /** True when nothing is redirected to the port, so that it needs a listener of its own. */
  readonly bindsPort: boolean;
  /** Undefined: the original destination. */
  readonly endpoint: { readonly address: string; readonly port: number } | undefined;
  /** The Sidecar's name, and the namespace it holds for. */
  readonly sidecar: string;
  readonly namespace: string;
}

/** The own ports of a workload under its Sidecar; `ports` are those of its services. */
export function openedPorts(sidecar: MeshObject<SidecarSpec> | undefined, proxy: Proxy, ports: readonly OwnPort[]): readonly OwnPort[] {
  if (sidecar === undefined) return ports;
  const { ingress, inboundPool } = sidecar.spec;
  if (ingress.length === 0) return inboundPool === undefined ? ports : ports.map((own) => ({ ...own, pool: inboundPool }));
  return ingress
    .map((listener): OwnPort => {
      const service = ports.find((own) => own.targetPort === listener.port.number)?.service;
      const pool = listener.connectionPool ?? inboundPool;
      const host = `${sidecar.meta.name}.${proxy.namespace}`;
      const port = { name: listener.port.name, port: listener.port.number, protocol: listener.port.protocol };
      return {
        service: service ?? standIn(sidecar, proxy, host),
        services: service === undefined ? [] : [service],
        port,
        targetPort: port.port,
        host,
        ...(pool === undefined ? {} : { pool }),
        ingress: openPort(sidecar, listener, proxy),
      };
    })
    .toSorted((a, b) => a.targetPort - b.targetPort);
}

function openPort(sidecar: MeshObject<SidecarSpec>, listener: IngressListener, proxy: Proxy): OwnIngress {
  const { captureMode, defaultEndpoint, port } = listener;
  const none = proxy.interception === "NONE";
  // Where nothing is redirected the destination is the listener itself, so the application is looked for on loopback.
  const loopback: DefaultEndpoint | undefined = none ? { host: "127.0.0.1", port: port.number } : undefined;
  const target = defaultEndpoint ?? loopback;
  return {
    bind: listener.bind === "" ? (proxy.addresses[0] ?? "0.0.0.0") : listener.bind,
    bindsPort: captureMode === "NONE" || (captureMode === "DEFAULT" && none),
    endpoint: target && { address: endpointAddress(target.host, proxy), port: target.port },
    sidecar: sidecar.meta.name,
    namespace: proxy.namespace,
  };
}

/** The address meant by one of the four words for it, in a family that the proxy has. */
function endpointAddress(host: DefaultEndpoint["host"], proxy: Proxy): string {
  const own = (four: boolean): string | undefined => proxy.addresses.find((address) => isIPv4(address) === four);
  const hasFour = own(true) !== undefined || proxy.addresses.length === 0;
  switch (host) {
    case "0.0.0.0":
      return own(true) ?? "127.0.0.1";
    case "::":
      return own(false) ?? "::1";
    case "127.0.0.1":
      return hasFour ? "127.0.0.1" : "::1";
    case "::1":
      return own(false) === undefined ? "127.0.0.1" : "::1";
  }
}

/** A port that no service has still needs one for its cluster. */
function standIn({ meta }: MeshObject<SidecarSpec>, proxy: Proxy, hostname: string): MeshService {
  return {
    definition: {},
    hostname,
    name: meta.name,
    namespace: proxy.namespace,
    createdAt: meta.createdAt,
    registry: "External",
    meshExternal: true,
    resolution: "eds",
    ports: [],
    addresses: new Map(),
    allocated: [],
    headless: false,
    publishNotReady: false,
    nodeLocal: false,
    persistentSessions: false,
    aliases: [],
    endpoints: [],
    identities: [],
    targets: new Map(),
    trafficDistribution: "any",
    exportTo: [],
  };
}
