// The HTTP connection manager, compiled from its configuration once: filter lists, header rules, stats, access logs. One
// object per filter chain, shared by all its connections and streams; it has no per-stream state.
import type { Clock } from "../clock.ts";
import type { FilterDeps, NetworkFilterContext } from "../filter/filter.ts";
import type { HttpConnectionManagerConfig } from "../envoy/listener/http-connection-manager.ts";
import type { AccessLogger } from "../telemetry/access-logger.ts";
import type { IstioRecorder } from "../telemetry/istio/recorder.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { Counter, Gauge, Histogram, StatsScope } from "../telemetry/stats.ts";
import { StreamInfo, type ConnectionInfo } from "../telemetry/stream-info.ts";
import type { ClusterLookup } from "../upstream/cluster.ts";
import { GrpcMessages } from "../wire/grpc-message-counter.ts";
import { HeaderMap } from "../wire/header-map.ts";
import { createHttp2Stats, type Http2Stats } from "../net/http2/http2-stats.ts";
import type { SessionOptions } from "../net/http2/session.ts";
import type { HttpFilter } from "./filter.ts";
import { isGrpc } from "./grpc.ts";
import { serverSessionOptions } from "./h2/session-options.ts";
import { plainReply, replies } from "./local-reply.ts";
import { normalizePath, type PathOptions } from "./path.ts";
import { compileReplyMapper, type ReplyMapper } from "./reply-mapper.ts";
import { createRequestRules, type RequestRules } from "./request-rules.ts";
import { createResponseRules, type ResponseRules } from "./response-rules.ts";
import { noOverrides } from "./route/filter-overrides.ts";
import type { CompiledRoute, RouteTable } from "./route/route-table.ts";
import type { HttpStream, TerminalFilter } from "./stream.ts";

/** Makes the terminal filter's part in one stream. */
export interface Terminal {
  /** Undefined when the stream was answered at once. */
  start(stream: HttpStream, endStream: boolean): TerminalFilter | undefined;
}

/** A filter in a compiled list, with where its state lives. */
export interface FilterEntry {
  readonly filter: HttpFilter;
  readonly index: number;
  readonly name: string;
  /** Off unless a route switches it on. */
  readonly disabled: boolean;
}

/** Envoy's `http.STAT_PREFIX.*`. */
export interface HttpManagerStats {
  readonly downstreamCxTotal: Counter;
  readonly downstreamCxActive: Gauge;
  readonly downstreamCxHttp1Total: Counter;
  readonly downstreamCxHttp1Active: Gauge;
  readonly downstreamCxHttp2Total: Counter;
  readonly downstreamCxHttp2Active: Gauge;
  readonly downstreamCxDestroy: Counter;
  readonly downstreamCxDestroyActiveRq: Counter;
  readonly downstreamCxDestroyRemoteActiveRq: Counter;
  readonly downstreamCxDestroyLocal: Counter;
  readonly downstreamCxDestroyRemote: Counter;
  readonly downstreamCxDestroyLocalActiveRq: Counter;
  readonly downstreamCxDelayedCloseTimeout: Counter;
  readonly downstreamCxIdleTimeout: Counter;
  readonly downstreamCxMaxDurationReached: Counter;
  readonly downstreamCxMaxRequestsReached: Counter;
  readonly downstreamCxDrainClose: Counter;
  readonly downstreamCxProtocolError: Counter;
  readonly downstreamCxRxBytesTotal: Counter;
  readonly downstreamCxTxBytesTotal: Counter;
  readonly downstreamCxUpgradesTotal: Counter;
  readonly downstreamCxUpgradesActive: Gauge;
  readonly downstreamRqTotal: Counter;
  readonly downstreamRqHttp1Total: Counter;
  readonly downstreamRqHttp2Total: Counter;
  readonly downstreamRqActive: Gauge;
  readonly downstreamRqCompleted: Counter;
  readonly downstreamRqByClass: readonly Counter[];
  readonly downstreamRqTime: Histogram;
  readonly downstreamRqTimeout: Counter;
  readonly downstreamRqHeaderTimeout: Counter;
  readonly downstreamRqIdleTimeout: Counter;
  readonly downstreamRqMaxDurationReached: Counter;
  readonly downstreamRqRxReset: Counter;
  readonly downstreamRqTxReset: Counter;
  readonly downstreamRqTooManyPrematureResets: Counter;
  readonly downstreamRqNonRelativePath: Counter;
  readonly downstreamRqRedirectedWithNormalizedPath: Counter;
  readonly downstreamRqFailedPathNormalization: Counter;
  readonly downstreamRqWsOnNonWsRoute: Counter;
  /** Answered before the request had come in whole. */
  readonly downstreamRqResponseBeforeRqComplete: Counter;
}

