// The DNS responder of a mesh proxy: its names from the source, other names from resolv.conf's servers.
import { readFileSync } from "node:fs";
import { isDeepStrictEqual } from "node:util";
import type { Clock } from "../clock.ts";
import { defaultAnswerSettings } from "../dns/answer.ts";
import type { AnswerSettings } from "../dns/answer.ts";
import type { CacheSettings } from "../dns/cache/caching-upstream.ts";
import { defaultForwardSettings, type ForwardSettings } from "../dns/forward/settings.ts";
import { countNames } from "../dns/name-lookup.ts";
import { compileNamesOfNode } from "../dns/names-of-node.ts";
import type { NameTable, NameTableJson } from "../dns/name-table.ts";
import { parseResolvConf } from "../dns/resolv-conf.ts";
import { startDnsResponder } from "../dns/responder.ts";
import type { ServicePorts } from "../dns/service-ports.ts";
import type { SocketAddress } from "../envoy/address.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { StatsScope } from "../telemetry/stats.ts";
import type { DnsView } from "../admin/admin-context.ts";
import type { LoadedConfig } from "./config-source.ts";

/** What may be set about DNS; each has the default of the room that it is for. */
export interface MeshDnsSettings {
  readonly answers?: Partial<AnswerSettings>;
  readonly cache?: CacheSettings | "none";
  /** Search domains of resolv.conf that names are also known under: Istio takes the first. Default all. */
  readonly search?: "all" | "first";
  readonly forward?: Partial<ForwardSettings>;
}

/** What the responder is started with. */
export interface MeshDnsOptions {
  readonly address: SocketAddress;
  /** Servers for other names; undefined = resolv.conf's. */
  readonly forward: readonly SocketAddress[] | undefined;
  readonly config: LoadedConfig;
  readonly settings?: MeshDnsSettings | undefined;
  /** Whether each query is logged. */
  readonly logQueries?: () => boolean;
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
  /** The table in force, what it was compiled to, and what is known of upstream. */
  view(): DnsView;
  close(): Promise<void>;
}

/** Starts it; rejects with Node's error when the address cannot be bound. */
export async function startMeshDns(options: MeshDnsOptions): Promise<MeshDns> {
  const system = parseResolvConf(readResolvConf(options.resolvConf ?? "/etc/resolv.conf"));
  const { address, port } = options.address;
  const { settings = {}, logQueries } = options;
  const search = settings.search === "first" ? system.search.slice(0, 1) : system.search;
  const answers = { ...defaultAnswerSettings, ...settings.answers };
  const nameServers = options.forward?.map((server) => ({ host: server.address, port: server.port })) ?? system.nameServers;
  let names = namesOf(options.config);
  let table = compileNames(names, search, settings.search);
  const responder = await startDnsResponder({
    host: address,
    port,
    table,
    nameServers,
    answers,
    ...(settings.cache === undefined ? {} : { cache: settings.cache }),
    ...(settings.forward === undefined ? {} : { forward: settings.forward }),
    ...(logQueries === undefined ? {} : { logQueries }),
    clock: options.clock,
    logger: options.logger,
    stats: options.stats,
  });
  return {
    address: { address: responder.address.host, port: responder.address.port },
    setNames: (config) => {
      const next = namesOf(config);
      const same = sameNames(next, names);
      // Kept even so: what the next load shares with this one is then told by identity, and the load before is let go.
      names = next;
      // Most changes of a mesh are not of its names, and compiling ten thousand hosts takes many times what comparing them does.
      if (same) return;
      table = compileNames(names, search, settings.search);
      responder.setTable(table);
    },
    view: () => ({
      table: names.nameTable.table ?? {},
      ports: names.servicePorts,
      listener: { hosts: responder.hosts, port: responder.address.port, batching: responder.batching },
      names: countNames(table),
      search,
      answers,
      upstream: {
        servers: responder.upstreamView(),
        settings: { ...defaultForwardSettings, ...settings.forward },
        cache: responder.cacheView(),
      },
    }),
    close: () => responder.close(),
  };
}

/** What a table is compiled from. */
interface Names {
  readonly node: LoadedConfig["node"];
  readonly nameTable: NameTableJson;
  readonly servicePorts: ServicePorts;
}

function namesOf({ node, nameTable = {}, servicePorts = {} }: LoadedConfig): Names {
  return { node, nameTable, servicePorts };
}

function sameNames(left: Names, right: Names): boolean {
  return (
    isDeepStrictEqual(left.node, right.node) &&
    sameHosts(left.nameTable.table ?? {}, right.nameTable.table ?? {}) &&
    sameHosts(left.servicePorts, right.servicePorts)
  );
}

/** By identity first, as a source hands over again what did not change; by content where that fails. */
function sameHosts<T>(left: Readonly<Record<string, T>>, right: Readonly<Record<string, T>>): boolean {
  if (left === right) return true;
  const hosts = Object.keys(left);
  if (hosts.length !== Object.keys(right).length) return false;
  return hosts.every((host) => left[host] === right[host] || (Object.hasOwn(right, host) && isDeepStrictEqual(left[host], right[host])));
}

function compileNames(
  { node, nameTable, servicePorts }: Names,
  searchDomains: readonly string[],
  search: MeshDnsSettings["search"],
): NameTable {
  return compileNamesOfNode(node, nameTable, searchDomains, servicePorts, search !== "first");
}

function readResolvConf(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    // No resolv.conf means no servers, as in resolv.conf(5): mesh names are answered all the same.
    return "";
  }
}
