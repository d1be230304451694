// One downstream HTTP/1 connection: bytes to streams and back. Reads a request head, lends the connection to that stream
// until its response is written, then takes the next (pipelined requests wait in the buffer).
import type { Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import type { Connection } from "../../net/connection.ts";
import { Http1Writer } from "../../net/http1-writer.ts";
import { endedByPeer } from "../../net/socket-error.ts";
import { SocketReader, keepReadBuffer } from "../../net/socket-reader.ts";
import { StreamInfo, type ConnectionInfo } from "../../telemetry/stream-info.ts";
import { flag } from "../../telemetry/response-flag.ts";
import type { HeaderMap } from "../../wire/header-map.ts";
import { BodyDecoder, type BodyFraming } from "../../wire/http1-body.ts";
import { encodeFields, encodeFieldsProperCase } from "../../wire/http1-encode.ts";
import { parseRequestHead, type Head, type HeadLimits } from "../../wire/http1-head.ts";
import { statusLine } from "../../wire/http-status.ts";
import { clientPreface } from "../../wire/http2/frame.ts";
import { ConnectionDeadlines, type DeadlineOwner } from "../connection-deadlines.ts";
import type { DownstreamCodec, ServerConnection } from "../codec.ts";
import type { HttpManager } from "../connection-manager.ts";
import { headErrorReplies, replies, type LocalReply } from "../local-reply.ts";
import { encodeRefusal, recordRefusal, recordRefusedRequest } from "../refused-request.ts";
import { StreamTimers } from "../stream-timers.ts";
import { readTarget } from "./request-target.ts";
import { HttpStream } from "../stream.ts";

const noBody: BodyFraming = { kind: "none" };
const chunkedBody: BodyFraming = { kind: "chunked" };
const bodyUntilClose: BodyFraming = { kind: "close" };
const empty = Buffer.alloc(0);
const space = 32;
const lineFeed = 10;

// Pipelined bytes kept while a response is under way; past it the client waits.
const pipelineLimitBytes = 64 * 1024;

/** Takes a connection whose first bytes are HTTP/2's preface, with what was read of it; its reader is to be redirected. */
export type PrefaceHandler = (connection: ServerConnection, reader: SocketReader, bytes: Buffer) => void;

/** A downstream HTTP/1.x connection. */
export class Http1ServerConnection implements DownstreamCodec, ServerConnection, DeadlineOwner {
  readonly #socket: Socket | TLSSocket;
  readonly #info: ConnectionInfo;
  readonly #manager: HttpManager;
  readonly #onClosed: (connection: ServerConnection) => void;
  readonly #onPreface: PrefaceHandler | undefined;
  readonly #limits: HeadLimits;
  readonly #body: BodyDecoder;
  readonly #timers: StreamTimers;
  readonly #reader: SocketReader;
  readonly #writer: Http1Writer;
  readonly #deadlines: ConnectionDeadlines;
  /** The shorter of request_headers_timeout and request_timeout, which both begin with a request's first byte; 0 = none. */
  readonly #headTimeoutMs: number;
  readonly #encodeFields: (headers: HeaderMap) => string;
  readonly #listeners: readonly (readonly [string, () => void])[] = [
    ["end", () => this.#onEnd()],
    ["error", () => this.#onClose()],
    ["close", () => this.#onClose()],
    ["drain", () => this.#stream?.onDownstreamWritable()],
  ];
  #stream: HttpStream | undefined;
  #rest: Buffer = empty;
  /** A head is under way, its method known; `#pieces` came since the last line end. */
  #headBegun = false;
  #pieces: Buffer[] = [];
  #pieceBytes = 0;
  #sawBytes = false;
  #processing = false;
  #paused = false;
  #closing = false;
  #closed = false;
  #handedOver = false;
  /** As a connection of HTTP/1. */
  #counted = false;
  #drainPending = false;
  #tunnel = false;
  #awaitTunnel = false;
  #requests = 0;
  #minorVersion = 1;
  #isHead = false;
  #keepAlive10 = false;
  #clientCloses = false;
  #closeDelimited = false;
  #abnormal = false;
  /** This side gave the connection up: `at once` when everything was written, `delayed` after delayed_close_timeout. */
  #endedHere: "no" | "delayed" | "at once" = "no";

  /** @param onPreface takes a connection over that turns out to speak HTTP/2; absent: that is an error */
  constructor(connection: Connection, manager: HttpManager, onClosed: (connection: ServerConnection) => void, onPreface?: PrefaceHandler) {
    const { socket, info } = connection;
    const { config, clock, stats } = manager;
    this.#socket = socket;
    this.#info = info;
    this.#manager = manager;
    this.#onClosed = onClosed;
    this.#onPreface = onPreface;
    this.#limits = {
      maxBytes: config.maxRequestHeadersKb * 1024,
      maxHeaders: config.maxHeadersCount,
      underscores: config.headersWithUnderscores,
    };
    // Trailers that go no further may have any names.
    this.#body = new BodyDecoder(config.enableTrailers ? this.#limits : { ...this.#limits, underscores: "ALLOW" });
    this.#timers = new StreamTimers(clock);
    this.#headTimeoutMs = shorterTimeout(config.requestHeadersTimeoutMs, config.requestTimeoutMs);
    this.#encodeFields = config.properCaseHeaders ? encodeFieldsProperCase : encodeFields;
    this.#deadlines = new ConnectionDeadlines(socket, manager, this);
    // A request answered by ACK and response alone must not wait for more bytes to fill a segment.
    socket.setNoDelay(true);
    this.#writer = new Http1Writer(socket, stats.downstreamCxTxBytesTotal);
    this.#reader = new SocketReader(socket, connection.raw, (chunk) => this.#onData(chunk));
    for (const [event, listener] of this.#listeners) socket.on(event, listener);
    if (connection.initialBytes !== undefined && connection.initialBytes.length > 0) this.#onData(connection.initialBytes);
    if (!this.#paused && !this.#closed) socket.resume();
  }

  /** Another codec has the connection now. */
  get handedOver(): boolean {
    return this.#handedOver;
  }

  /** No more requests after the current one; an idle connection closes after the drain timeout. */
  drain(): void {
    if (this.#drainPending || this.#closed) return;
    this.#drainPending = true;
    this.#deadlines.close.set(this.#manager.config.drainTimeoutMs);
  }

  /** Closes at once. */
  destroy(): void {
    this.#socket.destroy();
    this.#onClose();
  }

  // --- reading -------------------------------------------------------------------------------------------------------

  #onData(chunk: Buffer): void {
    if (this.#closing || this.#closed) return;
    if (!this.#sawBytes) this.#onFirstBytes(chunk);
    this.#manager.stats.downstreamCxRxBytesTotal.add(chunk.length);
    if (this.#waitsForLine(chunk)) return;
    this.#rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    this.#process();
    if (this.#rest.length > 0) keepReadBuffer();
  }

  // As in Envoy, what a connection speaks is known by its first bytes, and one without any speaks nothing.
  #onFirstBytes(chunk: Buffer): void {
    this.#sawBytes = true;
    const length = Math.min(chunk.length, clientPreface.length);
    if (this.#onPreface !== undefined && chunk.compare(clientPreface, 0, length, 0, length) === 0) return;
    this.#counted = true;
    this.#manager.stats.downstreamCxHttp1Total.inc();
    this.#manager.stats.downstreamCxHttp1Active.inc();
  }

  /**
   * A head that comes in tiny pieces must not be parsed again for each of them, or its sender decides how much CPU it costs:
   * pieces wait until one ends a line (there are at most max_headers_count lines) or the limit is reached.
   */
  #waitsForLine(chunk: Buffer): boolean {
    if (!this.#headBegun) return false;
    const bytes = this.#pieceBytes + chunk.length;
    if (chunk.includes(lineFeed) || this.#rest.length + bytes > this.#limits.maxBytes) {
      if (this.#pieces.length > 0) this.#rest = Buffer.concat([this.#rest, ...this.#pieces]);
      this.#pieces = [];
      this.#pieceBytes = 0;
      return false;
    }
    this.#pieces.push(Buffer.from(chunk));
    this.#pieceBytes = bytes;
    return true;
  }

  /** Works through the buffer; not reentrant, because a stream may end inside it. */
  #process(): void {
    if (this.#processing) return;
    this.#processing = true;
    try {
      while (this.#rest.length > 0 && !this.#closing && !this.#paused) {
        const stream = this.#stream;
        if (stream === undefined) {
          if (!this.#readHead()) break;
        } else if (this.#awaitTunnel || (this.#body.done && !this.#tunnel)) {
          this.#limitPipeline();
          break;
        } else this.#readBody(stream);
      }
      const stream = this.#stream;
      if (stream !== undefined && !this.#closing) stream.onRequestReadDone();
    } catch (thrown) {
      // A fault in here concerns this connection alone.
      if (this.#stream !== undefined) this.#stream.onInternalError(thrown);
      else {
        this.#manager.logger.error("connection failed inside the proxy", {
          error: thrown instanceof Error ? thrown.stack : String(thrown),
        });
        this.destroy();
      }
    } finally {
      this.#processing = false;
    }
  }

  #limitPipeline(): void {
    if (this.#rest.length >= pipelineLimitBytes) this.#socket.pause();
  }

  /** True when a stream was started. */
  #readHead(): boolean {
    const head = parseRequestHead(this.#rest, 0, this.#rest.length, this.#limits);
    if (head === "incomplete") {
      if (this.#headTimeoutMs > 0 && !this.#deadlines.head.armed) {
        this.#timers.requestBeganMs = this.#manager.clock.nowMs();
        this.#deadlines.head.set(this.#headTimeoutMs, this.#timers.requestBeganMs);
      }
      // Until its method is complete a request line may still be refused early.
      this.#headBegun = this.#rest.includes(space);
      return false;
    }
    this.#deadlines.head.clear();
    this.#headBegun = false;
    if (typeof head === "string") {
      if (this.#speaksHttp2()) this.#handOver();
      else this.#refuse(headErrorReplies[head]);
      return false;
    }
    this.#rest = head.consumed === this.#rest.length ? empty : this.#rest.subarray(head.consumed);
    this.#startStream(head);
    return !this.#closing;
  }

  // Looked at only when the first bytes are no HTTP/1 request: telling the protocols apart costs requests nothing.
  #speaksHttp2(): boolean {
    const length = Math.min(this.#rest.length, clientPreface.length);
    return this.#onPreface !== undefined && this.#requests === 0 && this.#rest.compare(clientPreface, 0, length, 0, length) === 0;
  }

  #handOver(): void {
    const bytes = this.#rest;
    this.#handedOver = true;
    this.#closed = true;
    this.#closing = true;
    this.#rest = empty;
    this.#deadlines.dispose();
    this.#timers.dispose();
    for (const [event, listener] of this.#listeners) this.#socket.removeListener(event, listener);
    if (this.#counted) this.#manager.stats.downstreamCxHttp1Active.dec();
    this.#onPreface?.(this, this.#reader, bytes);
  }

  #startStream(head: Head): void {
    const { config, stats } = this.#manager;
    this.#requests++;
    this.#deadlines.idle.clear();
    this.#minorVersion = head.minorVersion;
    this.#isHead = head.method === "HEAD";
    this.#keepAlive10 = head.minorVersion === 0 && head.connectionKeepAlive && !head.connectionClose;
    this.#clientCloses = head.connectionClose || (head.minorVersion === 0 && !head.connectionKeepAlive);
    if (head.minorVersion === 0 && !config.acceptHttp10) {
      this.#refuse(headErrorReplies.low_version);
      return;
    }
    const { path, authority: named, scheme } = readTarget(head, config.allowAbsoluteUrl);
    const authority = named ?? (head.minorVersion === 0 ? config.defaultHostForHttp10 || undefined : undefined);
    const upgrade = head.method === "CONNECT" ? "connect" : head.upgrade === "h2c" ? "" : head.upgrade;
    const tunnelling = upgrade !== "";
    const framing: BodyFraming = tunnelling
      ? bodyUntilClose
      : head.chunked
        ? chunkedBody
        : head.contentLength > 0
          ? { kind: "length", length: head.contentLength }
          : noBody;
    this.#body.reset(framing);
    this.#awaitTunnel = tunnelling;
    const stream = new HttpStream(this.#manager, this, this.#info, this.#timers, {
      headers: head.headers,
      method: head.method,
      path,
      authority: authority ?? "",
      protocol: head.minorVersion === 0 ? "HTTP/1.0" : "HTTP/1.1",
      upgrade,
      expectContinue: head.expectContinue,
      scheme,
    });
    this.#stream = stream;
    if (config.maxRequestsPerConnection > 0 && this.#requests >= config.maxRequestsPerConnection) {
      stats.downstreamCxMaxRequestsReached.inc();
      stream.closeAfterResponse = true;
    }
    if (this.#clientCloses || this.#drainPending) stream.closeAfterResponse = true;
    if (authority === undefined) {
      stream.info.method = head.method;
      stream.info.path = path;
      this.#manager.onStreamStart(stream);
      stream.requestComplete = this.#body.done;
      stream.sendLocalReply(replies.missingHost);
      return;
    }
    stream.start(this.#body.done);
  }

  #readBody(stream: HttpStream): void {
    const buffer = this.#rest;
    this.#rest = empty;
    const at = this.#body.decode(buffer, 0, buffer.length);
    if (at < buffer.length) this.#rest = buffer.subarray(at);
    const { data, done, trailers, failed } = this.#body;
    if (failed !== undefined) {
      stream.info.bytesReceived += data?.length ?? 0;
      this.#rest = empty;
      this.#manager.stats.downstreamCxProtocolError.inc();
      this.#abnormal = true;
      stream.onDownstreamProtocolError(headErrorReplies[failed]);
      return;
    }
    if (done && trailers !== undefined) {
      if (data !== undefined) stream.onRequestData(data, false);
      if (this.#manager.config.enableTrailers) stream.onRequestTrailers(trailers);
      else stream.onRequestData(empty, true);
    } else if (done) stream.onRequestData(data ?? empty, true);
    else if (data !== undefined) stream.onRequestData(data, false);
  }

  /** Answers what cannot become a stream and closes. */
  #refuse(reply: LocalReply): void {
    this.#manager.stats.downstreamCxProtocolError.inc();
    this.#answerAndClose(reply);
  }

  #answerAndClose(reply: LocalReply): void {
    const { stats, clock } = this.#manager;
    const info = new StreamInfo(this.#info, clock.wallMs(), clock.nowMs());
    info.protocol = "HTTP/1.1";
    info.responseCodeDetails = reply.details;
    const { status, body, headers } = encodeRefusal(this.#manager, info, reply);
    // As in Envoy, whoever maps the reply does not see them yet.
    info.flags = reply.flags;
    stats.downstreamRqByClass[Math.floor(status / 100) - 1]?.inc();
    this.#writer.text(`${statusLine(status, 1)}${this.#encodeFields(headers)}connection: close\r\n\r\n${body}`);
    recordRefusal(this.#manager, info);
    this.#rest = empty;
    this.#beginClose(true);
  }

  /** The record of a request whose head did not come in whole. */
  #logCutOff(): void {
    if (this.#stream !== undefined || this.#closing || (this.#rest.length === 0 && this.#pieceBytes === 0)) return;
    const { stats } = this.#manager;
    stats.downstreamCxDestroyRemoteActiveRq.inc();
    stats.downstreamCxDestroyActiveRq.inc();
    recordRefusedRequest(this.#manager, this.#info, {
      protocol: "HTTP/1.1",
      responseCodeDetails: "downstream_remote_disconnect",
      flags: flag.DC,
    });
  }

  #onEnd(): void {
    this.#logCutOff();
    const stream = this.#stream;
    // As in Envoy, a client that stops sending has gone: nobody waits for the response.
    if (stream !== undefined) {
      this.#manager.stats.downstreamCxDestroyRemoteActiveRq.inc();
      this.#manager.stats.downstreamCxDestroyActiveRq.inc();
      stream.onDownstreamClosed();
      this.#endedHere = "no";
    }
    this.#socket.end();
    if (this.#closing || stream !== undefined) this.destroy();
    else this.#closing = true;
  }

  #onClose(): void {
    if (this.#closed) return;
    this.#logCutOff();
    this.#closed = true;
    this.#closing = true;
    const { stats } = this.#manager;
    if (this.#counted) stats.downstreamCxHttp1Active.dec();
    if (this.#endedHere !== "at once" && endedByPeer(this.#socket)) stats.downstreamCxDestroyRemote.inc();
    else stats.downstreamCxDestroyLocal.inc();
    if (this.#stream !== undefined) {
      stats.downstreamCxDestroyRemoteActiveRq.inc();
      stats.downstreamCxDestroyActiveRq.inc();
    }
    this.#stream?.onDownstreamClosed();
    this.#stream = undefined;
    this.#rest = empty;
    this.#deadlines.dispose();
    this.#timers.dispose();
    this.#reader.release();
    this.#socket.destroy();
    this.#onClosed(this);
  }

  // --- DeadlineOwner ------------------------------------------------------------------------------------------------

  onIdle(): void {
    if (this.#stream !== undefined || this.#closed) return;
    this.#manager.stats.downstreamCxIdleTimeout.inc();
    if (this.#sawBytes) this.drain();
    // Envoy makes a codec on the first byte; without one there is nothing to drain.
    else this.#socket.end(() => this.destroy());
  }

  onHeadTimeout(): void {
    if (this.#stream !== undefined || this.#closing) return;
    const { config, stats } = this.#manager;
    const overall = config.requestHeadersTimeoutMs === 0 || config.requestTimeoutMs === this.#headTimeoutMs;
    if (overall) stats.downstreamRqTimeout.inc();
    else stats.downstreamRqHeaderTimeout.inc();
    this.#answerAndClose(overall ? replies.requestTimeout : replies.requestHeaderTimeout);
  }

  onCloseTimer(): void {
    if (this.#closed) return;
    if (this.#closing) {
      // The client had its time to read the response and close.
      if (this.#endedHere === "delayed") this.#manager.stats.downstreamCxDelayedCloseTimeout.inc();
      this.#endedHere = "at once";
      this.#socket.end();
      this.destroy();
      return;
    }
    if (this.#stream === undefined) this.#beginClose(true);
    else this.#stream.closeAfterResponse = true;
  }

  /**
   * Closes once everything is written.
   * @param delayed keep the connection open for delayed_close_timeout, so that a client still sending does not lose the response to a RST
   */
  #beginClose(delayed: boolean): void {
    if (this.#closed) return;
    this.#closing = true;
    this.#stream = undefined;
    const { delayedCloseTimeoutMs } = this.#manager.config;
    this.#endedHere = delayed && delayedCloseTimeoutMs > 0 ? "delayed" : "at once";
    if (this.#endedHere === "at once") this.#socket.end();
    // Whatever still arrives is read and dropped until then.
    this.#socket.resume();
    this.#deadlines.close.set(delayedCloseTimeoutMs || 1000);
  }

  // --- writing (DownstreamCodec) -------------------------------------------------------------------------------------

  encodeHeaders(stream: HttpStream, status: number, headers: HeaderMap, endStream: boolean): void {
    let text = statusLine(status, this.#minorVersion);
    const bodiless = status === 204 || status === 304 || status < 200 || this.#isHead;
    if (status === 204) headers.remove("content-length");
    text += this.#encodeFields(headers);
    let tail = "";
    const hasLength = headers.has("content-length");
    let chunked = false;
    this.#closeDelimited = false;
    const switches = status === 101 || (stream.upgrade === "connect" && !endStream && status >= 200 && status < 300);
    if (switches) this.#tunnel = true;
    else if (endStream) {
      if (!hasLength && !bodiless) tail = "content-length: 0\r\n";
    } else if (!hasLength) {
      if (this.#minorVersion === 1) {
        chunked = true;
        tail = "transfer-encoding: chunked\r\n";
      } else {
        this.#closeDelimited = true;
        stream.closeAfterResponse = true;
      }
    }
    if (stream.closeAfterResponse) tail = `connection: close\r\n${tail}`;
    else if (this.#keepAlive10) tail = `connection: keep-alive\r\n${tail}`;
    if (this.#manager.config.properCaseHeaders && tail !== "")
      tail = tail.replace(/(?<=^|\n|-)[a-z](?=[^\r]*:)/g, (start) => start.toUpperCase());
    this.#writer.begin(`${text}${tail}\r\n`, chunked, endStream || switches);
  }

  encodeInformational(status: number, headers: HeaderMap): void {
    this.#writer.text(`${statusLine(status, 1)}${this.#encodeFields(headers)}\r\n`);
  }

  encodeData(data: Buffer, endStream: boolean): boolean {
    if (this.#closed) return true;
    const ok = this.#writer.data(data, endStream);
    if (endStream && this.#tunnel) this.#socket.end();
    return ok;
  }

  encodeTrailers(trailers: HeaderMap): void {
    if (!this.#closed) this.#writer.trailers(this.#manager.config.enableTrailers ? trailers : undefined);
  }

  flush(): void {
    if (!this.#closed) this.#writer.flush();
  }

  resetStream(): void {
    this.#abnormal = true;
  }

  pauseRequest(paused: boolean): void {
    if (this.#paused === paused || this.#closed) return;
    this.#paused = paused;
    if (paused) this.#socket.pause();
    else {
      this.#socket.resume();
      if (this.#rest.length > 0) queueMicrotask(() => this.#process());
    }
  }

  noteDraining(): boolean {
    return true;
  }

  startTunnel(): void {
    this.#tunnel = true;
    this.#awaitTunnel = false;
    if (this.#rest.length > 0) queueMicrotask(() => this.#process());
  }

  onStreamDone(reusable: boolean): void {
    this.flush();
    this.#stream = undefined;
    if (this.#closed) return;
    if (!reusable || this.#tunnel || this.#closeDelimited) {
      this.#rest = empty;
      this.#beginClose(this.#abnormal || (!this.#body.done && !this.#tunnel));
      return;
    }
    this.#deadlines.armIdle();
    if (this.#paused) this.pauseRequest(false);
    if (this.#rest.length > 0) {
      this.#socket.resume();
      // Not at once: the upstream connection that just answered is free only after this returns, and the next request wants it.
      if (!this.#processing) queueMicrotask(() => this.#process());
    }
  }
}

/** The shorter of two timeouts, of which 0 is none. */
function shorterTimeout(a: number, b: number): number {
  return a === 0 || b === 0 ? Math.max(a, b) : Math.min(a, b);
}
