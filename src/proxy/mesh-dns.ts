// The DNS responder of a mesh proxy: its names from the source, other names from resolv.conf's servers.
import { readFileSync } from "node:fs";
import type { Clock } from "../clock.ts";
import { compileNameTable } from "../dns/name-table.ts";
import type { NameTable } from "../dns/name-table.ts";
import { parseResolvConf } from "../dns/resolv-conf.ts";
import { startDnsResponder } from "../dns/responder.ts";
import type { SocketAddress } from "../envoy/address.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { StatsScope } from "../telemetry/stats.ts";
import type { LoadedConfig } from "./config-source.ts";

/** What the responder is started with. */
export interface MeshDnsOptions {
  readonly address: SocketAddress;
  /** Servers for other names; undefined = resolv.conf's. */
  readonly forward: readonly SocketAddress[] | undefined;
  readonly config: LoadedConfig;
  readonly stats: StatsScope;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Default /etc/resolv.conf. */
  readonly resolvConf?: string;
}

/** A running responder. */
export interface MeshDns {
  readonly address: SocketAddress;
  /** Answers with these names from now on. */
  setNames(config: LoadedConfig): void;
  close(): Promise<void>;
}

/** Starts it; rejects with Node's error when the address cannot be bound. */
export async function startMeshDns(options: MeshDnsOptions): Promise<MeshDns> {
  const system = parseResolvConf(readResolvConf(options.resolvConf ?? "/etc/resolv.conf"));
  const { address, port } = options.address;
  const responder = await startDnsResponder({
    host: address,
    port,
    table: compileNames(options.config, system.search),
    nameServers: options.forward?.map((server) => ({ host: server.address, port: server.port })) ?? system.nameServers,
    clock: options.clock,
    logger: options.logger,
    stats: options.stats,
  });
  let names = options.config.nameTable;
  return {
    address: { address: responder.address.host, port: responder.address.port },
    setNames: (config) => {
      if (config.nameTable === names) return;
      names = config.nameTable;
      responder.setTable(compileNames(config, system.search));
    },
    close: () => responder.close(),
  };
}

function compileNames({ node, nameTable }: LoadedConfig, searchDomains: readonly string[]): NameTable {
  // `type~ip~name.namespace~domain`; a node of another form has no short names.
  const [, , workload = "", proxyDomain = ""] = node.id.split("~");
  const namespace = node.metadata["NAMESPACE"];
  const proxyNamespace = typeof namespace === "string" ? namespace : workload.slice(workload.lastIndexOf(".") + 1);
  return compileNameTable(nameTable ?? {}, { proxyDomain, proxyNamespace, searchDomains });
}

function readResolvConf(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    // No resolv.conf means no servers, as in resolv.conf(5): mesh names are answered all the same.
    return "";
  }
}
