// Outbound listeners of a sidecar: HTTP ports share one listener a port number, everything else has one an address.
// With interception NONE nothing is redirected, so each listener binds the service address it stands for.
import { isIP } from "node:net";
import { KeptMap } from "../../../kept-list.ts";
import { additionalAddresses } from "../address-family.ts";
import { type Json, socketAddress } from "../envoy-json.ts";
import { listenerAccessLog } from "../chain/access-log.ts";
import { httpInspector, tlsInspector, transparency } from "../chain/listener-filters.ts";
import { blackHole, outboundHttp, tcpProxy } from "../chain/network-filters.ts";
import type { EgressListener } from "../istio/sidecar.ts";
import type { NodeView } from "../node-view.ts";
import { Kept } from "../object/kept.ts";
import { tcpProxyFields } from "../policy/hash-policy.ts";
import { serverNames } from "./domains.ts";
import { speaksFamily } from "../proxy.ts";
import { isHttp, isTls } from "../registry/protocol.ts";
import { clusterName, type MeshService, type ServicePort } from "../registry/service.ts";
import { prefixRange } from "../route/source-subnets.ts";
import { type ConnectionRouter, connectionRouter, type RoutedChain } from "../route/tcp-routes.ts";
import type { EgressScope } from "../scope/sidecar-scope.ts";
import { plaintextHttpAlpn } from "../tls/mesh-alpn.ts";

/** A listener and the route configuration it names, if any. */
export interface OutboundListener {
  readonly name: string;
  readonly json: Json;
  readonly routeName?: string;
}

// How long a TLS handshake of a chain may take, as istiod sets it.
const handshakeTimeout = { transport_socket_connect_timeout: "15s" } as const;

/** One listener being put together. */
interface Slot {
  /** The egress listener it was made for; others have no say in it. */
  readonly egress: EgressScope;
  readonly bind: string;
  /** Further addresses of the same listener. */
  readonly more: readonly string[];
  readonly port: number;
  readonly kind: "http" | "tcp" | "auto";
  /** Who share it; the first one decides what is spoken there. */
  readonly claims: Claim[];
}

/** A service on an address. */
interface Claim {
  /** Names the listener. */
  readonly name: string;
  readonly kind: Slot["kind"];
  readonly service: MeshService;
  readonly port: ServicePort;
  readonly target: BindTarget;
}

/** The filter chains of a listener being gathered. */
interface Chains {
  readonly routeName?: string;
  readonly chains: Json[];
  readonly matches: Set<string>;
  defaultChain?: Json;
  needsTlsInspector: boolean;
}

/** Every outbound listener of the node, virtualOutbound not included. */
export function buildOutboundListeners(view: NodeView): readonly OutboundListener[] {
  if (view.proxy.interception === "NONE" && view.outboundDisabled) return [];
  const slots = new Map<string, Slot>();
  const routers = new Map(view.scope.egress.map((egress) => [egress, egressRouter(view, egress)]));
  for (const egress of view.scope.egress) {
    const { listener, services } = egress;
    for (const claims of keptClaims.map(listener, services, [view.context], (service) => claimsOf(view, listener, service)))
      for (const each of claims) claim(slots, egress, each);
  }
  return [...slots.values()].map((slot) => keepSlot(view, slot, routers.get(slot.egress) ?? unrouted));
}

const isWildcard = (address: string): boolean => address === "0.0.0.0" || address === "::";

interface BindTarget {
  readonly bind: string;
  readonly more: readonly string[];
  /** Destinations the chain is limited to on a shared address. */
  readonly cidr?: string;
}

