// One HTTP exchange, whatever the protocol on either side: holds what filters see, runs them in order, and ends in exactly
// one access-log record. The codec below it and the terminal filter (the router) above it talk only through it.
import { ProxyError } from "../error.ts";
import { keepReadBuffer } from "../net/socket-reader.ts";
import { flag } from "../telemetry/response-flag.ts";
import { StreamInfo, type ConnectionInfo } from "../telemetry/stream-info.ts";
import { grpcStatusOf } from "../wire/grpc-status.ts";
import { HeaderMap } from "../wire/header-map.ts";
import type { OverrideHost } from "../upstream/cluster.ts";
import type { DownstreamCodec } from "./codec.ts";
import type { HttpManager } from "./connection-manager.ts";
import { encodeGrpcMessage, isGrpc } from "./grpc.ts";
import { replies, type LocalReply } from "./local-reply.ts";
import type { MappedReply } from "./reply-mapper.ts";
import type { ResponseThrottle, ThrottledSink } from "./response-throttle.ts";
import type { ClusterTarget, CompiledRoute, HeaderMutator, RouteRequest } from "./route/route-table.ts";
import type { StreamTimers } from "./stream-timers.ts";

/** The last filter: consumes the request and produces the response. */
export interface TerminalFilter {
  onRequestData(data: Buffer, endStream: boolean): void;
  onRequestTrailers(trailers: HeaderMap): void;
  /** The request is complete (its last byte was passed on or there was no body). */
  onRequestComplete(): void;
  /** A read of the downstream connection was worked off. */
  onRequestReadDone(): void;
  /** Downstream takes bytes again. */
  onDownstreamWritable(): void;
  /** The exchange ended without the terminal filter's doing: release everything. */
  onStreamReset(): void;
}

const empty = Buffer.alloc(0);

/** Sees the bytes of a gRPC call without touching them, before filters do; what it wants of the headers it asks for as a filter. */
export interface GrpcMessageObserver {
  onRequestData(data: Buffer): void;
  onResponseData(data: Buffer): void;
}

/** The internal redirects of one request of a client's. */
export interface FollowedRedirects {
  count: number;
  /** Routes gone to, by the name of the route whose response said so; for routes that ask. */
  readonly routes: Map<string, Set<string>>;
}

