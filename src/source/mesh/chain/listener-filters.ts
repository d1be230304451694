// Listener filters: what is learnt about a connection before a filter chain is chosen.
import { extension, type Json } from "../envoy-json.ts";
import { plaintextHttpAlpn } from "../tls/mesh-alpn.ts";

/** Finds out where a redirected connection was going. */
export const originalDst: Json = extension(
  "envoy.filters.listener.original_dst",
  "envoy.extensions.filters.listener.original_dst.v3.OriginalDst",
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
  const ports = [...new Set(matches.flatMap((match) => match.destination_port ?? []))].toSorted((a, b) => a - b);
  return [
    ...atPorts(
      tlsInspector,
      ports,
      portsOf(matches, (match) => match.transport_protocol === "tls"),
    ),
    ...atPorts(
      httpInspector,
      ports,
      portsOf(matches, ({ application_protocols: alpn = [] }) => alpn.some((each) => plaintextHttpAlpn.includes(each))),
    ),
  ];
}

/** What of a filter chain's match an inspector is needed for. */
interface ChainMatch {
  readonly destination_port?: number;
  readonly transport_protocol?: string;
  readonly application_protocols?: readonly string[];
}

/** Ports of the matches that need an inspector; undefined stands for those that name no port. */
function portsOf(matches: readonly ChainMatch[], needs: (match: ChainMatch) => boolean): ReadonlySet<number | undefined> {
  return new Set(matches.filter(needs).map((match) => match.destination_port));
}

function atPorts(filter: Json, ports: readonly number[], needed: ReadonlySet<number | undefined>): readonly Json[] {
  if (needed.has(undefined)) {
    const others = ports.filter((port) => !needed.has(port));
    return [others.length === 0 ? filter : { ...filter, filter_disabled: toPorts(others) }];
  }
  return needed.size === 0 ? [] : [{ ...filter, filter_disabled: { not_match: toPorts(ports.filter((port) => needed.has(port))) } }];
}

/** A predicate that holds for connections to any of these ports. */
function toPorts(ports: readonly number[]): Json {
  const rules = ports.map((port) => ({ destination_port_range: { start: port, end: port + 1 } }));
  const [only] = rules;
  return rules.length === 1 && only !== undefined ? only : { or_match: { rules } };
}