function bindTargets(view: NodeView, listener: EgressListener, service: MeshService, port: ServicePort): readonly BindTarget[] {
  const binds = view.proxy.interception === "NONE";
  const { wildcard: bind, extraWildcards, dual } = view.family;
  const wildcard: BindTarget = { bind, more: extraWildcards };
  if (listener.bind !== "") return [{ bind: listener.bind, more: [] }];
  if (bindsPort(view, listener) && !(binds && listener.port === undefined)) return [{ bind: loopbackOf(view), more: [] }];
  if (isHttp(port.protocol) && !binds) return [wildcard];
  if (service.headless && listener.port === undefined) return headlessTargets(view, service, port);
  const addresses = view.addressesOf(service).filter((address) => !binds || speaksFamily(view.proxy, address.split("/")[0] ?? ""));
  const [first, ...more] = addresses;
  // A service's addresses of both families are one listener; those a ServiceEntry lists are services of their own in Istio.
  if (dual && first !== undefined && (service.registry === "Kubernetes" || service.addresses.size === 0)) return [{ bind: first, more }];
  const targets = addresses.map((address): BindTarget =>
    address.includes("/") ? { ...wildcard, cidr: address } : { bind: address, more: [] },
  );
  const all = targets.length === 0 ? [wildcard] : targets;
  // A wildcard could not tell services apart without a redirected destination, and would take every address.
  return binds ? all.filter((target) => target.bind !== bind) : all;
}

/** True when nothing is redirected to a listener, so that it needs a port of its own. */
function bindsPort(view: NodeView, listener: EgressListener): boolean {
  return view.proxy.interception === "NONE" || listener.captureMode === "NONE";
}

const loopbackOf = (view: NodeView): string => (speaksFamily(view.proxy, "127.0.0.1") ? "127.0.0.1" : "::1");

function headlessTargets(view: NodeView, service: MeshService, port: ServicePort): readonly BindTarget[] {
  const [self] = view.proxy.addresses;
  const addresses = service.endpoints
    .filter((endpoint) => endpoint.portName === port.name && isIP(endpoint.address) !== 0 && endpoint.address !== self)
    .filter((endpoint) => endpoint.port === port.port || view.proxy.interception !== "NONE")
    .map((endpoint) => endpoint.address);
  return [...new Set(addresses)]
    .filter((address) => view.proxy.interception !== "NONE" || speaksFamily(view.proxy, address))
    .map((bind) => ({ bind, more: [] }));
}

const keptClaims = new KeptMap<MeshService, readonly Claim[]>();

/** The addresses that a service asks for at one egress listener. */
function claimsOf(view: NodeView, listener: EgressListener, service: MeshService): readonly Claim[] {
  return service.ports.flatMap((servicePort) => {
    // A listener with a port says itself what is spoken there.
    const spoken = listener.port?.protocol;
    const port = spoken === undefined ? servicePort : { ...servicePort, protocol: spoken };
    if (port.protocol === "UDP") return [];
    const kind = isHttp(port.protocol) ? "http" : port.protocol === "AUTO" ? "auto" : "tcp";
    return bindTargets(view, listener, service, port).map((target) => ({
      name: `${target.bind}_${port.port}`,
      kind,
      service,
      port,
      target,
    }));
  });
}

function claim(slots: Map<string, Slot>, egress: EgressScope, own: Claim): void {
  const { name, kind, port, target } = own;
  const existing = slots.get(name);
  if (existing === undefined) slots.set(name, { egress, bind: target.bind, more: target.more, port: port.port, kind, claims: [own] });
  // The first service to claim an address decides what is spoken there; Istio drops later ones in the same way.
  else if (kind === "tcp" && existing.egress === egress && existing.kind === kind) existing.claims.push(own);
}

/** How connections are routed at one egress listener. */
interface EgressRouter {
  readonly route: ConnectionRouter;
  /** False: no VirtualService of it has a say in connections. */
  readonly routes: boolean;
}

const unrouted: EgressRouter = { route: () => ({ chains: [], final: false }), routes: false };

function egressRouter(view: NodeView, { virtualServices }: EgressScope): EgressRouter {
  const routes = virtualServices.some(({ spec }) => spec.tcp.length + spec.tls.length > 0);
  return { route: connectionRouter(view, virtualServices), routes };
}

const keptSlots = new Kept<ServicePort, OutboundListener>();

/** The listener of before while it is of the same services; where VirtualServices lead to others, those have a say as well. */
function keepSlot(view: NodeView, slot: Slot, { route, routes }: EgressRouter): OutboundListener {
  const [first] = slot.claims;
  if (first === undefined || routes) return encodeSlot(view, slot, route);
  const { egress, bind, more, claims } = slot;
  const claimants = claims.flatMap(({ service, port, target }) => [service.definition, port, target.cidr, view.ruleOf(service)]);
  const ingredients = [view.context, ...view.plugins, view.scope.unclaimedCluster, egress.listener, bind, ...more, ...claimants];
  return keptSlots.get(first.port, ingredients, () => encodeSlot(view, slot, route));
}

