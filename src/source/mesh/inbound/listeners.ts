// Inbound listeners of a sidecar: virtualInbound takes all redirected traffic on 15006; with interception NONE each own
// port has a listener of its own on the pod's address instead.
import { additionalAddresses } from "../address-family.ts";
import { type Json, socketAddress } from "../envoy-json.ts";
import { listenerAccessLog } from "../chain/access-log.ts";
import { inspectorsFor, originalDst, originalSrc, transparency } from "../chain/listener-filters.ts";
import { blackHole } from "../chain/network-filters.ts";
import type { MutualTlsMode } from "../istio/peer-authentication.ts";
import { modeAtPort } from "../istio/peer-authentications.ts";
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

function ownPortTarget(view: NodeView, own: OwnPort, match: Json, name: string): ChainTarget {
  const cluster = inboundClusterName(own.targetPort);
  return {
    cluster,
    traffic: trafficOf(own),
    mode: modeAtPort(view.ownMutualTls, own.targetPort),
    statPrefix: `inbound_${own.ingress?.bind ?? view.family.wildcard}_${own.targetPort};`,
    routeConfig: inboundRoutes(cluster, own.port.port, `${own.host}:${own.port.port}/*`, !isGrpc(own.port.protocol)),
    match,
    port: own.targetPort,
    ...(own.ingress === undefined ? {} : { metadata: sidecarMetadata(own.ingress.sidecar, own.ingress.namespace) }),
    httpName: name,
    tcpName: name,
  };
}

/** Connections to a port that no service leads to; a port with a mode of its own has a set of chains of its own. */
function unclaimedTarget(mode: MutualTlsMode, port?: number): ChainTarget {
  return {
    cluster: passthrough,
    traffic: "auto",
    mode,
    statPrefix: `${passthrough};`,
    routeConfig: inboundRoutes(passthrough, 0, ":0/*"),
    port,
    match: port === undefined ? {} : { destination_port: port },
    httpName: "virtualInbound-catchall-http",
    tcpName: "virtualInbound",
  };
}

function unclaimedTargets({ ownMutualTls, ownPorts }: NodeView): readonly ChainTarget[] {
  const claimed = new Set(ownPorts.map((own) => own.targetPort));
  const ports = [...ownMutualTls.ports].filter(([port]) => !claimed.has(port)).toSorted(([a], [b]) => a - b);
  return [unclaimedTarget(ownMutualTls.mode), ...ports.map(([port, mode]) => unclaimedTarget(mode, port))];
}

/** The listener on 15006. */
export function buildVirtualInbound(view: NodeView): Json {
  const redirected = view.ownPorts.filter((own) => own.ingress?.bindsPort !== true);
  const targets = [
    ...unclaimedTargets(view),
    ...redirected.map((own) => ownPortTarget(view, own, { destination_port: own.targetPort }, chainName(view, own))),
  ];
  const chains: readonly Json[] = [
    { filter_chain_match: { destination_port: inboundPort }, filters: [blackHole], name: "virtualInbound-blackhole" },
    ...targets.flatMap((target) => buildInboundChains(view, target)),
  ];
  const inspectors = [originalDst, ...(view.proxy.interception === "TPROXY" ? [originalSrc] : []), ...inspectorsFor(chains)];
  return {
    ...inboundListener(view, "virtualInbound", socketAddress(view.family.wildcard, inboundPort), chains, inspectors),
    ...transparency(view),
    ...additionalAddresses(view.family.dual ? view.family.extraWildcards : [], inboundPort),
  };
}

const chainName = (view: NodeView, own: OwnPort): string => `${own.ingress?.bind ?? view.family.wildcard}_${own.targetPort}`;

/** A listener for each port that a Sidecar binds. */
export function buildIngressListeners(view: NodeView): readonly Json[] {
  return view.ownPorts.flatMap((own): readonly Json[] => {
    if (own.ingress?.bindsPort !== true) return [];
    const name = chainName(view, own);
    const target = ownPortTarget(view, own, { destination_port: own.targetPort }, name);
    return [boundListener(view, name, socketAddress(own.ingress.bind, own.targetPort), target)];
  });
}

/** A listener on each of the pod's own ports that a Sidecar does not open, for interception NONE. */
export function buildBoundInbound(view: NodeView): readonly Json[] {
  const ports = view.ownPorts.filter((own) => own.ingress === undefined);
  return view.proxy.addresses.slice(0, 1).flatMap((address) =>
    ports.map((own): Json => {
      const name = `${address}_${own.targetPort}`;
      return boundListener(view, name, socketAddress(address, own.targetPort), ownPortTarget(view, own, {}, name));
    }),
  );
}

function boundListener(view: NodeView, name: string, address: Json, target: ChainTarget): Json {
  const chains = buildInboundChains(view, target);
  return inboundListener(view, name, address, chains, inspectorsFor(chains));
}

function inboundListener(
  { mesh: { config } }: NodeView,
  name: string,
  address: Json,
  chains: readonly Json[],
  listenerFilters: readonly Json[],
): Json {
  return {
    name,
    address,
    filter_chains: chains,
    ...(listenerFilters.length === 0 ? {} : { listener_filters: listenerFilters }),
    listener_filters_timeout: config.protocolDetectionTimeout,
    continue_on_listener_filters_timeout: true,
    traffic_direction: "INBOUND",
    ...listenerAccessLog(config),
    max_connections_to_accept_per_socket_event: 1,
  };
}
