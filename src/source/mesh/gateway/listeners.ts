// Listeners of a gateway proxy: the servers of every Gateway that selects it, joined by port.
import { type Json, socketAddress } from "../envoy-json.ts";
import { listenerAccessLog } from "../chain/access-log.ts";
import { tlsInspector } from "../chain/listener-filters.ts";
import type { NodeView, OwnServer } from "../node-view.ts";
import { compareText } from "../registry/service.ts";
import { autoPassthroughChains } from "./auto-passthrough.ts";
import { passthroughChains } from "./passthrough.ts";

/** Every listener of the node; a port whose servers lead nowhere has none, as Envoy refuses a listener without chains. */
export function buildGatewayListeners(view: NodeView): readonly Json[] {
  const ports = new Map<string, OwnServer[]>();
  for (const own of view.ownServers) {
    const key = `${bindAddress(view, own)}_${own.server.port.number}`;
    const servers = ports.get(key);
    if (servers === undefined) ports.set(key, [own]);
    else servers.push(own);
  }
  return [...ports]
    .toSorted(([a], [b]) => compareText(a, b))
    .flatMap(([name, servers]) => {
      const chains = servers.flatMap((own) =>
        own.server.tlsMode === "AUTO_PASSTHROUGH" ? autoPassthroughChains(view, own) : passthroughChains(view, own),
      );
      const [first] = servers;
      if (chains.length === 0 || first === undefined) return [];
      return [
        {
          name,
          address: socketAddress(bindAddress(view, first), first.server.port.number),
          filter_chains: dropRepeated(chains),
          listener_filters: [tlsInspector],
          traffic_direction: "OUTBOUND",
          ...listenerAccessLog(view.mesh.config),
          max_connections_to_accept_per_socket_event: 1,
        },
      ];
    });
}

/** With interception NONE a gateway keeps to its own address, so that several run on one machine. */
function bindAddress(view: NodeView, own: OwnServer): string {
  if (own.server.bind !== "") return own.server.bind;
  return view.proxy.interception === "NONE" ? (view.proxy.addresses[0] ?? "0.0.0.0") : "0.0.0.0";
}

/** Envoy refuses two chains with one match: the older Gateway's stays. */
function dropRepeated(chains: readonly Json[]): readonly Json[] {
  const seen = new Set<string>();
  return chains.filter((chain) => {
    const match = JSON.stringify(chain["filter_chain_match"]);
    if (seen.has(match)) return false;
    seen.add(match);
    return true;
  });
}
