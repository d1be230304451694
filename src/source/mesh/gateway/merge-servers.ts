// Which servers of several Gateways can share a port. As in Istio the older Gateway's server stays, the other one is left out.
import { type GatewayServer, type GatewaySpec, isPlainHttp } from "../istio/gateway.ts";
import type { MeshObject } from "../object/mesh-object.ts";

/** A Gateway server that a proxy runs. */
export interface OwnServer {
  readonly gateway: MeshObject<GatewaySpec>;
  readonly server: GatewayServer;
}

/** A server that is left out. */
export interface SkippedServer {
  readonly own: OwnServer;
  /** Completes "is left out: ...". */
  readonly reason: string;
}

/** What is served and what is not. */
export interface MergedServers {
  readonly served: readonly OwnServer[];
  readonly skipped: readonly SkippedServer[];
}

/** Sorts servers out, in the order of their Gateways' age; `listenPort` says where a server's port is listened on. */
export function mergeServers(servers: readonly OwnServer[], listenPort: (port: number) => number): MergedServers {
  const served: OwnServer[] = [];
  const skipped: SkippedServer[] = [];
  /** By port and address, the first server there. */
  const firsts = new Map<string, OwnServer>();
  /** By port and host, the addresses on which TLS for it is served. */
  const tlsHosts = new Map<string, string>();
  for (const own of servers) {
    const port = listenPort(own.server.port.number);
    const reason = repeatedHosts(own, port, tlsHosts) ?? conflict(own, firsts.get(`${port} ${own.server.bind}`));
    if (reason !== undefined) {
      skipped.push({ own, reason });
      continue;
    }
    if (!firsts.has(`${port} ${own.server.bind}`)) firsts.set(`${port} ${own.server.bind}`, own);
    served.push(own);
  }
  return { served, skipped };
}

/** TLS servers are told apart by their hosts alone. */
function repeatedHosts({ server }: OwnServer, port: number, known: Map<string, string>): string | undefined {
  if (server.tls === undefined) return undefined;
  const hosts = server.hosts.map(({ host }) => host);
  const repeated = hosts.filter((host) => known.get(`${port} ${host}`) === server.bind);
  if (repeated.length === 0) for (const host of hosts) known.set(`${port} ${host}`, server.bind);
  return repeated.length === 0 ? undefined : `another TLS server on port ${server.port.number} has the host ${repeated.join(", ")}`;
}

function conflict({ server }: OwnServer, first: OwnServer | undefined): string | undefined {
  if (first === undefined) return undefined;
  const bothTls = server.tls !== undefined && first.server.tls !== undefined;
  if (bothTls || (isPlainHttp(server) && isPlainHttp(first.server))) return undefined;
  const { meta } = first.gateway;
  return `port ${server.port.number} already serves ${first.server.port.protocol} of Gateway ${meta.namespace}/${meta.name}`;
}
