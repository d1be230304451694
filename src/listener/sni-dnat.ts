// Tells why a listener whose chains are chosen by names of the form `outbound_.PORT_.SUBSET_.HOST` (an east-west gateway's)
// refused a connection. Asked after the refusal only: it never takes part in choosing a chain.
import type { FilterChain, Listener } from "../envoy/listener/listener.ts";
import type { SniRefusal } from "../filter/sni-refusal.ts";
import type { ConnectionInfo } from "../telemetry/stream-info.ts";
import { inspectClientHello, malformedServerName } from "../wire/client-hello.ts";
import { parseSniName } from "../wire/sni-name.ts";

/** The names a listener passes through, compiled to explain what it refuses. */
export interface SniDnat {
  /** Why no chain took the connection; undefined when it is nothing that can be said about names. */
  whyNoChain(info: ConnectionInfo, read: Buffer | undefined): SniRefusal | undefined;
}

/** True for a chain that only names of this form reach. */
export function isSniDnatChain({ match }: FilterChain): boolean {
  return match.serverNames.length > 0 && match.serverNames.every((name) => parseSniName(name) !== undefined);
}

const tlsInspector = "envoy.filters.listener.tls_inspector";

/** Compiles a listener's names; undefined when it has no chain of this kind. */
export function compileSniDnat(model: Listener): SniDnat | undefined {
  const chains = model.filterChains.filter(isSniDnatChain);
  if (chains.length === 0) return undefined;
  const portsOf = new Map<string, Set<number>>();
  const protocolsOf = new Map<string, (readonly string[])[]>();
  for (const { match } of chains) {
    for (const serverName of match.serverNames) {
      const { host, port } = parseSniName(serverName)!;
      getOrAdd(portsOf, host, () => new Set()).add(port);
      getOrAdd(protocolsOf, serverName, () => []).push(match.applicationProtocols);
    }
  }
  // Beside chains of other kinds a name of another form may have been meant for one of those.
  const alone = chains.length === model.filterChains.length;
  const inspects = model.listenerFilters.some(({ extension }) => extension === tlsInspector);
  return {
    whyNoChain(info, read) {
      // Without the inspector no name is ever read, and no client is to blame.
      if (!inspects) return undefined;
      if (info.transportProtocol !== "tls") return whyNoHello(read);
      const { serverName } = info;
      if (serverName === "") return "no_sni";
      const protocols = protocolsOf.get(serverName);
      if (protocols) return protocols.some((offered) => takes(offered, info)) ? undefined : "no_mesh_alpn";
      const name = parseSniName(serverName);
      if (!name) return alone || serverName.startsWith("outbound") ? "malformed_sni" : undefined;
      const ports = portsOf.get(name.host);
      if (!ports) return "host_not_exported";
      return ports.has(name.port) ? "unknown_subset" : "unknown_port";
    },
  };
}

// Bytes in which the inspector found no hello.
function whyNoHello(read: Buffer | undefined): SniRefusal | undefined {
  if (read === undefined) return "hello_timeout";
  const found = inspectClientHello(read);
  switch (found.kind) {
    case "not-tls":
      return "not_tls";
    case "invalid":
      return found.reason === malformedServerName ? "malformed_sni" : "not_tls";
    case "incomplete":
      return "hello_timeout";
    case "hello":
      return undefined;
    default:
      return found satisfies never;
  }
}

function takes(protocols: readonly string[], info: ConnectionInfo): boolean {
  return protocols.length === 0 || protocols.some((protocol) => info.applicationProtocols.includes(protocol));
}

function getOrAdd<V>(map: Map<string, V>, key: string, make: () => V): V {
  const found = map.get(key);
  if (found !== undefined) return found;
  const made = make();
  map.set(key, made);
  return made;
}
