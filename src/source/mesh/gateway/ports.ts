// The ports a gateway opens: the servers of every Gateway that selects it, joined by address and port.
import type { NodeView, OwnServer } from "../node-view.ts";
import { compareText } from "../registry/service.ts";

/** An address and port as they are listened on, and the servers that share them. */
export interface GatewayPort {
  readonly kind: "http" | "tls";
  readonly bind: string;
  readonly number: number;
  readonly servers: readonly OwnServer[];
}

/** Ports by address and number. Plain HTTP and TLS cannot share one: the older Gateway's server decides which it is. */
export function gatewayPorts(view: NodeView): readonly GatewayPort[] {
  const ports = new Map<string, GatewayPort & { readonly servers: OwnServer[] }>();
  for (const own of view.ownServers) {
    const number = listenPort(view, own.server.port.number);
    const bind = bindAddress(view, own);
    const kind = own.server.tlsMode === "NONE" ? "http" : "tls";
    const port = ports.get(`${bind}_${number}`);
    if (port === undefined) ports.set(`${bind}_${number}`, { kind, bind, number, servers: [own] });
    else if (port.kind === kind) port.servers.push(own);
  }
  return [...ports].toSorted(([a], [b]) => compareText(a, b)).map(([, port]) => port);
}

/** With interception NONE a gateway keeps to its own address, so that several run on one machine. */
function bindAddress(view: NodeView, own: OwnServer): string {
  if (own.server.bind !== "") return own.server.bind;
  return view.proxy.interception === "NONE" ? (view.proxy.addresses[0] ?? "0.0.0.0") : "0.0.0.0";
}

/** A Gateway names the port of the gateway's Service; where that one has another target port, this is what is listened on. */
function listenPort(view: NodeView, number: number): number {
  // An address of its own is called directly, with no Service before it.
  if (view.proxy.interception === "NONE") return number;
  return view.ownPorts.find(({ port }) => port.port === number)?.targetPort ?? number;
}