function createStats(scope: StatsScope): HttpManagerStats {
  const c = (name: string): Counter => scope.counter(name);
  return {
    downstreamCxTotal: c("downstream_cx_total"),
    downstreamCxActive: scope.gauge("downstream_cx_active"),
    downstreamCxHttp1Total: c("downstream_cx_http1_total"),
    downstreamCxHttp1Active: scope.gauge("downstream_cx_http1_active"),
    downstreamCxHttp2Total: c("downstream_cx_http2_total"),
    downstreamCxHttp2Active: scope.gauge("downstream_cx_http2_active"),
    downstreamCxDestroy: c("downstream_cx_destroy"),
    downstreamCxDestroyActiveRq: c("downstream_cx_destroy_active_rq"),
    downstreamCxDestroyRemoteActiveRq: c("downstream_cx_destroy_remote_active_rq"),
    downstreamCxDestroyLocal: c("downstream_cx_destroy_local"),
    downstreamCxDestroyRemote: c("downstream_cx_destroy_remote"),
    downstreamCxDestroyLocalActiveRq: c("downstream_cx_destroy_local_active_rq"),
    downstreamCxDelayedCloseTimeout: c("downstream_cx_delayed_close_timeout"),
    downstreamCxIdleTimeout: c("downstream_cx_idle_timeout"),
    downstreamCxMaxDurationReached: c("downstream_cx_max_duration_reached"),
    downstreamCxMaxRequestsReached: c("downstream_cx_max_requests_reached"),
    downstreamCxDrainClose: c("downstream_cx_drain_close"),
    downstreamCxProtocolError: c("downstream_cx_protocol_error"),
    downstreamCxRxBytesTotal: c("downstream_cx_rx_bytes_total"),
    downstreamCxTxBytesTotal: c("downstream_cx_tx_bytes_total"),
    downstreamCxUpgradesTotal: c("downstream_cx_upgrades_total"),
    downstreamCxUpgradesActive: scope.gauge("downstream_cx_upgrades_active"),
    downstreamRqTotal: c("downstream_rq_total"),
    downstreamRqHttp1Total: c("downstream_rq_http1_total"),
    downstreamRqHttp2Total: c("downstream_rq_http2_total"),
    downstreamRqActive: scope.gauge("downstream_rq_active"),
    downstreamRqCompleted: c("downstream_rq_completed"),
    downstreamRqByClass: [1, 2, 3, 4, 5].map((n) => c(`downstream_rq_${n}xx`)),
    downstreamRqTime: scope.histogram("downstream_rq_time"),
    downstreamRqTimeout: c("downstream_rq_timeout"),
    downstreamRqHeaderTimeout: c("downstream_rq_header_timeout"),
    downstreamRqIdleTimeout: c("downstream_rq_idle_timeout"),
    downstreamRqMaxDurationReached: c("downstream_rq_max_duration_reached"),
    downstreamRqRxReset: c("downstream_rq_rx_reset"),
    downstreamRqTxReset: c("downstream_rq_tx_reset"),
    downstreamRqTooManyPrematureResets: c("downstream_rq_too_many_premature_resets"),
    downstreamRqNonRelativePath: c("downstream_rq_non_relative_path"),
    downstreamRqRedirectedWithNormalizedPath: c("downstream_rq_redirected_with_normalized_path"),
    downstreamRqFailedPathNormalization: c("downstream_rq_failed_path_normalization"),
    downstreamRqWsOnNonWsRoute: c("downstream_rq_ws_on_non_ws_route"),
    downstreamRqResponseBeforeRqComplete: c("downstream_rq_response_before_rq_complete"),
  };
}

