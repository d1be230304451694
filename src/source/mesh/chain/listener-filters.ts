// Listener filters: what is learnt about a connection before a filter chain is chosen.
import { extension, type Json } from "../envoy-json.ts";
import type { NodeView } from "../node-view.ts";
import { plaintextHttpAlpn } from "../tls/mesh-alpn.ts";

/** Finds out where a redirected connection was going. */
export const originalDst: Json = extension(
  "envoy.filters.listener.original_dst",
  "envoy.extensions.filters.listener.original_dst.v3.OriginalDst",
);

/** Lets the application see its clients' addresses, marked for the packet rules of TPROXY (Istio's inbound mark). */
export const originalSrc: Json = extension(
  "envoy.filters.listener.original_src",
  "envoy.extensions.filters.listener.original_src.v3.OriginalSrc",
  { mark: 1337 },
);

/** What a listener that takes intercepted traffic says of its socket. */
export function transparency(view: NodeView): Json {
  return view.proxy.interception === "TPROXY" ? { transparent: true } : {};
}

/** Takes the client's address from a PROXY header, v1 or v2. */
export const proxyProtocol: Json = extension(
  "envoy.filters.listener.proxy_protocol",
  "envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol",
);

/** Reads the ClientHello. */
export const tlsInspector: Json = extension(
  "envoy.filters.listener.tls_inspector",
  "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector",
  {
    initial_read_buffer_size: 512,
  },
);

/** Tells plaintext HTTP from other bytes. */
export const httpInspector: Json = extension(
  "envoy.filters.listener.http_inspector",
  "envoy.extensions.filters.listener.http_inspector.v3.HttpInspector",
);

/**
 * The inspectors that the chains of a listener need, each kept away from the ports whose chains ask for nothing it finds: waiting
 * for the client's first bytes would only hurt protocols in which the server begins.
 */
export function inspectorsFor(chains: readonly Json[]): readonly Json[] {
  const matches = chains.map((chain) => (chain["filter_chain_match"] ?? {}) as ChainMatch);
  const ports = [...new Set(matches.map(portOf))].toSorted((a, b) => a - b);
  const speakTls = new Set(matches.filter((match) => match.transport_protocol === "tls").map(portOf));
  const speakHttp = new Set(matches.filter((match) => match.application_protocols?.some(isPlaintextHttp) === true).map(portOf));
  return [...findTls(ports, speakTls), ...findHttp(ports, speakHttp)];
}

/** What of a filter chain's match an inspector is needed for. */
interface ChainMatch {
  readonly destination_port?: number;
  readonly transport_protocol?: string;
  readonly application_protocols?: readonly string[];
}

// Stands for every port that no chain names.
const anyPort = 0;
const portOf = (match: ChainMatch): number => match.destination_port ?? anyPort;
const isPlaintextHttp = (protocol: string): boolean => plaintextHttpAlpn.includes(protocol);

function findTls(ports: readonly number[], needed: ReadonlySet<number>): readonly Json[] {
  if (needed.size === 0) return [];
  if (!needed.has(anyPort)) return [{ ...tlsInspector, filter_disabled: { not_match: toPorts(ports.filter((port) => needed.has(port))) } }];
  const others = ports.filter((port) => !needed.has(port));
  return [others.length === 0 ? tlsInspector : { ...tlsInspector, filter_disabled: toPorts(others) }];
}

/** As istiod writes it: ports that no chain names are inspected for HTTP wherever any port is. */
function findHttp(ports: readonly number[], needed: ReadonlySet<number>): readonly Json[] {
  if (needed.size === 0) return [];
  const others = ports.filter((port) => !needed.has(port));
  return [others.length === 0 ? httpInspector : { ...httpInspector, filter_disabled: toPorts(others) }];
}

/** A predicate that holds for connections to any of these ports. */
function toPorts(ports: readonly number[]): Json {
  const rules = ports.map((port) => ({ destination_port_range: { ...(port === 0 ? {} : { start: port }), end: port + 1 } }));
  const [only] = rules;
  return rules.length === 1 && only !== undefined ? only : { or_match: { rules } };
}
