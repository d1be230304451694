// Inbound listeners of a sidecar: virtualInbound takes all redirected traffic on 15006; with interception NONE each own
// port has a listener of its own on the pod's address instead.
import { type Json, socketAddress } from "../envoy-json.ts";
import { listenerAccessLog } from "../chain/access-log.ts";
import { httpInspector, originalDst, skippingPorts, tlsInspector } from "../chain/listener-filters.ts";
import { blackHole } from "../chain/network-filters.ts";
import { sidecarMetadata } from "../route/config-metadata.ts";
import type { NodeView, OwnPort } from "../node-view.ts";
import { isGrpc } from "../registry/protocol.ts";
import { buildInboundChains, type ChainTarget, inboundRoutes, trafficOf } from "./chains.ts";

// Istio's port for redirected inbound traffic.
const inboundPort = 15_006;
const passthrough = "InboundPassthroughCluster";

/** The name of the cluster of an own port. */
export function inboundClusterName(targetPort: number): string {
  return `inbound|${targetPort}||`;
}

function ownPortTarget(own: OwnPort, match: Json, name: string): ChainTarget {
  const cluster = inboundClusterName(own.targetPort);
  return {
    cluster,
    traffic: trafficOf(own),
    statPrefix: `inbound_${own.ingress?.bind ?? "0.0.0.0"}_${own.targetPort};`,
    routeConfig: inboundRoutes(cluster, own.port.port, `${own.host}:${own.port.port}/*`, !isGrpc(own.port.protocol)),
    match,
    ...(own.ingress === undefined ? {} : { metadata: sidecarMetadata(own.ingress.sidecar, own.ingress.namespace) }),
    httpName: name,
    tcpName: name,
  };
}

/** The listener on 15006. */
export function buildVirtualInbound(view: NodeView): Json {
  const { config } = view.mesh;
  const redirected = view.ownPorts.filter((own) => own.ingress?.bindsPort !== true);
  const unclaimed: ChainTarget = {
    cluster: passthrough,
    traffic: "auto",
    statPrefix: `${passthrough};`,
    routeConfig: inboundRoutes(passthrough, 0, ":0/*"),
    match: {},
    httpName: "virtualInbound-catchall-http",
    tcpName: "virtualInbound",
  };
  // Where the protocol is known, waiting for the client's first bytes would only hurt protocols in which the server begins.
  const known = redirected.filter((own) => own.port.protocol !== "AUTO").map((own) => own.targetPort);
  const unsniffed = [...known, inboundPort].toSorted((a, b) => a - b);
  return {
    name: "virtualInbound",
    address: socketAddress("0.0.0.0", inboundPort),
    filter_chains: [
      { filter_chain_match: { destination_port: inboundPort }, filters: [blackHole], name: "virtualInbound-blackhole" },
      ...buildInboundChains(config, unclaimed),
      ...redirected.flatMap((own) => buildInboundChains(config, ownPortTarget(own, { destination_port: own.targetPort }, chainName(own)))),
    ],
    listener_filters: [originalDst, skippingPorts(tlsInspector, [inboundPort]), skippingPorts(httpInspector, unsniffed)],
    listener_filters_timeout: config.protocolDetectionTimeout,
    continue_on_listener_filters_timeout: true,
    traffic_direction: "INBOUND",
    ...listenerAccessLog(config),
    max_connections_to_accept_per_socket_event: 1,
  };
}

const chainName = (own: OwnPort): string => `${own.ingress?.bind ?? "0.0.0.0"}_${own.targetPort}`;

/** A listener for each port that a Sidecar binds. */
export function buildIngressListeners(view: NodeView): readonly Json[] {
  const { config } = view.mesh;
  return view.ownPorts.flatMap((own): readonly Json[] => {
    if (own.ingress?.bindsPort !== true) return [];
    const name = chainName(own);
    const match = { destination_port: own.targetPort };
    const elsewhere = { not_match: { destination_port_range: { start: own.targetPort, end: own.targetPort + 1 } } };
    return [
      {
        name,
        address: socketAddress(own.ingress.bind, own.targetPort),
        filter_chains: buildInboundChains(config, ownPortTarget(own, match, name)),
        listener_filters: [{ ...tlsInspector, filter_disabled: elsewhere }],
        listener_filters_timeout: config.protocolDetectionTimeout,
        continue_on_listener_filters_timeout: true,
        traffic_direction: "INBOUND",
        ...listenerAccessLog(config),
        max_connections_to_accept_per_socket_event: 1,
      },
    ];
  });
}

/** A listener on each of the pod's own ports that a Sidecar does not open, for interception NONE. */
export function buildBoundInbound(view: NodeView): readonly Json[] {
  const { config } = view.mesh;
  const ports = view.ownPorts.filter((own) => own.ingress === undefined);
  return view.proxy.addresses.slice(0, 1).flatMap((address) =>
    ports.map((own): Json => {
      const name = `${address}_${own.targetPort}`;
      return {
        name,
        address: socketAddress(address, own.targetPort),
        filter_chains: buildInboundChains(config, ownPortTarget(own, {}, name)),
        listener_filters: own.port.protocol === "AUTO" ? [tlsInspector, httpInspector] : [tlsInspector],
        listener_filters_timeout: config.protocolDetectionTimeout,
        continue_on_listener_filters_timeout: true,
        traffic_direction: "INBOUND",
        ...listenerAccessLog(config),
        max_connections_to_accept_per_socket_event: 1,
      };
    }),
  );
}
