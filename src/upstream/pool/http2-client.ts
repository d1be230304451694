// One HTTP/2 connection to an upstream host: carries as many exchanges as both sides allow and says when there is room.
import type { Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import type { Clock } from "../../clock.ts";
import { LazyDeadline } from "../../net/deadline.ts";
import { Http2Session, type SessionOptions, type SessionOwner } from "../../net/http2/session.ts";
import type { Http2Stream, StreamReset } from "../../net/http2/stream.ts";
import { SocketReader } from "../../net/socket-reader.ts";
import type { TlsPeer } from "../../telemetry/stream-info.ts";
import { h2Error } from "../../wire/http2/frame.ts";
import type { Host, UpstreamCluster } from "../cluster.ts";
import { countDestroyedWithActiveRq } from "../cluster-stats.ts";
import { endedByPeer } from "../../net/socket-error.ts";
import { Http2Exchange } from "./http2-exchange.ts";

/** What the pool wants to know of its connections. */
export interface Http2ClientOwner {
  /** There may be room for another exchange. */
  onRoom(client: Http2Client): void;
  /** Gone; called exactly once. */
  onClosed(client: Http2Client): void;
}

// A connection that was given up stays this long at most, for its GOAWAY to be written.
const closeMs = 1000;

/** The session settings of a cluster's connections. */
export function clientSessionOptions(cluster: UpstreamCluster): SessionOptions {
  const { http2, maxResponseHeadersKb, maxHeadersCount } = cluster.model.http;
  return {
    ...http2,
    floods: http2,
    role: "client",
    malformedEndsStream: true,
    messages: { maxBytes: maxResponseHeadersKb * 1024, maxHeaders: maxHeadersCount, underscores: "ALLOW" },
  };
}

/** An upstream HTTP/2 connection. */
export class Http2Client implements SessionOwner {
  readonly socket: Socket | TLSSocket;
  readonly host: Host;
  readonly localAddress: string;
  readonly peer: TlsPeer | undefined;
  readonly #cluster: UpstreamCluster;
  readonly #owner: Http2ClientOwner;
  readonly #clock: Clock;
  readonly #session: Http2Session;
  readonly #reader: SocketReader;
  readonly #idle: LazyDeadline;
  #requests = 0;
  #draining = false;
  #closed = false;

  constructor(
    socket: Socket | TLSSocket,
    host: Host,
    cluster: UpstreamCluster,
    peer: TlsPeer | undefined,
    owner: Http2ClientOwner,
    options: SessionOptions,
    clock: Clock,
  ) {
    this.socket = socket;
    this.host = host;
    this.peer = peer;
    this.#cluster = cluster;
    this.#owner = owner;
    this.#clock = clock;
    this.localAddress = socket.localAddress === undefined ? "" : `${socket.localAddress}:${socket.localPort ?? 0}`;
    const { stats } = cluster;
    this.#idle = new LazyDeadline(clock, () => this.#onIdle());
    this.#session = new Http2Session(socket, peer === undefined, options, this, stats.http2(), stats.upstreamCxTxBytesTotal, clock);
    this.#reader = new SocketReader(socket, peer === undefined, (chunk) => this.#onData(chunk));
    socket.setNoDelay(true);
    socket.on("end", () => this.close());
    socket.on("error", () => this.#onClose());
    socket.on("close", () => this.#onClose());
    socket.on("drain", () => this.#session.onDrain());
    socket.resume();
  }

  /** True when it takes another exchange. */
  get hasRoom(): boolean {
    const { maxConcurrentStreams } = this.#session.options;
    return !this.#draining && !this.#closed && this.#session.size < Math.min(maxConcurrentStreams, this.#session.peer.maxStreams);
  }

  /** An exchange, to be used at once. */
  exchange(): Http2Exchange {
    this.#idle.clear();
    return new Http2Exchange(this);
  }

  /** A stream for an exchange, undefined when the connection takes none any more. */
  openStream(): Http2Stream | undefined {
    if (this.#closed) return undefined;
    const { maxRequestsPerConnection } = this.#cluster.model.http;
    const stream = this.#session.openStream();
    if ((maxRequestsPerConnection > 0 && ++this.#requests >= maxRequestsPerConnection) || this.#session.streamsLeft === 0) {
      this.#cluster.stats.upstreamCxMaxRequests.inc();
      this.#draining = true;
    }
    return stream;
  }

  /** Counts an exchange that ended before its response was whole. */
  countReset({ by, code }: StreamReset): void {
    const { stats } = this.#cluster;
    if (by === "connection") stats.upstreamRqPendingFailureEject.inc();
    else if (by === "local") stats.upstreamRqTxReset.inc();
    else if (by === "peer" && code !== h2Error.refusedStream) stats.upstreamRqRxReset.inc();
  }

  /** No more exchanges; closes when the last is over. */
  retire(): void {
    this.#draining = true;
    if (this.#session.size === 0) this.close();
  }

  /** Closes at once. */
  close(): void {
    if (this.#closed) return;
    this.#session.flush();
    this.socket.destroy();
    this.#onClose();
  }

  #onData(chunk: Buffer): void {
    this.#cluster.stats.upstreamCxRxBytesTotal.add(chunk.length);
    try {
      this.#session.read(chunk);
    } catch {
      // A fault in here concerns this connection and its exchanges alone; each of them logs its own.
      this.#session.fail(h2Error.internalError, "internal_error");
    }
  }

  #onIdle(): void {
    if (this.#session.size > 0 || this.#closed) return;
    this.#cluster.stats.upstreamCxIdleTimeout.inc();
    this.#session.goaway(h2Error.noError);
    this.close();
  }

  // --- SessionOwner --------------------------------------------------------------------------------------------------

  onRequest(stream: Http2Stream): void {
    // Servers open no streams: pushes are not allowed.
    stream.release(h2Error.refusedStream);
  }

  onRefusedRequest(): void {
    // As above.
  }

  onStreamClosed(): void {
    if (this.#closed) return;
    if (this.#session.size > 0) {
      if (!this.#draining) this.#owner.onRoom(this);
      return;
    }
    if (this.#draining) {
      this.close();
      return;
    }
    const { idleTimeoutMs } = this.#cluster.model.http;
    if (idleTimeoutMs > 0) this.#idle.set(idleTimeoutMs);
    this.#owner.onRoom(this);
  }

  onSettings(): void {
    this.#owner.onRoom(this);
  }

  onGoaway(): void {
    this.#cluster.stats.upstreamCxCloseNotify.inc();
    this.#draining = true;
    // Not at once: streams that the peer never looked at end first, after this.
    queueMicrotask(() => {
      if (this.#session.size === 0) this.close();
    });
  }

  onFailed(): void {
    this.#cluster.stats.upstreamCxProtocolError.inc();
    this.#draining = true;
    this.socket.end();
    const timer = this.#clock.after(closeMs, () => this.close());
    this.socket.once("close", () => timer.cancel());
  }

  #onClose(): void {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#session.size > 0) countDestroyedWithActiveRq(this.#cluster.stats, endedByPeer(this.socket) ? "remote" : "local");
    this.#idle.dispose();
    this.#reader.release();
    this.socket.destroy();
    this.#owner.onClosed(this);
    this.#session.close();
  }
}