/** A compiled connection manager. */
export class HttpManager {
  readonly config: HttpConnectionManagerConfig;
  readonly clock: Clock;
  readonly random: () => number;
  readonly logger: Logger;
  readonly stats: HttpManagerStats;
  readonly drain: FilterDeps["drain"];
  readonly terminal: Terminal;
  readonly bufferLimitBytes: number;
  readonly requestHeaderFilters: readonly FilterEntry[];
  readonly requestDataFilters: readonly FilterEntry[];
  readonly requestTrailerFilters: readonly FilterEntry[];
  readonly responseHeaderFilters: readonly FilterEntry[];
  readonly responseDataFilters: readonly FilterEntry[];
  readonly responseTrailerFilters: readonly FilterEntry[];
  readonly #scopes: StatsScope;
  #http2: { readonly options: SessionOptions; readonly codecStats: Http2Stats } | undefined;
  readonly #clusters: ClusterLookup;
  readonly #completeFilters: readonly FilterEntry[];
  readonly #entries: readonly FilterEntry[];
  /** Filters that have no part in a stream without a route; see `HttpStream.absentFilters`. */
  readonly absentFilters: readonly boolean[] | undefined;
  readonly #absentByRoute = new WeakMap<CompiledRoute, { readonly filters: readonly boolean[] | undefined }>();
  readonly #accessLoggers: readonly AccessLogger[];
  readonly #istio: IstioRecorder | undefined;
  readonly #routes: () => RouteTable | undefined;
  readonly #requestRules: RequestRules;
  readonly #responseRules: ResponseRules;
  readonly #pathOptions: PathOptions;
  /** What the configuration makes of replies; undefined: they stay as they are. */
  readonly replyMapper: ReplyMapper | undefined;
  #draining = false;
  /** The routes when draining began. */
  #lastRoutes: RouteTable | undefined;

