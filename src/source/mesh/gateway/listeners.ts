// Listeners of a gateway proxy: the servers of every Gateway that selects it, joined by port.
import { additionalAddresses } from "../address-family.ts";
import { type Json, socketAddress } from "../envoy-json.ts";
import { listenerAccessLog } from "../chain/access-log.ts";
import { proxyProtocol, tlsInspector } from "../chain/listener-filters.ts";
import { gatewayHttp } from "../chain/network-filters.ts";
import { servesHttp } from "../istio/gateway.ts";
import { terminatesTls } from "../istio/server-tls.ts";
import type { NodeView } from "../node-view.ts";
import { serviceLookup } from "../route/forward.ts";
import { gatewayTlsSocket } from "../tls/gateway.ts";
import { autoPassthroughChains } from "./auto-passthrough.ts";
import { httpRouteName, httpsRouteName } from "./http-routes.ts";
import type { OwnServer } from "./merge-servers.ts";
import { passthroughChains } from "./passthrough.ts";
import { type GatewayPort, gatewayPorts } from "./ports.ts";
import { gatewayTcpRoutes } from "./tcp-routes.ts";

/** Every listener of the node; a port whose servers lead nowhere has none, as Envoy refuses a listener without chains. */
export function buildGatewayListeners(view: NodeView): readonly Json[] {
  return gatewayPorts(view).flatMap((port) => {
    const name = `${port.bind}_${port.number}`;
    const chains = port.kind === "http" ? [httpChain(view, port, name, httpRouteName(port))] : eachChain(view, port, name);
    if (chains.length === 0) return [];
    const { proxyProtocol: announced } = view.proxy.gatewayTopology ?? view.mesh.config.gatewayTopology;
    const filters = [...(announced ? [proxyProtocol] : []), ...(chains.some(looksInside) ? [tlsInspector] : [])];
    return [
      {
        name,
        address: socketAddress(port.bind, port.number),
        ...additionalAddresses(view.family.dual && port.bind === view.family.wildcard ? view.family.extraWildcards : [], port.number),
        filter_chains: dropRepeated(chains),
        ...(filters.length === 0 ? {} : { listener_filters: filters }),
        traffic_direction: "OUTBOUND",
        ...listenerAccessLog(view.mesh.config),
        max_connections_to_accept_per_socket_event: 1,
      },
    ];
  });
}

/** The chains of TLS and TCP servers, those of one protocol together, as istiod orders them. */
function eachChain(view: NodeView, port: GatewayPort, listener: string): readonly Json[] {
  const protocols = new Set(port.servers.map(({ server }) => server.port.protocol));
  const serviceOf = serviceLookup(view);
  const taken = new Set<string>();
  return [...protocols].flatMap((protocol) =>
    port.servers.flatMap((own) => {
      const { server } = own;
      if (server.port.protocol !== protocol) return [];
      if (server.tlsMode === "AUTO_PASSTHROUGH") return autoPassthroughChains(view, own);
      if (server.tlsMode === "PASSTHROUGH") return passthroughChains(view, own, serviceOf, taken);
      if (servesHttp(server)) return [terminating(view, own, httpChain(view, port, listener, httpsRouteName(own)), "http")];
      return gatewayTcpRoutes(view, own, serviceOf).map(({ filter, match }) =>
        terminating(view, own, { filters: [...view.security.tcp, filter], ...handshakeTimeout }, "tcp", match),
      );
    }),
  );
}

const handshakeTimeout = { transport_socket_connect_timeout: "15s" } as const;

function httpChain(view: NodeView, { number }: GatewayPort, listener: string, routeName: string): Json {
  return { filters: [gatewayHttp(view, number, `outbound_${listener};`, routeName)], ...handshakeTimeout };
}

/** The same chain behind TLS, chosen by SNI, where the server has any. */
function terminating(view: NodeView, { server }: OwnServer, chain: Json, traffic: "http" | "tcp", callers: Json = {}): Json {
  if (!terminatesTls(server.tls)) return { ...matching(callers), ...chain };
  const names = [...new Set(server.hosts.map(({ host }) => host))].toSorted();
  const match = names.includes("*") ? callers : { server_names: names, ...callers };
  return { ...matching(match), ...chain, transport_socket: gatewayTlsSocket(view.mesh.config, server.tls, traffic) };
}

const matching = (match: Json): Json => (Object.keys(match).length === 0 ? {} : { filter_chain_match: match });

/** Whether the first bytes decide: what is chosen by the caller alone needs none, and a server may be the first to speak. */
function looksInside({ filter_chain_match: match, transport_socket: socket }: Json): boolean {
  return socket !== undefined || Object.keys((match as Json | undefined) ?? {}).some((criterion) => criterion !== "source_prefix_ranges");
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