/** One request and its response. */
export class HttpStream implements RouteRequest, ThrottledSink {
  readonly manager: HttpManager;
  readonly codec: DownstreamCodec;
  /** One a record: a request that an internal redirect makes anew gets another. */
  info: StreamInfo;
  readonly timers: StreamTimers;
  /** Without `host`, which is `authority`. */
  readonly headers: HeaderMap;
  method: string;
  /** With query; normalised before routing, rewritten by the router. */
  path: string;
  authority: string;
  /** Empty until the request rules have found it, unless the client gave one that is served. */
  scheme: string;
  /** `websocket` and the like when the client asks for an upgrade; empty otherwise. */
  readonly upgrade: string;
  /** The client waits for 100 Continue. */
  expectContinue: boolean;
  /** The request comes from a trusted internal address: its x-envoy-* control headers count. */
  internal = false;
  route: CompiledRoute | undefined = undefined;
  /** The cluster drawn for a forward, when the route was matched. */
  target: ClusterTarget | undefined = undefined;
  responseHeaders: HeaderMap | undefined = undefined;
  /** ALPN offered upstream instead of the cluster's own (Istio's ALPN filter). */
  upstreamAlpn: readonly string[] | undefined = undefined;
  upstreamAlpnKey = "";
  /** Where the first attempt goes if that host may serve (the stateful session filter). */
  overrideHost: OverrideHost | undefined = undefined;
  /** True by index for filters that have no part in this stream: none of their hooks is called, but onComplete. Undefined = there is none. */
  absentFilters: readonly boolean[] | undefined;
  /** State of filters, by their index. */
  filterState: unknown[] | undefined = undefined;
  requestComplete = false;
  responseStarted = false;
  responseComplete = false;
  /** The route, or the chain, allows the upgrade that was asked for. */
  upgradeAccepted = false;
  /** Header changes for local replies: the router sets the route's, so that its own replies carry them too (as in Envoy). */
  replyMutator: HeaderMutator | undefined = undefined;
  /** The clock's time in the socket event that is being worked off: asked for once an event, read by everything in it. */
  nowMs: number;
  /** Bytes of request body that are held back before the client is made to wait; the buffer filter has a limit of its own. */
  bufferLimitBytes: number;
  /** What counts the messages of a gRPC call as they pass. */
  grpcMessages: GrpcMessageObserver | undefined = undefined;
  /** Ask for `connection: close` on the response. */
  closeAfterResponse = false;
  /** What internal redirects have been followed for this request of the client's. */
  redirects: FollowedRedirects | undefined = undefined;
  #terminal: TerminalFilter | undefined = undefined;
  #done = false;
  #held: Buffer[] | undefined = undefined;
  #heldBytes = 0;
  #heldTrailers: HeaderMap | undefined = undefined;
  /** Slows the response's body down. */
  responseThrottle: ResponseThrottle | undefined = undefined;
  /** Called after each piece of request body that is held back, and when it is complete; a filter that wants to see it sets this. */
  onHeldBody: (() => void) | undefined = undefined;
  /** False where local replies are not gRPC's although the request has become gRPC on its way. */
  grpcReplies: false | undefined = undefined;
  #added: HeaderMap | undefined = undefined;
  #stoppedAt = -1;
  #responseStoppedAt = -1;
  #heldResponse: { data: Buffer[]; bytes: number; trailers: HeaderMap | undefined; end: boolean; headersEnd: boolean } | undefined =
    undefined;
  /**
   * Called after each piece of a held response, and when it is complete. A filter that wants all of it sets this, and bounds it: while it
   * is set the upstream is not paused.
   */
  onBufferedResponse: (() => void) | undefined = undefined;

  constructor(
    manager: HttpManager,
    codec: DownstreamCodec,
    connection: ConnectionInfo,
    timers: StreamTimers,
    request: {
      readonly headers: HeaderMap;
      readonly method: string;
      readonly path: string;
      readonly authority: string;
      readonly protocol: string;
      readonly upgrade: string;
      readonly expectContinue: boolean;
      /** As the client gave it, which HTTP/1 clients do not. */
      readonly scheme?: string;
    },
  ) {
    this.manager = manager;
    this.bufferLimitBytes = manager.bufferLimitBytes;
    this.absentFilters = manager.absentFilters;
    this.codec = codec;
    this.timers = timers;
    this.headers = request.headers;
    this.method = request.method;
    this.path = request.path;
    this.authority = request.authority;
    this.scheme = request.scheme === "https" || request.scheme === "http" ? request.scheme : "";
    this.upgrade = request.upgrade;
    this.expectContinue = request.expectContinue;
    const { clock } = manager;
    this.nowMs = clock.nowMs();
    const info = new StreamInfo(connection, clock.wallMs(), this.nowMs);
    info.protocol = request.protocol;
    info.requestHeaders = request.headers;
    this.info = info;
  }

  /** Downstream TLS facts for route matching. */
  get tls(): { readonly presented: boolean; readonly validated: boolean } | undefined {
    return this.info.connection.tls;
  }

  /** True once the exchange is over. */
  get done(): boolean {
    return this.#done;
  }

  // --- request direction ---------------------------------------------------------------------------------------------

  /** The codec has a request head. Nothing may be delivered before this. */
  start(endStream: boolean): void {
    this.requestComplete = endStream;
    this.manager.onStreamStart(this);
    this.timers.start(this);
    if (!this.manager.prepareRequest(this)) return;
    this.#runRequestFilters(0);
  }

