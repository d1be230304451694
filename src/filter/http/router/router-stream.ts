// One forwarded request: finishes the request headers, gets a connection, relays both bodies with backpressure, retries and
// times out. It is the stream's terminal filter, the pool's waiter and the upstream connection's handler in one object, so
// that a request allocates no closures.
import { ProxyError } from "../../../error.ts";
import { replies, resetAfterResponseDetails, resetFlag, resetReply, type LocalReply } from "../../../http/local-reply.ts";
import type { ClusterTarget, CompiledForward, CompiledRoute } from "../../../http/route/route-table.ts";
import { isGrpc, outlierStatus } from "../../../http/grpc.ts";
import type { HttpStream, TerminalFilter } from "../../../http/stream.ts";
import { flag } from "../../../telemetry/response-flag.ts";
import type { ConnectionInfo } from "../../../telemetry/stream-info.ts";
import type { Priority } from "../../../upstream/circuit-breakers.ts";
import type { Host, LbContext, OverrideHost, UpstreamCluster } from "../../../upstream/cluster.ts";
import type { HttpPool, PoolWaiter, ResponseHandler, UpstreamExchange } from "../../../upstream/pool/exchange.ts";
import { poolOf, type RequestedServer } from "../../../upstream/pool/pool-of.ts";
import { TcpTunnelPool } from "../../../upstream/pool/tcp-tunnel.ts";
import type { Hash64 } from "../../../match/xxhash64.ts";
import { HeaderMap } from "../../../wire/header-map.ts";
import type { Head } from "../../../wire/http1-head.ts";
import { formatGrpcTimeout, grpcRouteTimeout, grpcStreamDuration, parseGrpcTimeout } from "./grpc-timeout.ts";
import { HedgedAttempt, type HedgeOwner } from "./hedge.ts";
import { followRedirect, type RedirectStats } from "./internal-redirect.ts";
import { createMirrors, type MirrorDeps, type Mirrors } from "./mirrors.ts";
import { ReplayBuffer } from "./replay-buffer.ts";
import { finishRequestHeaders, rewriteHost, type RequestRoute } from "./request-headers.ts";
import { requestedServer } from "./requested-server.ts";
import { noControls, takeControls } from "./request-controls.ts";
import { compileRetryPolicy, RetryState, type RetryVerdict } from "./retry-state.ts";

/** What the router needs beside the stream. */
export interface RouterDeps extends MirrorDeps {
  readonly suppressEnvoyHeaders: boolean;
  /** respect_expected_rq_timeout: the request's own x-envoy-expected-rq-timeout-ms replaces the route's timeout. */
  readonly respectExpectedTimeout: boolean;
  readonly redirectStats: RedirectStats;
}

const nothing = Buffer.alloc(0);
const hashing: ReadonlySet<string> = new Set(["RING_HASH", "MAGLEV"]);
const localReset = new ProxyError("internal", { side: "internal" });
const protocolError = new ProxyError("upstream_protocol_error", { side: "upstream" });

/** A request on its way to a cluster. */
export class RouterStream implements TerminalFilter, HedgeOwner, LbContext {
  readonly #stream: HttpStream;
  readonly #route: CompiledRoute;
  readonly #action: CompiledForward;
  readonly #target: ClusterTarget;
  readonly #by: RequestRoute;
  readonly #cluster: UpstreamCluster;
  readonly #deps: RouterDeps;
  readonly #priority: Priority;
  readonly #retry: RetryState | undefined;
  readonly #bodiless: boolean;
  /** Bytes of request body that are kept to be sent again. */
  readonly #replayLimit: number;
  readonly #timeoutMs: number;
  readonly #perTryTimeoutMs: number;
  readonly #alternativeTimeoutStatus: boolean;
  /** The longest an attempt may take, its response's body included; 0 = no limit. */
  readonly #streamDurationMs: number;
  #client: UpstreamExchange | undefined;
  #pool: HttpPool | undefined;
  #host: Host | undefined;
  #backOff: { cancel(): void } | undefined;
  #attemptDuration: { cancel(): void } | undefined;
  readonly #replay = new ReplayBuffer();
  #requestComplete: boolean;
  #trailers: HeaderMap | undefined;
  #completeMs = 0;
  #deadlineMs = 0;
  #attached = false;
  #resent = false;
  #paused = false;
  #ended = false;
  /** The stream's time is that of the read that is being worked off. */
  #stamped = false;
  #setCookie: string | undefined;
  /** The server's name where the request says it; the cluster's own otherwise. */
  #server: RequestedServer | undefined;
  #mirrors: Mirrors | undefined;
  /** An upgrade or CONNECT was agreed to. */
  #tunnelling = false;
  /** Attempts that go on although their time was over; undefined: the request is not hedged. */
  readonly #aside: Set<HedgedAttempt> | undefined;
  /** What the current attempt's connection talks to. */
  #party: PoolWaiter & ResponseHandler = this;
  /** The current attempt's host has been told that it is late. */
  #timeoutNoted = false;
  /** The current attempt has been followed by another already. */
  #retried = false;
  hash: Hash64 | undefined;