  /**
   * @param filters in configuration order, without the terminal one
   * @param routes the current route table; asked per request, because RDS may replace it
   */
  constructor(
    config: HttpConnectionManagerConfig,
    deps: FilterDeps & Pick<NetworkFilterContext, "istioMetrics">,
    scope: StatsScope,
    filters: readonly Omit<FilterEntry, "index">[],
    terminal: Terminal,
    routes: () => RouteTable | undefined,
    bufferLimitBytes: number,
  ) {
    this.config = config;
    this.clock = deps.clock;
    this.random = deps.random;
    this.logger = deps.logger;
    this.drain = deps.drain;
    this.#scopes = deps.stats;
    this.#clusters = deps.clusters;
    this.stats = createStats(scope);
    this.terminal = terminal;
    this.bufferLimitBytes = bufferLimitBytes;
    const entries = filters.map((entry, index) => ({ ...entry, index }));
    const having = (hook: keyof HttpFilter): readonly FilterEntry[] => entries.filter(({ filter }) => filter[hook] !== undefined);
    this.requestHeaderFilters = having("onRequestHeaders");
    this.requestDataFilters = having("onRequestData");
    this.requestTrailerFilters = having("onRequestTrailers");
    this.responseHeaderFilters = having("onResponseHeaders");
    this.responseDataFilters = having("onResponseData");
    this.responseTrailerFilters = having("onResponseTrailers");
    this.#completeFilters = having("onComplete");
    this.#entries = entries;
    this.absentFilters = entries.some(({ disabled }) => disabled) ? entries.map(({ disabled }) => disabled) : undefined;
    this.#accessLoggers = deps.accessLoggers(config.accessLog);
    this.#istio = deps.istioMetrics;
    this.#routes = routes;
    this.#requestRules = createRequestRules(config, deps);
    this.#responseRules = createResponseRules(config, deps.clock);
    this.replyMapper = compileReplyMapper(config.localReplies);
    this.#pathOptions = {
      normalizePath: config.normalizePath,
      mergeSlashes: config.mergeSlashes,
      escapedSlashesAction: config.escapedSlashesAction,
    };
  }

  /**
   * Which filters have no part in streams of a route, by their index: the route says so or, where that says nothing, the chain.
   * Undefined = all take part. Found once a route, as streams ask before every hook.
   */
  #absentOn(route: CompiledRoute | undefined): readonly boolean[] | undefined {
    if (route === undefined || route.filterConfig === noOverrides) return this.absentFilters;
    const known = this.#absentByRoute.get(route);
    if (known !== undefined) return known.filters;
    const absent = this.#entries.map((entry) => route.filterConfig(entry.name)?.disabled ?? entry.disabled);
    const filters = absent.includes(true) ? absent : undefined;
    this.#absentByRoute.set(route, { filters });
    return filters;
  }

  /** Whether the chain, its listener or the process is going. */
  get draining(): boolean {
    return this.#draining || this.drain.draining;
  }

  /**
   * From now on responses close their connections. Those that are open go on with the routes there are, also when these are
   * removed beside their listener: Envoy too keeps a route configuration for as long as something uses it.
   */
  startDrain(): void {
    this.#draining = true;
    this.#lastRoutes = this.#routes();
  }

  /** What HTTP/2 connections have in common, made for the first of them: most chains never see one. */
  get http2(): { readonly options: SessionOptions; readonly codecStats: Http2Stats } {
    return (this.#http2 ??= { options: serverSessionOptions(this.config), codecStats: createHttp2Stats(this.#scopes.scope("http2")) });
  }

  /** Counts a stream in. */
  onStreamStart(stream: HttpStream): void {
    if (this.#istio !== undefined && isGrpc(stream.headers)) stream.info.grpcMessages = new GrpcMessages();
    this.stats.downstreamRqTotal.inc();
    if (stream.info.protocol === "HTTP/2") this.stats.downstreamRqHttp2Total.inc();
    else this.stats.downstreamRqHttp1Total.inc();
    this.stats.downstreamRqActive.inc();
  }

  /**
   * Everything that happens to a request before the filters, in Envoy's order; false when it was answered.
   * The authority is known to be there unless the client left it out.
   */
  prepareRequest(stream: HttpStream): boolean {
    const { info } = stream;
    info.method = stream.method;
    info.path = stream.path;
    info.authority = stream.authority;
    if (stream.method === "CONNECT") {
      // Whom it is for is all that it says: there is no path.
      stream.path = "";
      info.path = "";
    } else if (!this.#preparePath(stream)) return false;
    this.#requestRules.apply(stream);
    info.authority = stream.authority;
    info.scheme = stream.scheme;
    this.chooseRoute(stream);
    if (stream.route === undefined && stream.method === "CONNECT") {
      stream.sendLocalReply(replies.connectRouteNotFound);
      return false;
    }
    if (stream.upgrade !== "" && this.#upgradeAllowed(stream)) {
      stream.upgradeAccepted = true;
      this.stats.downstreamCxUpgradesTotal.inc();
      this.stats.downstreamCxUpgradesActive.inc();
    } else if (stream.upgrade !== "") {
      this.stats.downstreamRqWsOnNonWsRoute.inc();
      stream.replyMutator = stream.route?.responseHeaders;
      stream.sendLocalReply(replies.upgradeFailed);
      return false;
    }
    if (stream.expectContinue && !this.config.proxy100Continue) {
      // The proxy itself vouches for continuing, so the upstream need not be asked.
      stream.expectContinue = false;
      stream.codec.encodeInformational(100, noHeaders);
    }
    return true;
  }

  /** As `prepareRequest`, for a request that an internal redirect made: what the rules do to headers was done when it came in. */
  prepareRestarted(stream: HttpStream): boolean {
    const { info } = stream;
    info.method = stream.method;
    info.path = stream.path;
    info.authority = stream.authority;
    info.scheme = stream.scheme;
    if (!this.#preparePath(stream)) return false;
    this.chooseRoute(stream);
    return true;
  }

  /** Normalises the path; false when the request was answered instead. */
  #preparePath(stream: HttpStream): boolean {
    const { info } = stream;
    if (stream.path.charCodeAt(0) !== 47) {
      this.stats.downstreamRqNonRelativePath.inc();
      stream.sendLocalReply(replies.absolutePathRejected);
      return false;
    }
    const path = normalizePath(stream.path, this.#pathOptions);
    if (path.kind === "reject") {
      this.stats.downstreamRqFailedPathNormalization.inc();
      stream.sendLocalReply(replies.pathNormalizationFailed);
      return false;
    }
    if (path.kind === "escaped") {
      info.path = path.path;
      this.stats.downstreamRqFailedPathNormalization.inc();
      stream.sendLocalReply(replies.escapedSlashesRefused);
      return false;
    }
    if (path.kind === "redirect") {
      this.stats.downstreamRqRedirectedWithNormalizedPath.inc();
      info.path = path.path;
      stream.sendLocalReply({ ...plainReply(307, "path_normalization_failed"), headers: [["location", path.path]] });
      return false;
    }
    stream.path = path.path;
    info.path = path.path;
    return true;
  }

  /** Matches the route by what the request is like now: when it arrives, and again when a filter has learnt what routes may ask about. */
  chooseRoute(stream: HttpStream): void {
    const { info } = stream;
    const routes = this.#routes() ?? this.#lastRoutes;
    const route = stream.scheme === "" ? undefined : routes?.match(stream, this.random());
    const action = route?.action;
    stream.route = route;
    stream.absentFilters = this.#absentOn(route);
    stream.target = action?.kind === "route" ? action.pickCluster(stream, this.random()) : undefined;
    info.routeName = route?.name ?? "";
    info.routeMetadata = route?.model?.metadata;
    info.virtualHostName = route?.virtualHost.name ?? "";
    const { target } = stream;
    info.upstreamCluster = target !== undefined && this.#clusters.get(target.name) !== undefined ? target.name : "";
  }

  #upgradeAllowed(stream: HttpStream): boolean {
    const action = stream.route?.action;
    if (action?.kind === "route") {
      const override = action.model.upgrades[stream.upgrade];
      if (override !== undefined) return override;
    }
    return this.config.upgrades[stream.upgrade] ?? false;
  }

  /** The last touches to a response before it is encoded. */
  prepareResponse(stream: HttpStream, headers: HeaderMap): void {
    this.#responseRules.apply(stream, headers);
    // HTTP/1 has no way to say that the rest of the request is not wanted.
    if (!stream.requestComplete && stream.upgrade === "" && stream.info.protocol !== "HTTP/2") stream.closeAfterResponse = true;
    if (this.draining && !stream.closeAfterResponse) {
      stream.closeAfterResponse = true;
      if (stream.codec.noteDraining(stream)) this.stats.downstreamCxDrainClose.inc();
    }
  }

  /** Nothing comes through this chain any more. */
  destroyFilters(): void {
    for (const { filter } of this.#entries) filter.destroy?.();
  }

  /**
   * The end of every stream: filters let go, one access-log record, stats.
   * @param how `restarted`: the client gets the response of the stream that goes on in its place
   */
  onStreamDone(stream: HttpStream, how: "answered" | "restarted" = "answered"): void {
    for (const { filter, index } of this.#completeFilters) filter.onComplete!(stream, index);
    const { info } = stream;
    const { stats } = this;
    stats.downstreamRqActive.dec();
    if (stream.upgradeAccepted) stats.downstreamCxUpgradesActive.dec();
    // Health checks would drown what clients see of the service. One without an answer is not completed.
    if (info.responseCode !== 0 && !info.healthCheck && how === "answered") {
      stats.downstreamRqCompleted.inc();
      stats.downstreamRqByClass[Math.floor(info.responseCode / 100) - 1]?.inc();
    }
    stats.downstreamRqTime.record(info.endMs - info.startMs);
    if (!(stream.responseComplete && stream.requestComplete) && how === "answered") {
      // Whoever ended it: to Envoy every stream that does not end on both sides is one that was reset.
      stats.downstreamRqRxReset.inc();
      if (stream.responseStarted && !stream.requestComplete) stats.downstreamRqResponseBeforeRqComplete.inc();
    }
    this.#istio?.request(info);
    this.log(info);
  }

  /** Writes the access-log record of something that never became a stream (a head that was refused). */
  log(info: HttpStream["info"]): void {
    for (const logger of this.#accessLoggers) logger.log(info);
  }

  /** Writes the record of a connection that a network filter refused: it has no request. */
  logDenied(connection: ConnectionInfo): void {
    const info = new StreamInfo(connection, connection.startWallMs, connection.startMs);
    info.connectionTerminationDetails = connection.denied;
    info.flags = connection.deniedFlags;
    info.endMs = this.clock.nowMs();
    this.log(info);
  }

  /** Early replies of the codec get the same `server`, `date` and `via` as any other. */
  decorateReply(headers: HeaderMap): void {
    this.#responseRules.decorate(headers);
  }
}

const noHeaders = new HeaderMap();
