// Outbound listeners of a sidecar: HTTP ports share one listener a port number, everything else has one an address.
// With interception NONE nothing is redirected, so each listener binds the service address it stands for.
import { isIP } from "node:net";
import { additionalAddresses } from "../address-family.ts";
import { type Json, socketAddress } from "../envoy-json.ts";
import { listenerAccessLog } from "../chain/access-log.ts";
import { httpInspector, tlsInspector } from "../chain/listener-filters.ts";
import { blackHole, outboundHttp, tcpProxy } from "../chain/network-filters.ts";
import type { EgressListener } from "../istio/sidecar.ts";
import type { NodeView } from "../node-view.ts";
import { tcpProxyFields } from "../policy/hash-policy.ts";
import { serverNames } from "./domains.ts";
import { speaksFamily } from "../proxy.ts";
import { isHttp, isTls } from "../registry/protocol.ts";
import { clusterName, type MeshService, type ServicePort } from "../registry/service.ts";
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
  for (const egress of view.scope.egress) {
    const place = { view, slots, egress, route: connectionRouter(view, egress.virtualServices) };
    for (const service of egress.services) {
      for (const servicePort of service.ports) {
        // A listener with a port says itself what is spoken there.
        const port = { ...servicePort, protocol: egress.listener.port?.protocol ?? servicePort.protocol };
        if (port.protocol === "UDP") continue;
        for (const target of bindTargets(view, egress.listener, service, port)) claim(place, service, port, target);
      }
    }
  }
  return [...slots.values()].map((slot) => encodeSlot(view, slot));
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

/** Where services of one egress listener claim addresses. */
interface ClaimPlace {
  readonly view: NodeView;
  readonly slots: Map<string, Slot>;
  readonly egress: EgressScope;
  readonly route: ConnectionRouter;
}

function claim({ view, slots, egress, route }: ClaimPlace, service: MeshService, port: ServicePort, target: BindTarget): void {
  const key = `${target.bind}_${port.port}`;
  const kind = isHttp(port.protocol) ? "http" : port.protocol === "AUTO" ? "auto" : "tcp";
  const existing = slots.get(key);
  // The first service to claim an address decides what is spoken there; Istio drops later ones in the same way.
  if (existing !== undefined && (existing.egress !== egress || existing.kind !== kind || kind === "auto")) return;
  if (kind === "http") {
    if (existing === undefined) slots.set(key, httpSlot(view, egress, target, port.port));
    return;
  }
  const { chains, rest } = connectionChains(view, service, port, route);
  if (kind === "auto") {
    const routeName = isWildcard(target.bind) ? String(port.port) : `${service.hostname}:${port.port}`;
    const http = httpSlot(view, egress, target, port.port, routeName, true);
    const auto: Slot = { ...http, kind, chains: [] };
    for (const chain of chains) addChain(auto, chain, chainMatch(view, service, port, target, chain));
    const own = { json: rest ?? {}, serverNames: [], subnets: [] };
    const ranges = chainMatch(view, service, port, target, own);
    if (ranges === undefined) auto.defaultChain = { ...rest, ...handshakeTimeout };
    else addChain(auto, own, ranges);
    auto.chains.push(...http.chains);
    slots.set(key, auto);
    return;
  }
  const slot = existing ?? {
    egress,
    bind: target.bind,
    more: target.more,
    port: port.port,
    kind,
    chains: [],
    matches: new Set<string>(),
    needsTlsInspector: false,
  };
  if (existing === undefined) slots.set(key, slot);
  for (const chain of [...chains, ...(rest === undefined ? [] : [{ json: rest, serverNames: [], subnets: [] }])])
    addChain(slot, chain, chainMatch(view, service, port, target, chain));
}

/** The chains for parts of a port's connections, and the one for the rest of them, unless TLS routes leave none. */
function connectionChains(
  view: NodeView,
  service: MeshService,
  port: ServicePort,
  route: ConnectionRouter,
): { readonly chains: readonly RoutedChain[]; readonly rest: Json | undefined } {
  const { chains, final } = route(service, port);
  const last = chains.at(-1);
  if (final && last !== undefined && !isTls(port.protocol)) return { chains: chains.slice(0, -1), rest: last.json };
  if (final) return { chains, rest: undefined };
  const cluster = clusterName("outbound", undefined, service.hostname, port.port);
  return { chains, rest: { filters: [tcpProxy(view.mesh.config, cluster, tcpProxyFields(view.ruleOf(service)))] } };
}

function addChain(slot: Slot, { json }: RoutedChain, match: Json | undefined): void {
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
  };
  return Object.keys(match).length === 0 ? undefined : match;
}

function prefixRange(cidr: string): Json {
  const [prefix = "", length] = cidr.split("/");
  return { address_prefix: prefix, prefix_len: length === undefined ? (isIP(prefix) === 6 ? 128 : 32) : Number(length) };
}

function httpSlot(
  view: NodeView,
  egress: EgressScope,
  { bind, more }: BindTarget,
  port: number,
  routeName = String(port),
  sniffed = isWildcard(bind),
): Slot {
  const filters = [outboundHttp(view.mesh.config, `outbound_${bind}_${port};`, routeName)];
  const match = sniffed ? { filter_chain_match: { transport_protocol: "raw_buffer", application_protocols: plaintextHttpAlpn } } : {};
  return {
    egress,
    bind,
    more,
    port,
    kind: "http",
    routeName,
    chains: [{ ...match, filters, ...handshakeTimeout }],
    matches: new Set(),
    needsTlsInspector: false,
  };
}

function encodeSlot(view: NodeView, slot: Slot): OutboundListener {
  const { config } = view.mesh;
  const name = `${slot.bind}_${slot.port}`;
  const shared = isWildcard(slot.bind);
  const sniffsHttp = slot.kind === "auto" || (slot.kind === "http" && shared);
  const listenerFilters = [...(slot.needsTlsInspector ? [tlsInspector] : []), ...(sniffsHttp ? [httpInspector] : [])];
  const { chains, defaultChain } = splitChains(view, slot);
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
  return { name, json, ...(slot.routeName === undefined ? {} : { routeName: slot.routeName }) };
}

/** Among several chains the one without a match is the default; without any such the rest is no service's own. */
function splitChains(view: NodeView, { chains, defaultChain }: Slot): { readonly chains: readonly Json[]; readonly defaultChain?: Json } {
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
    traffic_direction: "OUTBOUND",
    ...listenerAccessLog(config),
    max_connections_to_accept_per_socket_event: 1,
  };
}

// Istio's port for redirected outbound traffic.
const outboundPort = 15_001;
