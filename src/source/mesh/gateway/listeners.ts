// Listeners of a gateway proxy: the servers of every Gateway that selects it, joined by port.
import { type Json, socketAddress } from "../envoy-json.ts";
import { listenerAccessLog } from "../chain/access-log.ts";
import { tlsInspector } from "../chain/listener-filters.ts";
import { gatewayHttp } from "../chain/network-filters.ts";
import type { NodeView, OwnServer } from "../node-view.ts";
import { autoPassthroughChains } from "./auto-passthrough.ts";
import { httpRouteName } from "./http-routes.ts";
import { passthroughChains } from "./passthrough.ts";
import { type GatewayPort, gatewayPorts } from "./ports.ts";

/** Every listener of the node; a port whose servers lead nowhere has none, as Envoy refuses a listener without chains. */
export function buildGatewayListeners(view: NodeView): readonly Json[] {
  return gatewayPorts(view).flatMap((port) => {
    const name = `${port.bind}_${port.number}`;
    const chains = port.kind === "http" ? [httpChain(view, port, name)] : tlsChains(view, port.servers);
    if (chains.length === 0) return [];
    return [
      {
        name,
        address: socketAddress(port.bind, port.number),
        filter_chains: dropRepeated(chains),
        ...(port.kind === "http" ? {} : { listener_filters: [tlsInspector] }),
        traffic_direction: "OUTBOUND",
        ...listenerAccessLog(view.mesh.config),
        max_connections_to_accept_per_socket_event: 1,
      },
    ];
  });
}

function tlsChains(view: NodeView, servers: readonly OwnServer[]): readonly Json[] {
  return servers.flatMap((own) =>
    own.server.tlsMode === "AUTO_PASSTHROUGH" ? autoPassthroughChains(view, own) : passthroughChains(view, own),
  );
}

function httpChain(view: NodeView, port: GatewayPort, listener: string): Json {
  return {
    filters: [gatewayHttp(view.mesh.config, `outbound_${listener};`, httpRouteName(port))],
    transport_socket_connect_timeout: "15s",
  };
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