function gatherChains(view: NodeView, slot: Slot, route: ConnectionRouter): Chains {
  const { bind, more, kind } = slot;
  const [first] = slot.claims;
  if (first === undefined) return { chains: [], matches: new Set(), needsTlsInspector: false };
  const { service, port, target } = first;
  if (kind === "http") return httpChains(view, { bind, more }, port.port);
  const gathered: Chains = { chains: [], matches: new Set(), needsTlsInspector: false };
  if (kind === "auto") {
    const { chains, rest } = connectionChains(view, service, port, target, route);
    const routeName = isWildcard(bind) ? String(port.port) : `${service.hostname}:${port.port}`;
    for (const chain of chains) {
      const match = chainMatch(view, service, port, target, chain);
      addChain(gathered, chain, match);
      // Beside the chain for HTTP, plain connections that are none have to find it there: Envoy does not come back to the others.
      if (chain.sourceSubnet !== undefined && match?.["prefix_ranges"] === undefined)
        addChain(gathered, chain, { ...match, transport_protocol: "raw_buffer" });
    }
    const own = { json: rest ?? {}, serverNames: [], subnets: [] };
    const ranges = chainMatch(view, service, port, target, own);
    if (ranges === undefined) gathered.defaultChain = { ...rest, ...handshakeTimeout };
    else addChain(gathered, own, ranges);
    gathered.chains.push(...httpChains(view, { bind, more }, port.port, routeName, true).chains);
    return { ...gathered, routeName };
  }
  for (const each of slot.claims) {
    const { chains, rest } = connectionChains(view, each.service, each.port, each.target, route);
    for (const chain of [...chains, ...(rest === undefined ? [] : [{ json: rest, serverNames: [], subnets: [] }])])
      addChain(gathered, chain, chainMatch(view, each.service, each.port, each.target, chain));
  }
  return gathered;
}

/** The chains for parts of a port's connections, and the one for the rest of them, unless TLS routes leave none. */
function connectionChains(
  view: NodeView,
  service: MeshService,
  port: ServicePort,
  { cidr }: BindTarget,
  route: ConnectionRouter,
): { readonly chains: readonly RoutedChain[]; readonly rest: Json | undefined } {
  const { chains, final } = route(service, port, cidr);
  const last = chains.at(-1);
  if (final && last !== undefined && !isTls(port.protocol)) return { chains: withRest(chains.slice(0, -1), last.json), rest: last.json };
  if (final) return { chains, rest: undefined };
  const cluster = clusterName("outbound", undefined, service.hostname, port.port);
  const rest = { filters: [tcpProxy(view.mesh.config, cluster, tcpProxyFields(view.ruleOf(service)))] };
  return { chains: withRest(chains, rest), rest };
}

const withRest = (chains: readonly RoutedChain[], rest: Json | undefined): readonly RoutedChain[] =>
  chains.map((chain) => (chain.json === undefined ? { ...chain, json: rest } : chain));

function addChain(slot: Chains, { json }: RoutedChain, match: Json | undefined): void {
  const key = JSON.stringify(match ?? null);
  if (slot.matches.has(key)) return;
  slot.matches.add(key);
  slot.needsTlsInspector ||= match?.["server_names"] !== undefined;
  slot.chains.push({ ...(match === undefined ? {} : { filter_chain_match: match }), ...json, ...handshakeTimeout });
}

/** On an address of its own a service needs no match; on a shared one TLS is told apart by SNI, the rest by destination. */
function chainMatch(view: NodeView, service: MeshService, port: ServicePort, target: BindTarget, chain: RoutedChain): Json | undefined {
  const shared = isWildcard(target.bind);
  const cidrs = chain.subnets.length > 0 ? chain.subnets.toSorted() : shared && target.cidr !== undefined ? [target.cidr] : [];
  const ownNames = shared && isTls(port.protocol) ? serverNames(service, view.proxy.domainNamespace) : [];
  const names = chain.serverNames.length > 0 ? chain.serverNames.toSorted() : ownNames;
  const match = {
    ...(cidrs.length === 0 ? {} : { prefix_ranges: cidrs.map(prefixRange) }),
    ...(names.length === 0 ? {} : { server_names: names }),
    ...(chain.sourceSubnet === undefined ? {} : { source_prefix_ranges: [prefixRange(chain.sourceSubnet)] }),
  };
  return Object.keys(match).length === 0 ? undefined : match;
}