  constructor(
    stream: HttpStream,
    route: CompiledRoute,
    action: CompiledForward,
    target: ClusterTarget,
    cluster: UpstreamCluster,
    deps: RouterDeps,
  ) {
    this.#stream = stream;
    this.#route = route;
    this.#action = action;
    this.#target = target;
    this.#by = { route, action, target, suppressEnvoyHeaders: deps.suppressEnvoyHeaders };
    this.#cluster = cluster;
    this.#deps = deps;
    const routePolicy = action.model.retryPolicy ?? route.virtualHost.retryPolicy;
    const controls = stream.internal ? takeControls(stream.headers, routePolicy) : noControls;
    this.#alternativeTimeoutStatus = controls.alternativeTimeoutStatus;
    this.#priority = action.model.priority === "HIGH" ? "high" : "default";
    this.#timeoutMs =
      (deps.respectExpectedTimeout ? positive(stream.headers.get("x-envoy-expected-rq-timeout-ms")) : undefined) ??
      controls.timeoutMs ??
      routeTimeout(action.model, stream.headers);
    this.#streamDurationMs = controls.streamDurationMs ?? cluster.model.http.maxStreamDurationMs;
    const policy = controls.retryPolicy ?? routePolicy;
    const compiled = policy === undefined || stream.upgrade !== "" ? undefined : compileRetryPolicy(policy);
    this.#retry = compiled?.admits(stream.headers) === true ? new RetryState(compiled, cluster, deps.random, this.#priority) : undefined;
    const perTryMs = controls.perTryTimeoutMs ?? policy?.perTryTimeoutMs ?? 0;
    // A try may not take longer than everything.
    this.#perTryTimeoutMs = this.#timeoutMs > 0 && perTryMs >= this.#timeoutMs ? 0 : perTryMs;
    const hedge = controls.hedge ?? action.model.hedgeOnPerTryTimeout ?? route.virtualHost.hedgeOnPerTryTimeout ?? false;
    this.#aside = hedge && this.#perTryTimeoutMs > 0 ? new Set() : undefined;
    this.#replayLimit = replayLimit(route, stream.manager.bufferLimitBytes);
    this.#requestComplete = stream.requestComplete;
    this.#bodiless = stream.requestComplete;
  }

  // --- LbContext -----------------------------------------------------------------------------------------------------

  get downstream(): ConnectionInfo {
    return this.#stream.info.connection;
  }
  get headers(): HeaderMap {
    return this.#stream.headers;
  }
  get metadataMatch(): Readonly<Record<string, unknown>> {
    return this.#target.metadataMatch ?? this.#action.model.metadataMatch;
  }
  get overrideHost(): OverrideHost | undefined {
    // As in Envoy: whoever failed once is not asked for again.
    return this.#stream.info.attemptCount > 1 ? undefined : this.#stream.overrideHost;
  }
  get avoid(): ReadonlySet<Host> | undefined {
    return this.#retry?.tried;
  }
  get avoidAttempts(): number {
    return this.#retry?.policy.model.hostSelectionRetryMaxAttempts ?? 0;
  }

