// Which transport socket a host is dialled with: the cluster's own, or the first of transport_socket_matches whose keys its
// metadata has. Decided when a host is made, never per connection.
import { isDeepStrictEqual } from "node:util";
import type { Metadata } from "../envoy/address.ts";
import type { Cluster } from "../envoy/cluster/cluster.ts";
import type { UpstreamTlsContext, UpstreamTransportSocket } from "../envoy/tls/tls.ts";
import type { ClientTransport } from "../identity/transport.ts";

/** How to reach a host: plain when `tls` is undefined. The same object for every host with the same choice. */
export interface HostTransport<Tls = ClientTransport> {
  readonly tls: Tls | undefined;
}

/** The metadata namespace of an endpoint that matches look at. */
const matchNamespace = "envoy.transport_socket_match";

/** Compiles a cluster's transport sockets into a choice by endpoint metadata. */
export function compileTransportSockets<Tls = ClientTransport>(
  cluster: Pick<Cluster, "transportSocket" | "transportSocketMatches">,
  createClientTransport: (tls: UpstreamTlsContext) => Tls,
): (metadata: Metadata) => HostTransport<Tls> {
  const compile = (socket: UpstreamTransportSocket): HostTransport<Tls> => ({
    tls: socket.kind === "tls" ? createClientTransport(socket.tls) : undefined,
  });
  const fallback = compile(cluster.transportSocket);
  if (cluster.transportSocketMatches.length === 0) return () => fallback;
  const matches = cluster.transportSocketMatches.map((match) => ({
    wanted: Object.entries(match.match),
    transport: compile(match.transportSocket),
  }));
  return (metadata) => {
    const values = metadata[matchNamespace];
    return matches.find(({ wanted }) => wanted.every(([key, value]) => isDeepStrictEqual(values?.[key], value)))?.transport ?? fallback;
  };
}