function httpChains(view: NodeView, { bind }: BindTarget, port: number, routeName = String(port), sniffed = isWildcard(bind)): Chains {
  const filters = [outboundHttp(view, port, `outbound_${bind}_${port};`, routeName)];
  const match = sniffed ? { filter_chain_match: { transport_protocol: "raw_buffer", application_protocols: plaintextHttpAlpn } } : {};
  return { routeName, chains: [{ ...match, filters, ...handshakeTimeout }], matches: new Set(), needsTlsInspector: false };
}

function encodeSlot(view: NodeView, slot: Slot, route: ConnectionRouter): OutboundListener {
  const { config } = view.mesh;
  const gathered = gatherChains(view, slot, route);
  const name = `${slot.bind}_${slot.port}`;
  const shared = isWildcard(slot.bind);
  const sniffsHttp = slot.kind === "auto" || (slot.kind === "http" && shared);
  const listenerFilters = [...(gathered.needsTlsInspector ? [tlsInspector] : []), ...(sniffsHttp ? [httpInspector] : [])];
  const { chains, defaultChain } = splitChains(view, gathered);
  const json: Json = {
    name,
    address: socketAddress(slot.bind, slot.port),
    ...additionalAddresses(slot.more, slot.port),
    filter_chains: chains,
    ...(defaultChain === undefined ? {} : { default_filter_chain: defaultChain }),
    ...(listenerFilters.length === 0 ? {} : { listener_filters: listenerFilters }),
    listener_filters_timeout: config.protocolDetectionTimeout,
    continue_on_listener_filters_timeout: true,
    traffic_direction: "OUTBOUND",
    ...(bindsPort(view, slot.egress.listener)
      ? { ...listenerAccessLog(config), max_connections_to_accept_per_socket_event: 1 }
      : { bind_to_port: false }),
  };
  return { name, json, ...(gathered.routeName === undefined ? {} : { routeName: gathered.routeName }) };
}

/** Among several chains the one without a match is the default; without any such the rest is no service's own. */
function splitChains(view: NodeView, { chains, defaultChain }: Chains): { readonly chains: readonly Json[]; readonly defaultChain?: Json } {
  if (defaultChain !== undefined) return { chains, defaultChain };
  const takesRest = chains.find((chain) => chain["filter_chain_match"] === undefined);
  if (takesRest === undefined) return { chains, defaultChain: unclaimedChain(view) };
  return chains.length === 1 ? { chains } : { chains: chains.filter((chain) => chain !== takesRest), defaultChain: takesRest };
}

function unclaimedChain(view: NodeView): Json {
  return { filter_chain_match: {}, filters: [tcpProxy(view.mesh.config, view.scope.unclaimedCluster)], name: "PassthroughFilterChain" };
}

/** The listener on 15001 that all redirected traffic reaches first; it hands over by original destination. */
export function buildVirtualOutbound(view: NodeView): Json {
  const { config } = view.mesh;
  return {
    name: "virtualOutbound",
    address: socketAddress(view.family.wildcard, outboundPort),
    ...additionalAddresses(view.family.dual ? view.family.extraWildcards : [], outboundPort),
    filter_chains: [
      { filter_chain_match: { destination_port: outboundPort }, filters: [blackHole], name: "virtualOutbound-blackhole" },
      { filters: [tcpProxy(config, view.scope.unclaimedCluster)], name: "virtualOutbound-catchall-tcp" },
    ],
    use_original_dst: true,
    ...transparency(view),
    traffic_direction: "OUTBOUND",
    ...listenerAccessLog(config),
    max_connections_to_accept_per_socket_event: 1,
  };
}

// Istio's port for redirected outbound traffic.
const outboundPort = 15_001;