  /**
   * Starts over with the request as it is now: an internal redirect. What went on so far is a record of its own; all filters see the
   * request again. To be called before a response was begun, by the terminal filter, once all of the request is there.
   * @param status of the response that is not passed on
   * @param body pieces that the request goes on with; empty = none
   */
  restart(status: number, responseHeaders: HeaderMap, body: readonly Buffer[]): void {
    const { info, manager } = this;
    info.responseCode = status;
    info.responseCodeDetails = "internal_redirect";
    info.responseHeaders = responseHeaders;
    this.#terminal = undefined;
    this.timers.stop();
    info.endMs = this.nowMs = manager.clock.nowMs();
    manager.onStreamDone(this, "restarted");
    this.#reset(body);
    manager.onStreamStart(this);
    this.timers.start(this);
    if (manager.prepareRestarted(this)) this.#runRequestFilters(0);
    this.codec.flush();
  }

  #reset(body: readonly Buffer[]): void {
    const { info: before, manager } = this;
    const info = new StreamInfo(before.connection, manager.clock.wallMs(), this.nowMs);
    info.protocol = before.protocol;
    info.requestHeaders = this.headers;
    info.forwardedRemote = before.forwardedRemote;
    this.info = info;
    this.route = undefined;
    this.target = undefined;
    this.filterState = undefined;
    this.grpcMessages = undefined;
    this.grpcReplies = undefined;
    this.replyMutator = undefined;
    this.upstreamAlpn = undefined;
    this.upstreamAlpnKey = "";
    this.overrideHost = undefined;
    this.responseThrottle = undefined;
    this.bufferLimitBytes = manager.bufferLimitBytes;
    this.absentFilters = manager.absentFilters;
    this.onHeldBody = undefined;
    this.onBufferedResponse = undefined;
    this.#added = undefined;
    this.#stoppedAt = -1;
    this.#held = body.length === 0 ? undefined : [...body];
    this.#heldBytes = body.reduce((sum, piece) => sum + piece.length, 0);
    this.#heldTrailers = undefined;
    // As in Envoy, bytes that are sent again are counted again.
    info.bytesReceived = before.bytesReceived + this.#heldBytes;
  }

  /** Goes on after a filter returned `stop`. */
  continueRequest(): void {
    const at = this.#stoppedAt;
    if (at < 0 || this.#done || this.responseStarted) return;
    this.#stoppedAt = -1;
    this.#runRequestFilters(at + 1);
  }

  /** A filter has changed or learnt what routes may ask about: the route, and the cluster with it, is chosen again. */
  clearRouteCache(): void {
    this.manager.chooseRoute(this);
  }

  #runRequestFilters(from: number): void {
    const filters = this.manager.requestHeaderFilters;
    for (let i = from; i < filters.length; i++) {
      const { filter, index } = filters[i]!;
      if (this.absentFilters?.[index] === true) continue;
      const status = filter.onRequestHeaders!(this, this.requestComplete && this.#held === undefined, index);
      if (this.responseStarted || this.#done) return;
      if (status === "stop") {
        this.#stoppedAt = i;
        return;
      }
    }
    const terminal = this.manager.terminal.start(this, this.requestComplete && this.#held === undefined);
    if (terminal === undefined || this.#done || this.responseStarted) return;
    this.#terminal = terminal;
    this.#deliverHeld(terminal);
  }

  #deliverHeld(terminal: TerminalFilter): void {
    const held = this.#held;
    if (held !== undefined) {
      this.#held = undefined;
      if (this.#heldBytes >= this.bufferLimitBytes) this.codec.pauseRequest(false);
      this.#heldBytes = 0;
      for (let i = 0; i < held.length && !this.#done; i++) {
        this.#passData(terminal, held[i]!, this.requestComplete && this.#heldTrailers === undefined && i === held.length - 1);
      }
      if (this.#heldTrailers !== undefined && !this.#done) this.#passTrailers(terminal, this.#heldTrailers);
    }
    if (this.requestComplete && !this.#done) terminal.onRequestComplete();
  }

  /** Body bytes from the codec. */
  onRequestData(data: Buffer, endStream: boolean): void {
    if (this.#done) return;
    this.info.bytesReceived += data.length;
    this.info.grpcMessages?.request.count(data);
    this.requestComplete = endStream;
    this.#stamp();
    this.grpcMessages?.onRequestData(data);
    const terminal = this.#terminal;
    if (terminal === undefined) {
      if (this.responseStarted) {
        // The reply was sent already (or is on its way): the rest of the request has nowhere to go.
        return;
      }
      keepReadBuffer();
      (this.#held ??= []).push(data);
      const before = this.#heldBytes;
      this.#heldBytes += data.length;
      const limit = this.bufferLimitBytes;
      if (before < limit && this.#heldBytes >= limit) this.codec.pauseRequest(true);
      this.onHeldBody?.();
      return;
    }
    this.#passData(terminal, data, endStream);
    if (endStream) terminal.onRequestComplete();
  }

  #passData(terminal: TerminalFilter, data: Buffer, endStream: boolean): void {
    const filters = this.manager.requestDataFilters;
    if (filters.length === 0) terminal.onRequestData(data, endStream);
    else this.#filterRequestData(terminal, data, endStream, -1);
  }

  /** `after`: only filters behind this index see the bytes. */
  #filterRequestData(terminal: TerminalFilter, data: Buffer, endStream: boolean, after: number): void {
    let bytes = data;
    let end = endStream;
    let trailersFrom = -1;
    // What a filter does with the bytes is its own affair.
    keepReadBuffer();
    for (const { filter, index } of this.manager.requestDataFilters) {
      if (index <= after || this.absentFilters?.[index] === true) continue;
      bytes = filter.onRequestData!(this, bytes, end, index);
      if (this.responseStarted || this.#done) return;
      if (end && this.#added !== undefined) {
        end = false;
        trailersFrom = index;
      }
    }
    terminal.onRequestData(bytes, end);
    const trailers = this.#added;
    if (trailers === undefined || this.#done) return;
    this.#added = undefined;
    this.#filterRequestTrailers(terminal, trailers, trailersFrom);
  }

  /** An event of its own moved bytes. */
  #stamp(): void {
    this.nowMs = this.manager.clock.nowMs();
    this.timers.touch(this.nowMs);
  }

  /** Trailers from the codec; the request is complete. */
  onRequestTrailers(trailers: HeaderMap): void {
    if (this.#done) return;
    this.requestComplete = true;
    this.#stamp();
    if (this.#terminal === undefined) {
      this.#held ??= [];
      this.#heldTrailers = trailers;
      this.onHeldBody?.();
      return;
    }
    this.#passTrailers(this.#terminal, trailers);
    this.#terminal.onRequestComplete();
  }

  #passTrailers(terminal: TerminalFilter, trailers: HeaderMap): void {
    this.#filterRequestTrailers(terminal, trailers, -1);
  }

  #filterRequestTrailers(terminal: TerminalFilter, trailers: HeaderMap, after: number): void {
    for (const { filter, index } of this.manager.requestTrailerFilters) {
      if (index <= after || this.absentFilters?.[index] === true) continue;
      const bytes = filter.onRequestTrailers!(this, trailers, index);
      if (bytes !== undefined && bytes.length > 0) this.#filterRequestData(terminal, bytes, false, index);
      if (this.responseStarted || this.#done) return;
    }
    terminal.onRequestTrailers(trailers);
  }

  /** Trailers of a filter's own behind a message that has none: to be called in a data hook whose piece is the last. */
  addTrailers(): HeaderMap {
    return (this.#added ??= new HeaderMap());
  }

  /** Bytes of request body held back while a filter holds the stream. */
  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** A copy of what is held back, `maxBytes` of it at most. */
  copyHeldBody(maxBytes: number): Buffer {
    const held = this.#held ?? [];
    return Buffer.concat(held).subarray(0, maxBytes);
  }

  /** Puts another body in the place of what is held back, all of it being there. */
  replaceHeldBody(body: Buffer): void {
    if (this.#held === undefined) return;
    if (this.headers.has("content-length")) this.headers.set("content-length", String(body.length));
    this.#held = body.length === 0 && this.#heldTrailers === undefined ? undefined : body.length === 0 ? [] : [body];
    if (this.#held === undefined && this.#heldBytes >= this.bufferLimitBytes) this.codec.pauseRequest(false);
  }

  /** A read was worked off by the codec. */
  onRequestReadDone(): void {
    this.#terminal?.onRequestReadDone();
  }

  /** The terminal filter cannot take more request bytes for now. */
  pauseRequest(paused: boolean): void {
    if (!this.#done) this.codec.pauseRequest(paused);
  }

  // --- response direction --------------------------------------------------------------------------------------------

  /** Sends a reply of the proxy's own instead of whatever would have come. Nothing happens when a response has begun. */
  sendLocalReply(reply: LocalReply): void {
    if (this.responseStarted || this.#done) return;
    // A timer or a filter may have brought it here long after the last event.
    this.nowMs = this.manager.clock.nowMs();
    this.#abandonTerminal();
    const { status, headers, body } = this.#encodeReply(reply);
    this.info.responseCode = status;
    this.respondHeaders(status, headers, body === undefined);
    if (body !== undefined && !this.#done) this.respondData(body, true);
    this.codec.flush();
  }

  /** A reply as it is sent, noted for the log. The body is undefined where there is none. */
  #encodeReply(reply: LocalReply): { readonly status: number; readonly headers: HeaderMap; readonly body: Buffer | undefined } {
    const { info } = this;
    info.flags |= reply.flags;
    info.responseCodeDetails = reply.details;
    // A half-read request leaves the connection in no state for another one.
    if (reply.close || !this.requestComplete) this.closeAfterResponse = true;
    const headers = new HeaderMap();
    if (reply.headers !== undefined) for (const [name, value] of reply.headers) headers.add(name, value);
    if (this.grpcReplies !== false && isGrpc(this.headers)) {
      this.replyMutator?.apply(headers, info);
      if (reply.set !== undefined) setFields(headers, reply.set);
      const { status, message } = this.#map(reply, headers);
      // The content type of a gRPC answer is not the reply's to choose.
      headers.set("content-type", "application/grpc");
      if (!headers.has("grpc-status")) headers.add("grpc-status", String(reply.grpcStatus ?? grpcStatusOf(status)));
      if (message !== "") headers.set("grpc-message", encodeGrpcMessage(message));
      return { status: 200, headers, body: undefined };
    }
    info.responseCode = reply.status;
    if (reply.set !== undefined) setFields(headers, reply.set);
    this.replyMutator?.apply(headers, info);
    if (reply.contentType !== undefined) headers.set("content-type", reply.contentType);
    const { status, body } = this.#map(reply, headers);
    const noContent = status === 204 || status < 200 || status === 304;
    if (body === "") headers.remove("content-type");
    else if (!noContent) {
      headers.set("content-length", String(body.length));
      if (!headers.has("content-type")) headers.add("content-type", "text/plain");
    }
    const headersOnly = body === "" || noContent || this.method === "HEAD";
    return { status, headers, body: headersOnly ? undefined : Buffer.from(body, "latin1") };
  }

  /** What the configuration makes of a reply. */
  #map(reply: LocalReply, headers: HeaderMap): Pick<MappedReply, "status" | "body" | "message"> {
    const { replyMapper } = this.manager;
    if (replyMapper === undefined) return { status: reply.status, body: reply.body, message: reply.body };
    const mapped = replyMapper(this.info, reply.status, reply.body, headers);
    if (mapped.contentType !== undefined) headers.set("content-type", mapped.contentType);
    return mapped;
  }

  #abandonTerminal(): void {
    const terminal = this.#terminal;
    this.#terminal = undefined;
    terminal?.onStreamReset();
  }

  /** Passes an interim response on. */
  respondInformational(status: number, headers: HeaderMap): void {
    if (!this.responseStarted && !this.#done) this.codec.encodeInformational(status, headers);
  }

  /** Response headers from the terminal filter (or a local reply): response filters run, then they are encoded. */
  respondHeaders(status: number, headers: HeaderMap, endStream: boolean): void {
    if (this.responseStarted || this.#done) return;
    this.responseStarted = true;
    this.#held = undefined;
    this.info.responseCode = status;
    this.responseHeaders = headers;
    this.info.responseHeaders = headers;
    this.timers.touch(this.nowMs);
    this.#runResponseFilters(this.manager.responseHeaderFilters.length - 1, endStream);
  }

  #runResponseFilters(from: number, endStream: boolean): void {
    const filters = this.manager.responseHeaderFilters;
    for (let i = from; i >= 0; i--) {
      const { filter, index } = filters[i]!;
      if (this.absentFilters?.[index] === true) continue;
      if (filter.onResponseHeaders!(this, endStream, index) === "stop") {
        this.#responseStoppedAt = i;
        this.#heldResponse = { data: [], bytes: 0, trailers: undefined, end: endStream, headersEnd: endStream };
        return;
      }
      if (this.#done) return;
    }
    const { info } = this;
    // An HTTP/1 client that has its answer need not be waited for to send the rest (as in Envoy).
    if (!this.requestComplete && this.upgrade === "" && info.protocol !== "HTTP/2") this.closeAfterResponse = true;
    this.manager.prepareResponse(this, this.responseHeaders!);
    info.firstDownstreamTxMs = this.nowMs;
    this.codec.encodeHeaders(this, info.responseCode, this.responseHeaders!, endStream);
    if (endStream) this.#finishResponse();
  }

  /** Goes on after a response filter returned `stop`. */
  continueResponse(): void {
    const at = this.#responseStoppedAt;
    const held = this.#heldResponse;
    if (at < 0 || held === undefined || this.#done) return;
    this.#responseStoppedAt = -1;
    this.#heldResponse = undefined;
    this.nowMs = this.manager.clock.nowMs();
    this.#runResponseFilters(at - 1, held.headersEnd);
    for (let i = 0; i < held.data.length && !this.#done; i++)
      this.respondData(held.data[i]!, held.end && held.trailers === undefined && i === held.data.length - 1);
    if (held.trailers !== undefined && !this.#done) this.respondTrailers(held.trailers);
    else if (held.end && !held.headersEnd && held.data.length === 0) this.respondData(empty, true);
    if (this.#done) return;
    this.codec.flush();
    this.resumeResponse();
  }

  /** Bytes of response body held back while a filter holds the response. */
  get heldResponseBytes(): number {
    return this.#heldResponse?.bytes ?? 0;
  }

  /** All of a held response is there. */
  get heldResponseComplete(): boolean {
    return this.#heldResponse?.end === true;
  }

  /** A copy of the body that is held back. */
  copyHeldResponse(): Buffer {
    return Buffer.concat(this.#heldResponse?.data ?? []);
  }

  /** Puts another body in the place of what is held back, all of it being there. */
  replaceHeldResponse(body: Buffer): void {
    const held = this.#heldResponse;
    if (held === undefined) return;
    if (this.responseHeaders?.has("content-length") === true) this.responseHeaders.set("content-length", String(body.length));
    held.data = body.length === 0 ? [] : [body];
    held.bytes = body.length;
    held.headersEnd = body.length === 0 && held.trailers === undefined;
  }

  /** Lets the upstream go on after held bytes paused it. */
  resumeResponse(): void {
    if (!this.#done) this.#terminal?.onDownstreamWritable();
  }

  /** Sends a reply in place of a response that a filter holds. */
  replaceResponse(reply: LocalReply): void {
    const at = this.#responseStoppedAt;
    if (at < 0 || this.#heldResponse === undefined || this.#done) return;
    this.#responseStoppedAt = -1;
    this.#heldResponse = undefined;
    this.#abandonTerminal();
    this.nowMs = this.manager.clock.nowMs();
    const { status, headers, body } = this.#encodeReply(reply);
    this.info.responseCode = status;
    this.responseHeaders = headers;
    this.info.responseHeaders = headers;
    this.#runResponseFilters(at - 1, body === undefined);
    if (body !== undefined && !this.#done) this.respondData(body, true);
    this.codec.flush();
  }

  /** Response body bytes; false: stop reading upstream until `onDownstreamWritable`. */
  respondData(data: Buffer, endStream: boolean): boolean {
    if (this.#done) return true;
    const held = this.#heldResponse;
    if (held === undefined) this.grpcMessages?.onResponseData(data);
    else {
      keepReadBuffer();
      if (data.length > 0) held.data.push(data);
      held.bytes += data.length;
      held.end = endStream;
      if (this.onBufferedResponse === undefined) return false;
      this.onBufferedResponse();
      return true;
    }
    const ok = this.#filterResponseData(data, endStream, Infinity);
    if (endStream && this.responseThrottle === undefined) this.#finishResponse();
    return ok;
  }

  /** `before`: only filters in front of this index see the bytes. */
  #filterResponseData(data: Buffer, endStream: boolean, before: number): boolean {
    let bytes = data;
    let end = endStream;
    let trailersFrom = 0;
    const filters = this.manager.responseDataFilters;
    if (filters.length > 0) keepReadBuffer();
    for (let i = filters.length - 1; i >= 0; i--) {
      const { filter, index } = filters[i]!;
      if (index >= before || this.absentFilters?.[index] === true) continue;
      bytes = filter.onResponseData!(this, bytes, end, index);
      if (this.#done) return true;
      if (end && this.#added !== undefined) {
        end = false;
        trailersFrom = index;
      }
    }
    const throttle = this.responseThrottle;
    const ok = throttle === undefined ? this.#sendData(bytes, end) : throttle.write(bytes, end);
    const trailers = this.#added;
    if (trailers !== undefined) {
      this.#added = undefined;
      this.#filterResponseTrailers(trailers, trailersFrom);
    }
    return ok;
  }

  #sendData(bytes: Buffer, end: boolean): boolean {
    this.timers.touch(this.nowMs);
    this.info.bytesSent += bytes.length;
    this.info.grpcMessages?.response.count(bytes);
    return bytes.length === 0 && !end ? true : this.codec.encodeData(bytes.length === 0 ? empty : bytes, end);
  }

  // --- ThrottledSink -------------------------------------------------------------------------------------------------

  onThrottledData(data: Buffer, endStream: boolean): void {
    if (this.#done) return;
    this.nowMs = this.manager.clock.nowMs();
    this.#sendData(data, endStream);
    if (endStream) this.#finishResponse();
    else this.codec.flush();
  }

  onThrottledTrailers(trailers: HeaderMap): void {
    if (this.#done) return;
    this.codec.encodeTrailers(trailers);
    this.#finishResponse();
  }

  onThrottleDrained(): void {
    this.resumeResponse();
  }

  /** Response trailers; the response is complete. */
  respondTrailers(trailers: HeaderMap): void {
    if (this.#done) return;
    const held = this.#heldResponse;
    if (held !== undefined) {
      held.trailers = trailers;
      held.end = true;
      this.onBufferedResponse?.();
      return;
    }
    this.#filterResponseTrailers(trailers, Infinity);
    if (!this.#done && this.responseThrottle === undefined) this.#finishResponse();
  }

  #filterResponseTrailers(trailers: HeaderMap, before: number): void {
    const filters = this.manager.responseTrailerFilters;
    for (let i = filters.length - 1; i >= 0; i--) {
      const { filter, index } = filters[i]!;
      if (index >= before || this.absentFilters?.[index] === true) continue;
      const bytes = filter.onResponseTrailers!(this, trailers, index);
      if (bytes !== undefined && bytes.length > 0) this.#filterResponseData(bytes, false, index);
      if (this.#done) return;
    }
    this.info.responseTrailers = trailers;
    // A filter may have put them elsewhere.
    const throttle = this.responseThrottle;
    const gone = trailers.size === 0 && filters.length > 0;
    if (throttle !== undefined) {
      if (gone) throttle.write(empty, true);
      else throttle.writeTrailers(trailers);
    } else if (gone) this.codec.encodeData(empty, true);
    else this.codec.encodeTrailers(trailers);
  }

  /** The terminal filter worked off one upstream read. */
  onResponseReadDone(): void {
    if (!this.#done) this.codec.flush();
  }

  /** Downstream takes bytes again. */
  onDownstreamWritable(): void {
    this.#terminal?.onDownstreamWritable();
  }

  // --- the end -------------------------------------------------------------------------------------------------------

  /** The response cannot be completed after its headers went out: the client is told by the connection's fate. */
  abortResponse(flags: number, details: string): void {
    if (this.#done) return;
    this.info.flags |= flags;
    this.info.responseCodeDetails = details;
    this.#abandonTerminal();
    this.manager.stats.downstreamRqTxReset.inc();
    this.codec.flush();
    this.codec.resetStream();
    this.#finish(false);
  }

  /** The client went away. */
  onDownstreamClosed(details = "downstream_remote_disconnect", flags: number = flag.DC): void {
    if (this.#done) return;
    this.info.flags |= flags;
    this.info.responseCodeDetails = details;
    this.#abandonTerminal();
    this.#finish(false);
  }

  /** The client's request bytes cannot be understood any more (a broken chunk, say). */
  onDownstreamProtocolError(reply: LocalReply): void {
    if (this.#done) return;
    if (this.responseStarted) this.abortResponse(flag.DPE, reply.details);
    else this.sendLocalReply(reply);
  }

  /** No byte moved for stream_idle_timeout. */
  onIdleTimeout(): void {
    this.manager.stats.downstreamRqIdleTimeout.inc();
    if (this.responseStarted) this.abortResponse(flag.SI, "stream_idle_timeout");
    else this.sendLocalReply(this.requestComplete ? replies.streamIdleComplete : replies.streamIdleIncomplete);
  }

  /** The request did not complete within request_timeout. */
  onRequestTimeout(): void {
    if (this.requestComplete) return;
    this.manager.stats.downstreamRqTimeout.inc();
    if (this.responseStarted) this.abortResponse(0, replies.requestTimeout.details);
    else this.sendLocalReply(replies.requestTimeout);
  }

  /** The exchange took longer than max_stream_duration. */
  onDurationTimeout(): void {
    this.manager.stats.downstreamRqMaxDurationReached.inc();
    if (this.responseStarted) this.abortResponse(0, replies.maxDuration.details);
    else this.sendLocalReply(this.requestComplete ? replies.maxDuration : replies.maxDurationIncomplete);
  }

  #finishResponse(): void {
    if (this.#done) return;
    this.responseComplete = true;
    // A request still on its way when its response is complete: its rest is of no use, so the connection ends too.
    const reusable = this.requestComplete && !this.closeAfterResponse;
    if (!this.requestComplete) this.#abandonTerminal();
    this.#finish(reusable);
  }

  #finish(reusable: boolean): void {
    this.#done = true;
    this.timers.stop();
    this.responseThrottle?.stop();
    this.#terminal = undefined;
    this.#held = undefined;
    this.#heldResponse = undefined;
    this.info.endMs = this.manager.clock.nowMs();
    this.manager.onStreamDone(this);
    this.codec.onStreamDone(reusable);
  }

  /** A fault nobody foresaw: 500 when possible, a reset otherwise. */
  onInternalError(thrown: unknown): void {
    const error = ProxyError.from(thrown);
    this.manager.logger.error("request failed inside the proxy", { error: error.stack ?? error.message, path: this.path });
    if (this.responseStarted) this.abortResponse(flag.LR, "internal_error");
    else this.sendLocalReply({ status: 500, body: "", details: "internal_error", flags: flag.LR, close: true });
  }
}

/** Each name in place of what was there, as often as it comes. */
function setFields(headers: HeaderMap, fields: NonNullable<LocalReply["set"]>): void {
  const before = new Set<string>();
  for (const { name, value } of fields) {
    if (before.has(name)) headers.add(name, value);
    else headers.set(name, value);
    before.add(name);
  }
}
