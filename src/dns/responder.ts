// The DNS responder of a proxy: listeners on UDP and TCP, the table in force, cache and forwarder behind it. Answers as Istio's
// agent does (pkg/dns/client), except that large upstream replies come truncated rather than as SERVFAIL, and for what settings say.
import { networkInterfaces } from "node:os";
import type { Clock } from "../clock.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { StatsScope } from "../telemetry/stats.ts";
import { defaultAnswerSettings, type AnswerSettings } from "./answer.ts";
import { listenUdpBatching } from "./batch/listener.ts";
import { CachingUpstream, defaultCacheSettings, type CacheSettings, type CacheView } from "./cache/caching-upstream.ts";
import { Forwarder } from "./forward/forwarder.ts";
import type { NameServerView } from "./forward/name-server-state.ts";
import { defaultForwardSettings, type ForwardSettings } from "./forward/settings.ts";
import type { NameTable } from "./name-table.ts";
import { QueryHandler, type QueryCounters } from "./query-handler.ts";
import { QueryLog } from "./query-log.ts";
import { loopbackHosts, type NameServer } from "./resolv-conf.ts";
import { listenTcp, type TcpListener } from "./tcp-listener.ts";
import { listenUdp, type UdpListener } from "./udp-listener.ts";

/** How a responder listens and forwards. */
export interface DnsResponderOptions {
  /** An IP address, or `localhost`: the loopback addresses of the name servers' families (Istio's DNS_PROXY_ADDR). */
  readonly host: string;
  /** Istio: 15053. 0 takes a free port, the same one for UDP and TCP. */
  readonly port: number;
  /** The table to start with; without it queries get SERVFAIL until `setTable`. */
  readonly table?: NameTable;
  /** The upstream servers, from resolv.conf; our own addresses among them are left out. */
  readonly nameServers: readonly NameServer[];
  /** Before the first table: `forward` is what Istio does on port 53. Default `servfail`. */
  readonly beforeTable?: "servfail" | "forward";
  /** How upstream servers are asked. Default defaultForwardSettings, for what is left out too. */
  readonly forward?: Partial<ForwardSettings>;
  /** False keeps UDP on the portable path. Default true: batched on a thread where the platform has it. */
  readonly batching?: boolean;
  /** How mesh names are answered. Default defaultAnswerSettings. */
  readonly answers?: AnswerSettings;
  /** What is kept of upstream replies; "none" asks upstream each time, as Istio does. Default defaultCacheSettings. */
  readonly cache?: CacheSettings | "none";
  /** Whether each query is written to the log, at level debug; asked again all the time. Default never. */
  readonly logQueries?: () => boolean;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Gets `dns_requests_total`, `dns_mesh_answers_total`, `dns_overflow_total`, `dns_tcp_*`, `dns_upstream_*` and `dns_cache_*`. */
  readonly stats: StatsScope;
  /** Uniform in [0, 1), for the order of addresses and servers. Default Math.random. */
  readonly random?: () => number;
}

/** A running responder. */
export interface DnsResponder {
  /** Where it listens; the first of several hosts. */
  readonly address: { readonly host: string; readonly port: number };
  readonly hosts: readonly string[];
  /** Whether UDP runs on the batching thread. */
  readonly batching: boolean;
  /** What is kept of upstream replies; undefined without a cache. */
  cacheView(): CacheView | undefined;
  /** The upstream servers and how they do. */
  upstreamView(): readonly NameServerView[];
  /** Replaces the table; queries that come after the call see only the new one. */
  setTable(table: NameTable): void;
  /** Stops listening and drops what is being forwarded. */
  close(): Promise<void>;
}

/** With port 0 UDP may be taken where TCP was free; another port will do. */
const PORT_ATTEMPTS = 8;

/** Starts listening; rejects with Node's error (EADDRINUSE, EACCES ...) when an address cannot be bound. */
export async function startDnsResponder(options: DnsResponderOptions): Promise<DnsResponder> {
  const { clock, logger, stats, random = Math.random } = options;
  const hosts = options.host === "localhost" ? loopbackHosts(options.nameServers) : [options.host];
  let boundPort = 0;
  const forwarder = new Forwarder({
    // Known once the port is, with which our own addresses among them are told.
    nameServers: [],
    settings: { ...defaultForwardSettings, ...options.forward },
    clock,
    logger,
    stats,
    random,
  });
  const counters: QueryCounters = {
    requests: stats.counter("dns_requests_total"),
    mesh: stats.counter("dns_mesh_answers_total"),
    overflow: stats.counter("dns_overflow_total"),
  };
  const { answers = defaultAnswerSettings, cache: settings = defaultCacheSettings, logQueries = () => false } = options;
  const cache = settings === "none" ? undefined : new CachingUpstream({ forwarder, settings, clock, stats });
  const log = new QueryLog(logger, clock, logQueries);
  const handler = new QueryHandler({ forwarder, cache, answers, log, counters, random, beforeTable: options.beforeTable ?? "servfail" });
  if (options.table) handler.setTable(options.table);

  const openUdp = async (host: string, port: number): Promise<UdpListener> => {
    const batched =
      options.batching === false ? undefined : await listenUdpBatching({ host, port, handler, answers, log, counters, clock, logger });
    return batched ?? listenUdp(host, port, handler, logger);
  };
  const open: (UdpListener | TcpListener)[] = [];
  const udp: UdpListener[] = [];
  const close = async (): Promise<void> => {
    forwarder.close();
    await Promise.all(open.map((listener) => listener.close()));
  };
  try {
    for (const host of hosts) {
      const pair = await bindPair(host, boundPort || options.port, openUdp, (port) => listenTcp({ host, port, handler, clock, stats }));
      open.push(pair.tcp, pair.udp);
      udp.push(pair.udp);
      boundPort = pair.tcp.port;
    }
  } catch (error) {
    await close();
    throw error;
  }
  forwarder.setNameServers(options.nameServers.filter((server) => !isSelf(server, hosts, boundPort)));
  if (options.table) for (const listener of udp) listener.setTable(options.table);
  return {
    address: { host: hosts[0]!, port: boundPort },
    hosts,
    get batching() {
      return udp.every((listener) => listener.batching);
    },
    cacheView: () => cache?.view(),
    upstreamView: () => forwarder.view(),
    setTable: (table) => {
      handler.setTable(table);
      for (const listener of udp) listener.setTable(table);
    },
    close,
  };
}

async function bindPair(
  host: string,
  port: number,
  openUdp: (host: string, port: number) => Promise<UdpListener>,
  openTcp: (port: number) => Promise<TcpListener>,
): Promise<{ readonly tcp: TcpListener; readonly udp: UdpListener }> {
  for (let attempt = 1; ; attempt++) {
    const tcp = await openTcp(port);
    try {
      return { tcp, udp: await openUdp(host, tcp.port) };
    } catch (error) {
      await tcp.close();
      if (port !== 0 || attempt === PORT_ATTEMPTS) throw error;
    }
  }
}

/** True when sending to `server` would reach one of our own listeners. */
function isSelf(server: NameServer, hosts: readonly string[], port: number): boolean {
  if (server.port !== port) return false;
  if (hosts.includes(server.host)) return true;
  if (!hosts.includes("0.0.0.0") && !hosts.includes("::")) return false;
  const local = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
  return server.host.startsWith("127.") || local.some(({ address }) => address === server.host);
}