  get #perTryIdleMs(): number {
    return this.#retry?.policy.model.perTryIdleTimeoutMs ?? 0;
  }

  /** The upstream gets the bytes of the tunnel and no HTTP (connect_config). */
  get #terminates(): boolean {
    const { connect } = this.#action.model;
    return connect !== undefined && (this.#stream.upgrade === "connect" || (connect.allowPost && this.#stream.method === "POST"));
  }

  // --- starting ------------------------------------------------------------------------------------------------------

  /** Finishes the headers and makes the first attempt. */
  start(endStream: boolean): void {
    const stream = this.#stream;
    const { timers } = stream;
    const { model } = this.#action;
    if (endStream) this.#completeMs = stream.nowMs;
    if (model.idleTimeoutMs !== undefined) timers.setIdle(model.idleTimeoutMs, stream.nowMs);
    this.#applyMaxDuration();
    timers.attempt = this;
    // Another balancer asks for no hash, and a cookie for it would be issued for nothing.
    if (this.#action.hash !== undefined && hashing.has(this.#cluster.model.lbPolicy.kind)) {
      const { hash, setCookie } = this.#action.hash(stream, stream.info, this.#deps.random);
      this.hash = hash;
      this.#setCookie = setCookie;
    }
    finishRequestHeaders(stream, this.#by, this.#expectedTimeoutMs(this.#timeoutMs));
    const { nameByRequest } = this.#cluster.model.http;
    if (nameByRequest !== undefined) this.#server = requestedServer(nameByRequest, stream);
    // With the headers as they are before the choice of a host changes them.
    const { mirrors } = this.#action;
    const copies = mirrors.length === 0 ? undefined : createMirrors(mirrors, stream, this.#timeoutMs, this.#deps);
    this.#attempt();
    // A request that has nowhere to go is not copied either.
    if (copies === undefined || this.#host === undefined) return;
    copies.start();
    this.#mirrors = copies;
  }

  #applyMaxDuration(): void {
    const { model } = this.#action;
    const { grpcTimeoutHeaderMaxMs, grpcTimeoutHeaderOffsetMs = 0 } = model;
    const { headers } = this.#stream;
    let durationMs = model.maxStreamDurationMs;
    if ((durationMs !== undefined || grpcTimeoutHeaderMaxMs !== undefined) && isGrpc(headers)) {
      const asked = grpcTimeoutHeaderMaxMs === undefined ? undefined : parseGrpcTimeout(headers.get("grpc-timeout"));
      if (asked !== undefined) durationMs = grpcStreamDuration(asked, grpcTimeoutHeaderMaxMs!, grpcTimeoutHeaderOffsetMs);
      // The server is told, too.
      if (asked !== undefined || (durationMs ?? 0) > 0) headers.set("grpc-timeout", formatGrpcTimeout(durationMs!));
      // No time at all is not the same as no limit.
      if (asked !== undefined) durationMs = Math.max(durationMs!, 1);
    }
    if (durationMs !== undefined) this.#stream.timers.setDuration(durationMs, this.#stream.nowMs);
  }

  #expectedTimeoutMs(leftMs: number): number {
    // Attempts that are hedged may take as long as everything.
    const perTry = this.#aside === undefined ? this.#perTryTimeoutMs : 0;
    if (leftMs <= 0) return perTry;
    return Math.round(perTry > 0 && perTry < leftMs ? perTry : leftMs);
  }

  // --- attempts ------------------------------------------------------------------------------------------------------

  #attempt(): void {
    const stream = this.#stream;
    const { info } = stream;
    const cluster = this.#cluster;
    info.attemptCount++;
    const host = cluster.pick(this);
    if (host === undefined) {
      cluster.stats.upstreamCxNoneHealthy.inc();
      cluster.stats.response(replies.noHealthyUpstream.status);
      this.#reply(replies.noHealthyUpstream);
      return;
    }
    this.#host = host;
    this.#retry?.onAttempt(host);
    info.upstreamHost = host.addressText;
    info.upstreamMetadata = host.metadata;
    if (this.#action.model.hostRewrite?.kind === "auto" && host.hostname !== "") rewriteHost(stream, this.#by, host.hostname);
    const { upstreamAlpn: alpn, upstreamAlpnKey: alpnKey } = stream;
    const { upstreamSource: source } = info.connection;
    const pool = this.#terminates
      ? new TcpTunnelPool(host, cluster, source, this.#priority)
      : poolOf(host, cluster, info.protocol, alpn, alpnKey, this.#server, source, this.#deps.clock, this.#priority);
    this.#pool = pool;
    if (this.#aside !== undefined) {
      this.#party = new HedgedAttempt(this);
      this.#timeoutNoted = false;
    }
    const client = pool.acquire(this.#party);
    if (client !== undefined) this.#attach(client);
  }

  #attach(client: UpstreamExchange): void {
    const stream = this.#stream;
    const { info } = stream;
    const { stats, resources } = this.#cluster;
    this.#pool = undefined;
    this.#client = client;
    this.#attached = true;
    resources[this.#priority].requests.take();
    client.host.activeRequests++;
    client.host.onResult("connected");
    stats.upstreamRqTotal.inc();
    stats.upstreamRqActive.inc();
    noteExchange(info, client);
    if (info.firstUpstreamTxMs === 0) info.firstUpstreamTxMs = stream.nowMs;
    const bodyWaits = !this.#bodiless;
    client.send(this.#party, stream, this.#bodiless);
    const { pieces } = this.#replay;
    const ends = this.#requestComplete && this.#trailers === undefined;
    for (let i = 0; i < pieces.length && this.#client === client; i++) client.write(pieces[i]!, ends && i === pieces.length - 1);
    if (bodyWaits && this.#requestComplete && this.#client === client) {
      if (this.#trailers !== undefined) client.writeTrailers(this.#trailers);
      // A body that ended without bytes while the connection was awaited.
      else if (pieces.length === 0) client.write(nothing, true);
    }
    if (bodyWaits && this.#client === client) {
      // What waited for the connection need not be kept unless it may have to be sent again.
      const again = this.#retry !== undefined || this.#action.model.internalRedirects !== undefined;
      if (!again || this.#replay.bytes > this.#replayLimit) this.#replay.drop();
      client.flush();
      if (this.#paused) this.onWritable();
    }
    if (this.#requestComplete) this.#armTimeouts();
    if (this.#streamDurationMs > 0 && this.#client === client)
      this.#attemptDuration = this.#deps.clock.after(this.#streamDurationMs, () => this.#onAttemptDuration(client));
  }

  /** A connection that had to be waited for. */
  onPoolReady(client: UpstreamExchange): void {
    this.#stream.nowMs = this.#deps.clock.nowMs();
    this.#attach(client);
  }

  onPoolFailure(error: ProxyError): void {
    this.#pool = undefined;
    // That the cluster has no room says nothing of the host.
    if (error.code !== "upstream_overflow") this.#host?.onResult("connect_failed");
    if (this.#ended) return;
    this.#failed(error, false);
  }

  /** Envoy counts the route timeout from the end of the request, the per-try timeout from the attempt. */
  #armTimeouts(): void {
    const { timers } = this.#stream;
    const timeoutMs = this.#timeoutMs;
    if (timeoutMs > 0 && this.#deadlineMs === 0) {
      const { nowMs } = this.#stream;
      this.#deadlineMs = nowMs + timeoutMs;
      timers.response.set(timeoutMs, nowMs);
    }
    if (!this.#attached) return;
    const perTryMs = this.#perTryTimeoutMs > 0 ? this.#perTryTimeoutMs : this.#perTryIdleMs;
    if (perTryMs > 0) timers.perTry.set(perTryMs);
  }

  // --- request body (TerminalFilter) ---------------------------------------------------------------------------------

  onRequestData(data: Buffer, endStream: boolean): void {
    this.#requestComplete = endStream;
    this.#mirrors?.write(data, endStream);
    const client = this.#client;
    const { bufferLimitBytes } = this.#stream.manager;
    if (client === undefined) {
      // Whatever comes before there is a connection has to wait for it; reading stops once that is much.
      this.#replay.keep(data, Infinity);
      if (this.#replay.bytes >= bufferLimitBytes) this.#pause();
      return;
    }
    this.#replay.keep(data, this.#replayLimit);
    if (!client.write(data, endStream)) this.#pause();
  }

  onRequestTrailers(trailers: HeaderMap): void {
    this.#requestComplete = true;
    this.#trailers = trailers;
    this.#mirrors?.writeTrailers(trailers);
    this.#client?.writeTrailers(trailers);
  }

  onRequestComplete(): void {
    this.#requestComplete = true;
    if (this.#completeMs === 0) this.#completeMs = this.#stream.nowMs;
    if (!this.#ended) this.#armTimeouts();
  }

  onRequestReadDone(): void {
    this.#client?.flush();
    this.#mirrors?.flush();
  }

  #pause(): void {
    if (this.#paused) return;
    this.#paused = true;
    this.#stream.pauseRequest(true);
  }

  onWritable(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#stream.pauseRequest(false);
  }

  onDownstreamWritable(): void {
    this.#client?.pauseReading(false);
  }

  // --- response (ResponseHandler) ------------------------------------------------------------------------------------

  onInformational(head: Head): void {
    // Other interim responses are dropped, as Envoy does, which counts early hints nevertheless.
    if (head.status === 103) this.#cluster.stats.response(103);
    else if (head.status === 100 && this.#stream.expectContinue) this.#stream.respondInformational(100, head.headers);
  }

  onResponseHead(head: Head, endStream: boolean): void {
    const stream = this.#stream;
    const { info } = stream;
    const { stats } = this.#cluster;
    const { status, headers } = head;
    const now = this.#deps.clock.nowMs();
    stream.nowMs = now;
    this.#stamped = true;
    info.firstUpstreamRxMs = now;
    if (this.#perTryIdleMs > 0) stream.timers.perTry.set(this.#perTryIdleMs, now);
    else stream.timers.perTry.clear();
    if (status === 101 && stream.upgrade === "") {
      // Nobody asked: whatever follows is not HTTP.
      this.#client?.abort();
      this.onResponseReset(protocolError);
      return;
    }
    const redirects = this.#action.model.internalRedirects?.statuses.includes(status) === true;
    if (this.#cluster.model.outlierDetection !== undefined) this.#host?.onResult(outlierStatus(stream.headers, status, headers));
    if (this.#cluster.model.healthCheck !== undefined && headers.has("x-envoy-immediate-health-check-fail"))
      this.#host?.onImmediateHealthCheckFail();
    if (this.#completeMs > 0) stats.upstreamRqTime.record(now - this.#completeMs);
    const retry = this.#retried ? undefined : this.#retry;
    if (retry !== undefined && this.#replay.replayable) {
      const verdict = retry.onResponse(status, headers, this.#deps.clock);
      if (verdict === "retry") {
        const client = this.#client;
        this.#detach();
        if (!endStream) client?.abort();
        stats.retriedResponse(status);
        this.#again(retry);
        return;
      }
      this.#noteVerdict(verdict);
      if (verdict === "no" && retry.used > 0) stats.upstreamRqRetrySuccess.inc();
      if (verdict !== "no" && this.#aside !== undefined && this.#aside.size > 0) {
        // Another attempt may still do better.
        const client = this.#client;
        this.#detach();
        if (!endStream) client?.abort();
        return;
      }
    }
    this.#dropAside();
    if (redirects && this.#redirect(status, headers, endStream)) return;
    if (!info.healthCheck) stats.response(status);
    this.#replay.drop();
    info.responseCodeDetails = "via_upstream";
    if (stream.upgrade !== "" && !(stream.upgrade === "connect" && endStream)) {
      this.#respondToUpgrade(head, endStream);
      return;
    }
    this.#finishResponseHeaders(status, headers, now);
    if (endStream) this.#end();
    stream.respondHeaders(status, headers, endStream);
  }

  /** Follows a redirect in the client's place; false when it is the client's to follow. */
  #redirect(status: number, headers: HeaderMap, endStream: boolean): boolean {
    const stream = this.#stream;
    const { stats } = this.#cluster;
    const { method } = stream;
    const policy = this.#action.model.internalRedirects;
    const whole = stream.requestComplete && this.#replay.replayable && stream.upgrade === "" && method !== "CONNECT";
    if (policy === undefined || !whole || !followRedirect(stream, this.#route, policy, status, headers, this.#deps.redirectStats)) {
      stats.upstreamInternalRedirectFailed.inc();
      return false;
    }
    stats.upstreamInternalRedirectSucceeded.inc();
    const body = stream.method === method ? this.#replay.pieces : [];
    const client = this.#client;
    this.#ended = true;
    this.#retry?.release();
    this.#detach();
    if (!endStream) client?.abort();
    stream.restart(status, headers, body);
    return true;
  }

  #finishResponseHeaders(status: number, headers: HeaderMap, now: number): void {
    const { info } = this.#stream;
    // Header formatters may ask for it.
    info.responseCode = status;
    if (!this.#deps.suppressEnvoyHeaders) {
      // What answers before it has the whole request is not being waited for.
      if (this.#completeMs > 0) headers.set("x-envoy-upstream-service-time", String(Math.max(Math.round(now - this.#completeMs), 0)));
      else headers.remove("x-envoy-upstream-service-time");
      if (this.#route.includeAttemptCountInResponse) headers.set("x-envoy-attempt-count", String(info.attemptCount));
    }
    if (this.#setCookie !== undefined) headers.add("set-cookie", this.#setCookie);
    this.#target.responseHeaders?.apply(headers, info);
    this.#route.responseHeaders?.apply(headers, info);
  }

  /** Only a 101 opens the tunnel (CVE-2024-23326); another answer that is no error goes on without its body. */
  #respondToUpgrade(head: Head, endStream: boolean): void {
    const stream = this.#stream;
    const { headers, status } = head;
    if (stream.upgrade === "connect") return this.#respondToConnect(status, headers);
    if (status === 101) {
      this.#tunnelling = true;
      const answer = new HeaderMap();
      answer.add("upgrade", head.upgrade === "" ? stream.upgrade : head.upgrade);
      answer.add("connection", "Upgrade");
      for (let i = 0; i < headers.size; i++) answer.add(headers.names[i]!, headers.values[i]!);
      stream.timers.response.clear();
      this.#finishResponseHeaders(status, answer, stream.nowMs);
      stream.respondHeaders(101, answer, false);
      stream.codec.startTunnel();
      return;
    }
    stream.closeAfterResponse = true;
    if (status >= 400) {
      this.#finishResponseHeaders(status, headers, stream.nowMs);
      if (endStream) this.#end();
      stream.respondHeaders(status, headers, endStream);
      return;
    }
    stream.info.responseCodeDetails = "websocket_handshake_unsuccessful";
    stream.info.responseCode = status;
    this.#route.responseHeaders?.apply(headers, stream.info);
    headers.remove("content-length");
    headers.remove("content-type");
    const client = this.#client;
    this.#end();
    client?.abort();
    stream.respondHeaders(status, headers, true);
  }

  #respondToConnect(status: number, headers: HeaderMap): void {
    const stream = this.#stream;
    const accepted = status < 300;
    stream.info.responseCode = status;
    this.#target.responseHeaders?.apply(headers, stream.info);
    this.#route.responseHeaders?.apply(headers, stream.info);
    this.#tunnelling = accepted;
    if (accepted) {
      // What a tunnel carries has no length (RFC 9110 section 9.3.6).
      headers.remove("content-length");
      stream.timers.response.clear();
    } else stream.closeAfterResponse = true;
    stream.respondHeaders(status, headers, false);
    if (accepted && !stream.done) stream.codec.startTunnel();
  }

  onResponseData(data: Buffer, endStream: boolean): void {
    if (!this.#stamped) {
      this.#stamped = true;
      this.#stream.nowMs = this.#deps.clock.nowMs();
    }
    if (this.#perTryIdleMs > 0) this.#stream.timers.perTry.set(this.#perTryIdleMs, this.#stream.nowMs);
    if (endStream) this.#end();
    const ok = this.#stream.respondData(data, endStream);
    if (!ok && !endStream) this.#client?.pauseReading(true);
  }

  onResponseTrailers(trailers: HeaderMap): void {
    this.#end();
    this.#stream.respondTrailers(trailers);
  }

  onReadDone(): void {
    this.#stamped = false;
    this.#stream.onResponseReadDone();
  }

  onResponseReset(error: ProxyError): void {
    const sent = this.#client !== undefined;
    this.#detach();
    if (this.#ended) return;
    if (this.#stream.responseStarted) {
      // The end of a tunnel is no failure.
      if (!this.#tunnelling) this.#host?.onResult("connect_failed");
      this.#end();
      if (this.#tunnelling) this.#stream.abortResponse(flag.UC, "upstream_remote_disconnect");
      else this.#stream.abortResponse(resetFlag(error), resetAfterResponseDetails(error));
      return;
    }
    if (error.retryable && !this.#resent && this.#replay.replayable) {
      // The peer had closed the idle connection before it got anything: not a retry, the first real attempt.
      this.#resent = true;
      this.#stream.info.attemptCount--;
      this.#attempt();
      return;
    }
    this.#host?.onResult("connect_failed");
    this.#failed(error, sent);
  }

  // --- failing, retrying, ending -------------------------------------------------------------------------------------

  #failed(error: ProxyError, requestSent: boolean): void {
    const { info } = this.#stream;
    if (error.reason !== undefined) info.upstreamTransportFailureReason = error.reason;
    const retry = this.#retry;
    if (retry !== undefined && !this.#retried && this.#replay.replayable) {
      const verdict = retry.onReset(error, requestSent);
      if (verdict === "retry") {
        this.#again(retry);
        return;
      }
      this.#noteVerdict(verdict);
    }
    this.#cluster.stats.response(resetReply(error, false).status);
    if (this.#aside !== undefined && this.#aside.size > 0) return;
    this.#reply(resetReply(error, (retry?.used ?? 0) > 0));
  }

  /** Others may still get an answer: the current attempt, one that is to come, or one that was set aside. */
  get #othersAwaited(): boolean {
    return this.#client !== undefined || this.#pool !== undefined || this.#backOff !== undefined || (this.#aside?.size ?? 0) > 1;
  }

  onAsideHead(attempt: HedgedAttempt, head: Head, endStream: boolean): void {
    const { client, host } = attempt.aside!;
    const { status, headers } = head;
    if (this.#othersAwaited && (status === 101 || this.#retry?.wants(status, headers) === true)) {
      if (this.#cluster.model.outlierDetection !== undefined) host?.onResult(outlierStatus(this.#stream.headers, status, headers));
      this.#letGo(attempt);
      if (!endStream) client.abort();
      return;
    }
    // It is the first good answer, or the last of all.
    this.#dropCurrent();
    this.#resume(attempt);
    this.onResponseHead(head, endStream);
  }

  onAsideReset(attempt: HedgedAttempt, error: ProxyError): void {
    const others = this.#othersAwaited;
    this.#letGo(attempt);
    attempt.aside!.host?.onResult("connect_failed");
    this.#retried = true;
    if (others) this.#cluster.stats.response(resetReply(error, false).status);
    else this.#failed(error, true);
    this.#retried = false;
  }

  /** An attempt that was set aside is the current one again. */
  #resume(attempt: HedgedAttempt): void {
    const { client, host, duration } = attempt.aside!;
    const { info } = this.#stream;
    this.#aside!.delete(attempt);
    attempt.aside = undefined;
    this.#party = attempt;
    this.#client = client;
    this.#host = host;
    this.#attemptDuration = duration;
    this.#attached = true;
    this.#retried = true;
    info.upstreamHost = client.host.addressText;
    info.upstreamMetadata = client.host.metadata;
    noteExchange(info, client);
  }

  #onSoftTimeout(aside: Set<HedgedAttempt>): void {
    const retry = this.#retry;
    const client = this.#client;
    this.#noteTimeout();
    this.#timeoutNoted = true;
    if (retry === undefined || client === undefined || !this.#replay.replayable) return;
    const verdict = retry.onHedge();
    if (verdict !== "retry") return this.#noteVerdict(verdict);
    const attempt = this.#party as HedgedAttempt;
    attempt.aside = { client, host: this.#host, duration: this.#attemptDuration };
    aside.add(attempt);
    this.#client = undefined;
    this.#attemptDuration = undefined;
    this.#attached = false;
    this.#again(retry);
  }

  /** Its place in the circuit breakers is free. */
  #letGo(attempt: HedgedAttempt): void {
    const { client, duration } = attempt.aside!;
    this.#aside!.delete(attempt);
    duration?.cancel();
    this.#cluster.resources[this.#priority].requests.give();
    this.#cluster.stats.upstreamRqActive.dec();
    client.host.activeRequests--;
  }

  #dropAside(): void {
    if (this.#aside === undefined) return;
    for (const attempt of this.#aside) {
      this.#letGo(attempt);
      attempt.aside!.client.abort();
    }
  }

  #noteVerdict(verdict: RetryVerdict): void {
    if (verdict === "limit") this.#stream.info.flags |= flag.URX;
    else if (verdict === "overflow") this.#stream.info.flags |= flag.UO;
  }

  #again(retry: RetryState): void {
    this.#stream.timers.perTry.clear();
    this.#backOff = retry.schedule(this.#deps.clock, () => {
      this.#backOff = undefined;
      if (this.#ended) return;
      this.#refreshAttemptHeaders();
      this.#attempt();
    });
  }

  #refreshAttemptHeaders(): void {
    const { headers, info } = this.#stream;
    if (this.#deps.suppressEnvoyHeaders) return;
    if (this.#route.includeAttemptCount) headers.set("x-envoy-attempt-count", String(info.attemptCount + 1));
    if (this.#deadlineMs > 0) {
      const leftMs = Math.max(this.#deadlineMs - this.#deps.clock.nowMs(), 1);
      headers.set("x-envoy-expected-rq-timeout-ms", String(this.#expectedTimeoutMs(leftMs)));
    }
  }

  onResponseTimeout(): void {
    this.#countTimeouts();
    if (!this.#timeoutNoted) this.#noteTimeout();
    this.#release();
    if (this.#stream.responseStarted) this.#stream.abortResponse(flag.UT, replies.responseTimeout.details);
    else this.#reply(this.#timeoutReply(replies.responseTimeout));
  }

  /** Each attempt that is under way counts, and as answered with the timeout where it has no answer. */
  #countTimeouts(): void {
    const current = this.#client !== undefined || this.#pool !== undefined ? 1 : 0;
    const { status } = this.#timeoutReply(replies.responseTimeout);
    const { stats } = this.#cluster;
    for (let late = current + (this.#aside?.size ?? 0); late > 0; late--) {
      stats.upstreamRqTimeout.inc();
      if (!this.#stream.responseStarted) stats.response(status);
    }
  }

  #timeoutReply(reply: LocalReply): LocalReply {
    return this.#alternativeTimeoutStatus ? { ...reply, status: 204, body: "" } : reply;
  }

  onPerTryTimeout(): void {
    const retry = this.#retry;
    if (this.#ended) return;
    if (this.#aside !== undefined) return this.#onSoftTimeout(this.#aside);
    this.#cluster.stats.upstreamRqPerTryTimeout.inc();
    this.#noteTimeout();
    this.#release();
    if (this.#stream.responseStarted) {
      this.#stream.abortResponse(flag.UT, replies.perTryIdleTimeout.details);
      return;
    }
    const verdict = retry !== undefined && this.#replay.replayable ? retry.onPerTryTimeout() : "no";
    if (retry !== undefined && verdict === "retry") {
      this.#again(retry);
      return;
    }
    this.#noteVerdict(verdict);
    this.#cluster.stats.response(this.#timeoutReply(replies.perTryTimeout).status);
    this.#reply(this.#timeoutReply(this.#perTryTimeoutMs > 0 ? replies.perTryTimeout : replies.perTryIdleTimeout));
  }

  /** The attempt took longer than max_stream_duration of its cluster, or its client, allows. */
  #onAttemptDuration(client: UpstreamExchange): void {
    const stream = this.#stream;
    if (this.#ended) return;
    this.#cluster.stats.upstreamRqMaxDurationReached.inc();
    if (client !== this.#client) {
      const late = [...(this.#aside ?? [])].find((attempt) => attempt.aside?.client === client);
      if (late === undefined) return;
      client.abort();
      this.onAsideReset(late, localReset);
      return;
    }
    this.#release();
    if (stream.responseStarted) {
      stream.abortResponse(flag.UMSDR, replies.upstreamDurationComplete.details);
      return;
    }
    const retry = this.#retry;
    if (retry !== undefined && this.#replay.replayable) {
      const verdict = retry.onReset(localReset, true);
      if (verdict === "retry") return this.#again(retry);
      this.#noteVerdict(verdict);
    }
    this.#reply(stream.requestComplete ? replies.upstreamDurationComplete : replies.upstreamDurationIncomplete);
  }

  // A request that still waits for a connection, or for its next attempt, has no host to blame.
  #noteTimeout(): void {
    if (this.#attached && !this.#stream.responseStarted) this.#host?.onResult("timeout");
  }

  #reply(reply: LocalReply): void {
    const { attemptCount } = this.#stream.info;
    this.#end();
    const counted = attemptCount > 0 && this.#route.includeAttemptCountInResponse && !this.#deps.suppressEnvoyHeaders;
    const headers = [...(reply.headers ?? []), ["x-envoy-attempt-count", String(attemptCount)] as const];
    this.#stream.sendLocalReply(counted ? { ...reply, headers } : reply);
  }

  onStreamReset(): void {
    // Not #end(): that would let go of the connection without breaking its exchange off.
    this.#ended = true;
    this.#mirrors?.end();
    this.#release();
  }

  /** Lets go of whatever the attempt holds. */
  #release(): void {
    this.#dropAside();
    this.#dropCurrent();
  }

  #dropCurrent(): void {
    this.#retry?.release();
    this.#backOff?.cancel();
    this.#backOff = undefined;
    this.#pool?.cancel(this.#party);
    this.#pool = undefined;
    const client = this.#client;
    this.#detach();
    client?.abort();
  }

  /** The attempt is over: its place in the circuit breakers is free. */
  #detach(): void {
    const client = this.#client;
    this.#attemptDuration?.cancel();
    this.#attemptDuration = undefined;
    this.#client = undefined;
    if (!this.#attached) return;
    this.#attached = false;
    this.#cluster.resources[this.#priority].requests.give();
    this.#cluster.stats.upstreamRqActive.dec();
    if (client !== undefined) client.host.activeRequests--;
    else if (this.#host !== undefined) this.#host.activeRequests--;
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#dropAside();
    this.#retry?.release();
    const client = this.#client;
    if (client !== undefined && this.#stream.requestComplete) this.#detach();
  }
}

function noteExchange(info: HttpStream["info"], client: UpstreamExchange): void {
  info.upstreamLocalAddress = client.localAddress;
  info.upstreamTls = client.peer;
  info.upstreamProtocol = client.protocol;
}

function replayLimit({ model, virtualHost }: CompiledRoute, limitBytes: number): number {
  const own = model?.bodyBuffer ?? virtualHost.bodyBuffer;
  return own?.limitBytes ?? Math.min(own?.perRequestBytes ?? limitBytes, limitBytes);
}

function routeTimeout({ timeoutMs, maxGrpcTimeoutMs, grpcTimeoutOffsetMs = 0 }: CompiledForward["model"], headers: HeaderMap): number {
  if (maxGrpcTimeoutMs === undefined || !isGrpc(headers)) return timeoutMs;
  return grpcRouteTimeout(headers.get("grpc-timeout"), maxGrpcTimeoutMs, grpcTimeoutOffsetMs);
}

function positive(text: string | undefined): number | undefined {
  return text !== undefined && /^[1-9][0-9]{0,9}$/.test(text) ? Number(text) : undefined;
}
