// One listener in force: its filter chains compiled, its connections on their way from accept to a network filter.
import type { Socket } from "node:net";
import type { FilterChain, Listener } from "../envoy/listener/listener.ts";
import type { NetworkFilter, NetworkFilterContext } from "../filter/filter.ts";
import { helloTooLarge } from "../filter/listener/tls-inspector/tls-inspector.ts";
import { createSniRefusalStats, type SniRefusal, type SniRefusalStats } from "../filter/sni-refusal.ts";
import type { ServerTransport } from "../identity/transport.ts";
import type { Connection } from "../net/connection.ts";
import { resetSocket } from "../net/descriptor.ts";
import { flag } from "../telemetry/response-flag.ts";
import { StreamInfo, type ConnectionInfo, type TlsPeer } from "../telemetry/stream-info.ts";
import type { AccessLogger } from "../telemetry/access-logger.ts";
import { compileFilterChains, type FilterChainMatcher } from "./filter-chain-manager.ts";
import { createInspectionPlan, inspectConnection, type InspectionPlan, type InspectionRefusal } from "./inspection.ts";
import type { ListenerManagerDeps } from "./listener-manager.ts";
import { createListenerStats, type ListenerStats } from "./listener-stats.ts";
import { compileSniDnat, isSniDnatChain, type SniDnat } from "./sni-dnat.ts";

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
  /** For an east-west gateway's listener: what tells why it refused, and the counters of that. */
  readonly #sni: { readonly dnat: SniDnat; readonly refusals: SniRefusalStats } | undefined;

  constructor(model: Listener, deps: ListenerManagerDeps, matcher: FilterChainMatcher, previous: ActiveListener | undefined) {
    this.model = model;
    this.#deps = deps;
    this.#matcher = matcher;
    const scope = deps.stats.scope(`listener.${model.statPrefix === "" ? addressName(model) : model.statPrefix}`);
    this.stats = createListenerStats(scope);
    const context: NetworkFilterContext = { ...deps, listener: model, listenerStats: scope };
    const dnat = compileSniDnat(model);
    this.#sni = dnat && { dnat, refusals: createSniRefusalStats(scope) };
    const sniContext: NetworkFilterContext = { ...context, sniRefusals: this.#sni?.refusals };
    const kept = new Map(previous?.chains().map((chain) => [chain.key, chain]));
    // What filters see of the listener itself belongs to a chain's content, or they would go on with the old.
    const shared = JSON.stringify([model.name, model.perConnectionBufferLimitBytes, model.trafficDirection, model.metadata]);
    const compile = (chain: FilterChain): ActiveChain => {
      const key = `${JSON.stringify(chain)}${shared}`;
      const same = kept.get(key);
      if (same !== undefined) return same;
      const { transportSocket } = chain;
      const filterContext = { ...(isSniDnatChain(chain) ? sniContext : context), istioMetrics: deps.istio?.recorderOf(chain, model) };
      return {
        model: chain,
        key,
        filters: chain.filters.flatMap((filter) => deps.networkFilters.get(filter.extension)?.create(filter.config, filterContext) ?? []),
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

  /** Tells every chain's filters to finish their connections, without an end of patience: the process is going. */
  drain(): void {
    for (const chain of this.chains()) for (const filter of chain.filters) filter.drain?.();
  }

  /** Drains the chains that `next` does not carry on (undefined: all of them); what is left after the drain time is closed. */
  retire(next: ActiveListener | undefined, drainTimeMs: number): void {
    const carried = new Set(next?.chains());
    const gone = this.chains().filter((chain) => !carried.has(chain));
    for (const chain of gone) for (const filter of chain.filters) filter.drain?.();
    if (gone.every((chain) => chain.filters.every((filter) => (filter.active ?? 0) === 0))) return;
    this.#deps.clock.after(drainTimeMs, () => {
      for (const chain of gone) for (const filter of chain.filters) filter.destroy?.();
    });
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
   * @param bytes what another listener read of it before handing it over; such a connection is not handed over again
   */
  accept(socket: Socket, info: ConnectionInfo, bytes?: Buffer, redirected = false): void {
    info.listenerName = this.model.name;
    inspectConnection(this.#plan, this.stats, this.#deps.clock, socket, info, bytes, {
      onInspected: (read) => {
        const handOver = this.model.useOriginalDst && info.localRestored && !redirected;
        const other = handOver ? this.#deps.redirectTarget(info, this) : undefined;
        if (other === undefined) this.#dispatch(socket, info, read);
        else other.accept(socket, info, read, true);
      },
      onRefused: (cause, details, read) => this.#refuseInspected(socket, info, read, cause, details),
    });
  }

  #dispatch(socket: Socket, info: ConnectionInfo, read: Buffer | undefined): void {
    const index = this.#matcher.find(info);
    const chain = index === undefined ? this.#defaultChain : this.#chains[index];
    if (chain === undefined) {
      this.stats.noFilterChainMatch.inc();
      const why = this.#sni?.dnat.whyNoChain(info, read);
      if (why !== undefined) return this.#refuseSni(socket, info, read, why);
      return this.#refuse(socket, info, read, flag.NR, "filter_chain_not_found");
    }
    info.filterChainName = chain.model.name;
    const stream = this.#open(socket, info);
    if (chain.transport === undefined) return this.#serve(chain, { info, socket, raw: true, initialBytes: read, stream });
    if (!chain.transport.ready) {
      this.stats.sslContextNotReady.inc();
      info.transportFailureReason = "TLS_error: secret is not supplied by SDS";
      return closeUnserved(socket, read);
    }
    chain.transport.handshake(socket, read, chain.model.transportSocketConnectTimeoutMs, {
      onSecure: (secure, peer: TlsPeer, alpn) => {
        info.tls = peer;
        info.negotiatedAlpn = alpn;
        secure.on("error", ignore);
        this.#serve(chain, { info, socket: secure, raw: false, initialBytes: undefined, stream });
      },
      onFailed: (error) => {
        info.transportFailureReason = error.reason ?? error.code;
        if (error.reason === transportSocketTimeout) this.stats.downstreamCxTransportSocketConnectTimeout.inc();
      },
    });
  }

  // From here the connection counts as one, until its socket closes. A listener's access log records the connection itself,
  // beside what its filters record.
  #open(socket: Socket, info: ConnectionInfo): StreamInfo | undefined {
    const { stats } = this;
    const { clock } = this.#deps;
    const stream = this.#accessLoggers.length > 0 ? new StreamInfo(info, info.startWallMs, info.startMs) : undefined;
    stats.downstreamCxTotal.inc();
    stats.downstreamCxActive.inc();
    socket.once("close", () => {
      stats.downstreamCxActive.dec();
      stats.downstreamCxDestroy.inc();
      stats.downstreamCxLengthMs.record(clock.nowMs() - info.startMs);
      if (stream) this.#log(stream);
    });
    return stream;
  }

  #serve(chain: ActiveChain, connection: Connection, from = 0): void {
    const { filters } = chain;
    for (let i = from; i < filters.length; i++) {
      const status = filters[i]!.onConnection(connection, () => {
        if (!connection.socket.destroyed) this.#serve(chain, connection, i + 1);
      });
      if (status !== "continue") return;
    }
    // A chain of filters that all let it pass: nobody serves the connection.
    connection.socket.destroy();
  }

  #refuseInspected(socket: Socket, info: ConnectionInfo, read: Buffer | undefined, cause: InspectionRefusal, details: string): void {
    if (this.#sni !== undefined && cause === "timeout") return this.#refuseSni(socket, info, read, "hello_timeout");
    if (this.#sni !== undefined && details === helloTooLarge) return this.#refuseSni(socket, info, read, "hello_too_large");
    this.#refuse(socket, info, read, 0, details);
  }

  // NR for hellos that never got as far as a chain too: a gateway's listener log is filtered by that flag.
  #refuseSni(socket: Socket, info: ConnectionInfo, read: Buffer | undefined, why: SniRefusal): void {
    this.#sni?.refusals[why].inc();
    this.#refuse(socket, info, read, flag.NR, why);
  }

  // As Envoy: RST when bytes of the client are dropped, FIN when it had sent none.
  #refuse(socket: Socket, info: ConnectionInfo, read: Buffer | undefined, flags: number, details: string): void {
    closeUnserved(socket, read);
    if (this.#accessLoggers.length === 0) return;
    const stream = new StreamInfo(info, info.startWallMs, info.startMs);
    stream.flags = flags;
    stream.responseCodeDetails = details;
    this.#log(stream);
  }

  #log(stream: StreamInfo): void {
    stream.endMs = this.#deps.clock.nowMs();
    for (const logger of this.#accessLoggers) logger.log(stream);
  }
}

// The reason with which a server transport gives up after transport_socket_connect_timeout.
const transportSocketTimeout = "transport_socket_timeout";

function closeUnserved(socket: Socket, read: Buffer | undefined): void {
  if ((read !== undefined && read.length > 0) || socket.readableLength > 0) resetSocket(socket);
  else socket.destroy();
}

function ignore(): void {
  // Whoever serves the connection listens too; this one keeps an error in between from ending the process.
}

function addressName(model: Listener): string {
  const [first] = model.addresses;
  if (first === undefined) return model.name;
  // Envoy's stat form of `1.2.3.4:80` and `[::1]:80`: colons become underscores.
  return first.address.includes(":") ? `[${first.address.replaceAll(":", "_")}]_${first.port}` : `${first.address}_${first.port}`;
}
