// One listener in force: its filter chains compiled, its connections on their way from accept to a network filter.
import type { Socket } from "node:net";
import type { FilterChain, Listener } from "../envoy/listener.ts";
import type { NetworkFilter, NetworkFilterContext } from "../filter/filter.ts";
import type { ServerTransport } from "../identity/transport.ts";
import type { Connection } from "../net/connection.ts";
import { flag } from "../telemetry/response-flag.ts";
import { StreamInfo, type ConnectionInfo, type TlsPeer } from "../telemetry/stream-info.ts";
import type { AccessLogger } from "../telemetry/access-logger.ts";
import { compileFilterChains, type FilterChainMatcher } from "./filter-chain-manager.ts";
import { createInspectionPlan, inspectConnection, type InspectionPlan } from "./inspection.ts";
import type { ListenerManagerDeps } from "./listener-manager.ts";
import { createListenerStats, type ListenerStats } from "./listener-stats.ts";

/** A filter chain with its filters and TLS context made. */
interface ActiveChain {
  readonly model: FilterChain;
  /** The content, to tell an unchanged chain from a changed one. */
  readonly key: string;
  readonly filters: readonly NetworkFilter[];
  readonly transport: ServerTransport | undefined;
}

/** Compiled configuration of a listener, or why it cannot be. */
export type CompiledListener = { readonly ok: true; readonly listener: ActiveListener } | { readonly ok: false; readonly message: string };

/** Compiles a listener; chains equal to those of `previous` are taken over with their connections. */
export function compileListener(model: Listener, deps: ListenerManagerDeps, previous: ActiveListener | undefined): CompiledListener {
  const matcher = compileFilterChains(model);
  if (!matcher.ok) return { ok: false, message: `listener ${model.name}: ${matcher.issues.map((issue) => issue.message).join("; ")}` };
  return { ok: true, listener: new ActiveListener(model, deps, matcher.value, previous) };
}

/** A listener that takes connections. */
export class ActiveListener {
  readonly model: Listener;
  readonly stats: ListenerStats;
  readonly #deps: ListenerManagerDeps;
  readonly #matcher: FilterChainMatcher;
  readonly #chains: readonly ActiveChain[];
  readonly #defaultChain: ActiveChain | undefined;
  readonly #plan: InspectionPlan;
  readonly #accessLoggers: readonly AccessLogger[];

  constructor(model: Listener, deps: ListenerManagerDeps, matcher: FilterChainMatcher, previous: ActiveListener | undefined) {
    this.model = model;
    this.#deps = deps;
    this.#matcher = matcher;
    const scope = deps.stats.scope(`listener.${model.statPrefix === "" ? addressName(model) : model.statPrefix}`);
    this.stats = createListenerStats(scope);
    const context: NetworkFilterContext = { ...deps, listener: model, listenerStats: scope };
    const kept = new Map(previous?.chains().map((chain) => [chain.key, chain]));
    const compile = (chain: FilterChain): ActiveChain => {
      const key = `${JSON.stringify(chain)}${model.perConnectionBufferLimitBytes}`;
      const same = kept.get(key);
      if (same !== undefined) return same;
      const { transportSocket } = chain;
      return {
        model: chain,
        key,
        filters: chain.filters.flatMap((filter) => deps.networkFilters.get(filter.extension)?.create(filter.config, context) ?? []),
        transport: transportSocket.kind === "tls" ? deps.createServerTransport(transportSocket.tls, scope.scope("ssl")) : undefined,
      };
    };
    this.#chains = model.filterChains.map(compile);
    this.#defaultChain = model.defaultFilterChain === undefined ? undefined : compile(model.defaultFilterChain);
    this.#plan = createInspectionPlan(model, deps);
    this.#accessLoggers = deps.accessLoggers(model.accessLog);
  }

  /** Every chain, the default one last. */
  chains(): readonly ActiveChain[] {
    return this.#defaultChain === undefined ? this.#chains : [...this.#chains, this.#defaultChain];
  }

  /** Drains chains that `next` does not carry on; undefined: all of them. */
  drain(next?: ActiveListener): void {
    const carried = new Set(next?.chains());
    for (const chain of this.chains()) if (!carried.has(chain)) for (const filter of chain.filters) filter.drain?.();
  }

