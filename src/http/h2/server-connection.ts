// One downstream HTTP/2 connection: makes a stream of the exchange model for each of its requests, and ends the connection as
// Envoy does: when idle, too old, draining, or abused.
import type { Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import type { Connection } from "../../net/connection.ts";
import { limitRefusals } from "../../net/http2/peer-faults.ts";
import { Http2Session, type SessionOwner } from "../../net/http2/session.ts";
import type { Http2Stream, StreamReset } from "../../net/http2/stream.ts";
import { endedByPeer } from "../../net/socket-error.ts";
import { SocketReader } from "../../net/socket-reader.ts";
import { flag } from "../../telemetry/response-flag.ts";
import type { ConnectionInfo } from "../../telemetry/stream-info.ts";
import type { Head } from "../../wire/http1-head.ts";
import { h2Error, largestWindow } from "../../wire/http2/frame.ts";
import type { MessageError } from "../../wire/http2/message.ts";
import { ConnectionDeadlines, type DeadlineOwner } from "../connection-deadlines.ts";
import type { ServerConnection } from "../codec.ts";
import type { HttpManager } from "../connection-manager.ts";
import { replies } from "../local-reply.ts";
import { recordRefusedRequest } from "../refused-request.ts";
import { HttpStream } from "../stream.ts";
import { StreamTimers } from "../stream-timers.ts";
import { PrematureResets } from "./premature-resets.ts";
import { Http2ServerStream, type Http2ServerOwner } from "./server-stream.ts";

// Sets of timers kept for the next streams; a burst of streams should not leave its timers behind.
const mostSpareTimers = 32;

/** A downstream HTTP/2 connection. */
export class Http2ServerConnection implements ServerConnection, SessionOwner, Http2ServerOwner, DeadlineOwner {
  readonly #socket: Socket | TLSSocket;
  readonly #info: ConnectionInfo;
  readonly #manager: HttpManager;
  readonly #onClosed: (connection: ServerConnection) => void;
  readonly #session: Http2Session;
  readonly #reader: SocketReader;
  readonly #deadlines: ConnectionDeadlines;
  readonly #resets: PrematureResets;
  readonly #spareTimers: StreamTimers[] = [];
  #requests = 0;
  /** A request that was refused before it became a stream may be what the connection ends for. */
  #refused = false;
  #state: "open" | "draining" | "last" | "closing" | "closed" = "open";

  /** @param reader already attached to the socket, when another codec had read the first bytes */
  constructor(connection: Connection, manager: HttpManager, onClosed: (connection: ServerConnection) => void, reader?: SocketReader) {
    const { socket, info } = connection;
    const { clock, stats } = manager;
    this.#socket = socket;
    this.#info = info;
    this.#manager = manager;
    this.#onClosed = onClosed;
    this.#resets = new PrematureResets();
    stats.downstreamCxHttp2Total.inc();
    stats.downstreamCxHttp2Active.inc();
    this.#deadlines = new ConnectionDeadlines(socket, manager, this);
    socket.setNoDelay(true);
    const { options, codecStats } = manager.http2;
    this.#session = new Http2Session(socket, connection.raw, options, this, codecStats, stats.downstreamCxTxBytesTotal, clock);
    const onData = (chunk: Buffer): void => this.#onData(chunk);
    this.#reader = reader ?? new SocketReader(socket, connection.raw, onData);
    reader?.redirect(onData);
    socket.on("end", () => this.#onEnd());
    socket.on("error", () => this.#onClose());
    socket.on("close", () => this.#onClose());
    socket.on("drain", () => this.#session.onDrain());
    if (connection.initialBytes !== undefined && connection.initialBytes.length > 0) this.#onData(connection.initialBytes);
    if (this.#state !== "closed") socket.resume();
  }

  /** Two GOAWAYs, so that requests under way when the first arrives are still served (RFC 9113 section 6.8). */
  drain(): void {
    if (this.#state !== "open") return;
    this.#state = "draining";
    this.#session.goaway(h2Error.noError, largestWindow);
    this.#deadlines.close.set(this.#manager.config.drainTimeoutMs);
  }

  noteDraining(): boolean {
    if (this.#state !== "open") return false;
    this.drain();
    return true;
  }

  destroy(): void {
    this.#socket.destroy();
    this.#onClose();
  }

  #onData(chunk: Buffer): void {
    if (this.#state === "closing" || this.#state === "closed") return;
    this.#manager.stats.downstreamCxRxBytesTotal.add(chunk.length);
    try {
      this.#session.read(chunk);
    } catch (thrown) {
      // A fault in here concerns this connection alone.
      this.#manager.logger.error("connection failed inside the proxy", {
        error: thrown instanceof Error ? thrown.stack : String(thrown),
      });
      this.#session.fail(h2Error.internalError, "internal_error");
      return;
    }
    const { requestHeadersTimeoutMs } = this.#manager.config;
    if (requestHeadersTimeoutMs === 0) return;
    if (!this.#session.inHeaders) this.#deadlines.head.clear();
    else if (!this.#deadlines.head.armed) this.#deadlines.head.set(requestHeadersTimeoutMs);
  }

  // --- SessionOwner --------------------------------------------------------------------------------------------------

  onRequest(h2: Http2Stream, head: Head, endStream: boolean): void {
    const manager = this.#manager;
    const { config, stats } = manager;
    this.#requests++;
    this.#deadlines.idle.clear();
    // Extended CONNECT is what an upgrade is in HTTP/1: from here on they are the same.
    const extended = manager.http2.options.allowConnect ? head.upgrade : "";
    const upgrade = head.method === "CONNECT" && head.upgrade === "" ? "connect" : extended;
    const timers = this.#spareTimers.pop() ?? new StreamTimers(manager.clock);
    const codec = new Http2ServerStream(this, h2, timers, upgrade !== "");
    h2.handler = codec;
    const stream = new HttpStream(manager, codec, this.#info, timers, {
      headers: head.headers,
      method: extended === "" ? head.method : "GET",
      path: head.target,
      authority: head.host ?? "",
      protocol: "HTTP/2",
      upgrade,
      expectContinue: head.expectContinue,
      scheme: head.scheme,
    });
    codec.attach(stream);
    h2.openedMs = stream.nowMs;
    if (config.maxRequestsPerConnection > 0 && this.#requests >= config.maxRequestsPerConnection && this.#state === "open") {
      stats.downstreamCxMaxRequestsReached.inc();
      this.drain();
    }
    try {
      this.#start(stream, head, endStream);
    } catch (thrown) {
      stream.onInternalError(thrown);
    }
  }

  #start(stream: HttpStream, head: Head, endStream: boolean): void {
    if (head.host !== undefined && head.host !== "" && (head.upgrade === "" || stream.upgrade !== "")) {
      stream.start(endStream);
      return;
    }
    stream.info.method = head.method;
    stream.info.path = head.target;
    this.#manager.onStreamStart(stream);
    stream.requestComplete = endStream;
    stream.sendLocalReply(stream.authority === "" ? replies.missingHost : replies.upgradeFailed);
  }

  onRefusedRequest(error: MessageError): void {
    this.#refused = true;
    recordRefusedRequest(this.#manager, this.#info, {
      protocol: "HTTP/2",
      responseCodeDetails: `http2.${error}`,
      flags: limitRefusals.has(error) ? flag.DR : flag.DPE,
    });
  }

  onStreamClosed(stream: Http2Stream, reset: StreamReset | undefined): void {
    const unansweredMs = reset?.by === "peer" && !stream.localHeadSent ? this.#manager.clock.nowMs() - stream.openedMs : undefined;
    if (this.#resets.onClosed(unansweredMs) && this.#state !== "closing" && this.#state !== "closed") {
      this.#manager.stats.downstreamRqTooManyPrematureResets.inc();
      this.#session.fail(h2Error.enhanceYourCalm, "overload.premature_reset");
      return;
    }
    if (this.#session.size > 0) return;
    if (this.#state === "last") this.#beginClose();
    else if (this.#state === "open") this.#deadlines.armIdle();
  }

  onExchangeDone(timers: StreamTimers): void {
    if (this.#spareTimers.length < mostSpareTimers && this.#state !== "closed") this.#spareTimers.push(timers);
    else timers.dispose();
  }

  onSettings(): void {
    // What a client allows concerns pushes, which there are none of.
  }

  onGoaway(): void {
    // The client opens no more streams; it closes when it likes.
  }

  onFailed(): void {
    const { stats } = this.#manager;
    stats.downstreamCxProtocolError.inc();
    if (this.#session.size > 0 || this.#refused) {
      stats.downstreamCxDestroyLocalActiveRq.inc();
      stats.downstreamCxDestroyActiveRq.inc();
    }
    this.#beginClose();
  }

  // --- DeadlineOwner, ends ------------------------------------------------------------------------------------------

  onIdle(): void {
    if (this.#session.size > 0 || this.#state !== "open") return;
    this.#manager.stats.downstreamCxIdleTimeout.inc();
    this.drain();
  }

  onHeadTimeout(): void {
    if (!this.#session.inHeaders || this.#state === "closing") return;
    this.#manager.stats.downstreamRqHeaderTimeout.inc();
    this.#session.fail(h2Error.enhanceYourCalm, replies.requestHeaderTimeout.details);
  }

  onCloseTimer(): void {
    if (this.#state === "closing") {
      this.#manager.stats.downstreamCxDelayedCloseTimeout.inc();
      return this.destroy();
    }
    if (this.#state !== "draining") return;
    this.#state = "last";
    this.#session.goaway(h2Error.noError);
    if (this.#session.size === 0) this.#beginClose();
  }

  // The socket stays open for delayed_close_timeout, so that a client that still sends gets the GOAWAY and not a RST.
  #beginClose(): void {
    if (this.#state === "closing" || this.#state === "closed") return;
    this.#state = "closing";
    this.#session.flush();
    this.#socket.end();
    this.#socket.resume();
    this.#deadlines.close.set(this.#manager.config.delayedCloseTimeoutMs || 1000);
  }

  #onEnd(): void {
    this.#session.flush();
    this.#socket.end();
    this.destroy();
  }

  #onClose(): void {
    if (this.#state === "closed") return;
    const { stats } = this.#manager;
    // This side was the first to end it when it is closing.
    if (this.#state !== "closing" && endedByPeer(this.#socket)) stats.downstreamCxDestroyRemote.inc();
    else stats.downstreamCxDestroyLocal.inc();
    this.#state = "closed";
    stats.downstreamCxHttp2Active.dec();
    if (this.#session.size > 0) {
      stats.downstreamCxDestroyRemoteActiveRq.inc();
      stats.downstreamCxDestroyActiveRq.inc();
    }
    this.#session.close();
    this.#deadlines.dispose();
    for (const timers of this.#spareTimers) timers.dispose();
    this.#reader.release();
    this.#socket.destroy();
    this.#onClosed(this);
  }
}
