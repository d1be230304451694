// The ports a gateway opens: the servers of every Gateway that selects it, joined by address and port.
import { isPlainHttp } from "../istio/gateway.ts";
import type { NodeView } from "../node-view.ts";
import { compareText } from "../registry/service.ts";
import { mergeServers, type OwnServer } from "./merge-servers.ts";

/** An address and port as they are listened on, and the servers that share them. */
export interface GatewayPort {
  /** Plain HTTP is one chain for all servers, anything else one or more for each. */
  readonly kind: "http" | "each";
  readonly bind: string;
  readonly number: number;
  readonly servers: readonly OwnServer[];
}

/** Ports by address and number. */
export function gatewayPorts(view: NodeView): readonly GatewayPort[] {
  const ports = new Map<string, GatewayPort & { readonly servers: OwnServer[] }>();
  for (const own of mergeServers(view.ownServers, (number) => listenPort(view, number)).served) {
    const number = listenPort(view, own.server.port.number);
    const bind = bindAddress(view, own);
    const kind = isPlainHttp(own.server) ? "http" : "each";
    const port = ports.get(`${bind}_${number}`);
    if (port === undefined) ports.set(`${bind}_${number}`, { kind, bind, number, servers: [own] });
    // An address that one server names and another gets by default is found to be the same only here.
    else if (port.kind === kind) port.servers.push(own);
  }
  return [...ports].toSorted(([a], [b]) => compareText(a, b)).map(([, port]) => port);
}

/** With interception NONE a gateway keeps to its own address, so that several run on one machine. */
function bindAddress(view: NodeView, own: OwnServer): string {
  if (own.server.bind !== "") return own.server.bind;
  return view.proxy.interception === "NONE" ? (view.proxy.addresses[0] ?? view.family.wildcard) : view.family.wildcard;
}

/** A Gateway names the port of the gateway's Service; where that one has another target port, this is what is listened on. */
function listenPort(view: NodeView, number: number): number {
  // An address of its own is called directly, with no Service before it.
  if (view.proxy.interception === "NONE") return number;
  return view.ownPorts.find(({ port }) => port.port === number)?.targetPort ?? number;
}