  /** Closes every connection. */
  destroy(): void {
    for (const chain of this.chains()) for (const filter of chain.filters) filter.destroy?.();
  }

  /** True when an accepted connection may be taken (max connections). */
  admits(active: number): boolean {
    return this.model.maxConnections === 0 || active < this.model.maxConnections;
  }

  /**
   * Takes a connection: listener filters, hand-over after an original destination was restored, chain, TLS, network filters.
   * @param bytes what another listener read of it before handing it over
   */
  accept(socket: Socket, info: ConnectionInfo, bytes?: Buffer): void {
    info.listenerName = this.model.name;
    const { stats } = this;
    stats.downstreamCxTotal.inc();
    stats.downstreamCxActive.inc();
    socket.once("close", () => {
      stats.downstreamCxActive.dec();
      stats.downstreamCxDestroy.inc();
      stats.downstreamCxLengthMs.record(this.#deps.clock.nowMs() - info.startMs);
    });
    inspectConnection(this.#plan, stats, this.#deps.clock, socket, info, bytes, {
      onInspected: (read) => {
        const other = this.model.useOriginalDst && info.localRestored ? this.#deps.redirectTarget(info, this) : undefined;
        if (other === undefined) this.#dispatch(socket, info, read);
        else other.accept(socket, info, read);
      },
      onRefused: (details, read) => {
        closeUnserved(socket, read);
        this.#log(info, 0, details);
      },
    });
  }

  #dispatch(socket: Socket, info: ConnectionInfo, read: Buffer | undefined): void {
    const index = this.#matcher.find(info);
    const chain = index === undefined ? this.#defaultChain : this.#chains[index];
    if (chain === undefined) {
      this.stats.noFilterChainMatch.inc();
      closeUnserved(socket, read);
      this.#log(info, flag.NR, "filter_chain_not_found");
      return;
    }
    info.filterChainName = chain.model.name;
    if (this.#accessLoggers.length > 0) this.#logAtClose(socket, info);
    if (chain.transport === undefined) {
      this.#serve(chain, { info, socket, raw: true, initialBytes: read });
      return;
    }
    if (!chain.transport.ready) {
      this.stats.sslContextNotReady.inc();
      info.transportFailureReason = "TLS_error: secret is not supplied by SDS";
      closeUnserved(socket, read);
      return;
    }
    chain.transport.handshake(socket, read, chain.model.transportSocketConnectTimeoutMs, {
      onSecure: (secure, peer: TlsPeer, alpn) => {
        info.tls = peer;
        info.negotiatedAlpn = alpn;
        secure.on("error", ignore);
        this.#serve(chain, { info, socket: secure, raw: false, initialBytes: undefined });
      },
      onFailed: (error) => {
        info.transportFailureReason = error.reason ?? error.code;
        this.stats.sslConnectionError.inc();
      },
    });
  }

  #serve(chain: ActiveChain, connection: Connection): void {
    for (const filter of chain.filters) if (filter.onConnection(connection) === "done") return;
    // A chain of filters that all let it pass: nobody serves the connection.
    connection.socket.destroy();
  }

  /** A listener's access log records the connection itself, beside what its filters record. */
  #logAtClose(socket: Socket, info: ConnectionInfo): void {
    socket.once("close", () => this.#log(info, 0, ""));
  }

  #log(connection: ConnectionInfo, flags: number, details: string): void {
    if (this.#accessLoggers.length === 0) return;
    const info = new StreamInfo(connection, connection.startWallMs, connection.startMs);
    info.flags = flags;
    info.responseCodeDetails = details;
    info.endMs = this.#deps.clock.nowMs();
    for (const logger of this.#accessLoggers) logger.log(info);
  }
}

/** As Envoy: RST when bytes of the client are dropped, FIN when it had sent none. */
function closeUnserved(socket: Socket, read: Buffer | undefined): void {
  if (read !== undefined && read.length > 0) socket.resetAndDestroy();
  else socket.destroy();
}

function ignore(): void {}

function addressName(model: Listener): string {
  const [first] = model.addresses;
  // Envoy's stat form: dots stay, colons of the port and of IPv6 become underscores.
  return first === undefined ? model.name : `${first.address.replaceAll(":", "_")}_${first.port}`;
}
