// One HTTP/1.1 connection to an upstream host: writes a request, reads its response, one at a time, and says when it is
// free for the next. Knows nothing of routes or retries.
import type { Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import { ProxyError } from "../../error.ts";
import { toldReason } from "../../identity/failure-reason.ts";
import { Http1Writer } from "../../net/http1-writer.ts";
import { SocketReader, keepReadBuffer } from "../../net/socket-reader.ts";
import type { LazyDeadline } from "../../net/deadline.ts";
import { wasRefusedByPeer } from "../../net/socket-error.ts";
import type { TlsPeer } from "../../telemetry/stream-info.ts";
import type { HeaderMap } from "../../wire/header-map.ts";
import { BodyDecoder, type BodyFraming } from "../../wire/http1-body.ts";
import { parseResponseHead, type Head, type HeadLimits } from "../../wire/http1-head.ts";
import type { Host, UpstreamCluster } from "../cluster.ts";
import { countDestroyedWithActiveRq } from "../cluster-stats.ts";
import type { RequestHead, ResponseHandler, UpstreamExchange } from "./exchange.ts";
import { encodeRequestHead } from "./http1-request.ts";

/** What the pool wants to know of its connections. */
export interface ClientOwner {
  /** Ready for another request. */
  onIdle(client: Http1Client): void;
  /** Gone; called exactly once. */
  onClosed(client: Http1Client): void;
}

const noBody: BodyFraming = { kind: "none" };
const chunkedBody: BodyFraming = { kind: "chunked" };
const bodyUntilClose: BodyFraming = { kind: "close" };
const none = Buffer.alloc(0);

/** An upstream HTTP/1.1 connection. */
export class Http1Client implements UpstreamExchange {
  readonly socket: Socket | TLSSocket;
  readonly host: Host;
  readonly localAddress: string;
  readonly peer: TlsPeer | undefined;
  readonly protocol = "HTTP/1.1";
  /** Armed by the pool while idle. */
  readonly idleDeadline: LazyDeadline;
  requests = 0;
  readonly #cluster: UpstreamCluster;
  readonly #owner: ClientOwner;
  readonly #limits: HeadLimits;
  readonly #body: BodyDecoder;
  readonly #reader: SocketReader;
  readonly #writer: Http1Writer;
  #handler: ResponseHandler | undefined;
  #method = "";
  #rest: Buffer | undefined;
  #inBody = false;
  #tunnel = false;
  #reading = false;
  #requestDone = true;
  /** The whole request was its head, written at once: refused bytes then mean that nobody has seen it. A body sent in several
   *  writes may have been read in part before the peer refused the rest. */
  #headOnly = false;
  #keepAlive = true;
  #closed = false;
  #responseBytes = 0;

  constructor(
    socket: Socket | TLSSocket,
    host: Host,
    cluster: UpstreamCluster,
    peer: TlsPeer | undefined,
    owner: ClientOwner,
    limits: HeadLimits,
    createDeadline: (fire: () => void) => LazyDeadline,
  ) {
    this.socket = socket;
    this.host = host;
    this.peer = peer;
    this.#cluster = cluster;
    this.#owner = owner;
    this.#limits = limits;
    this.#body = new BodyDecoder(limits);
    this.localAddress = socket.localAddress === undefined ? "" : `${socket.localAddress}:${socket.localPort ?? 0}`;
    this.idleDeadline = createDeadline(() => {
      cluster.stats.upstreamCxIdleTimeout.inc();
      this.close();
    });
    this.#writer = new Http1Writer(socket, cluster.stats.upstreamCxTxBytesTotal);
    this.#reader = new SocketReader(socket, peer === undefined, (chunk) => this.#onData(chunk));
    socket.on("end", () => this.#onEnd());
    socket.on("error", (error: NodeJS.ErrnoException) => this.#onError(error));
    socket.on("close", () => this.#onClose());
    socket.on("drain", () => this.#handler?.onWritable());
    socket.resume();
  }

  /** True when a request may be given to it. */
  get usable(): boolean {
    return this.#handler === undefined && !this.#closed && this.#keepAlive && this.socket.writable && !this.socket.readableEnded;
  }

  send(handler: ResponseHandler, request: RequestHead, endStream: boolean): void {
    this.#handler = handler;
    this.#method = request.method;
    this.#requestDone = endStream;
    this.#headOnly = endStream;
    this.#tunnel = false;
    this.#responseBytes = 0;
    this.requests++;
    const chunked = !endStream && request.upgrade === "" && !request.headers.has("content-length");
    this.#writer.begin(encodeRequestHead(request, chunked, endStream, this.#cluster.model.http.properCaseHeaders), chunked, endStream);
  }

  /** Writes a head that was held back for the first body bytes. */
  flush(): void {
    if (!this.#closed) this.#writer.flush();
  }

  /** Writes request body bytes; false means wait for `onWritable`. */
  write(data: Buffer, endStream: boolean): boolean {
    if (this.#closed) return true;
    this.#requestDone = endStream;
    const ok = this.#writer.data(data, endStream);
    if (endStream) this.#requestEnded();
    return ok;
  }

  writeTrailers(trailers: HeaderMap): void {
    if (!this.#cluster.model.http.enableTrailers) {
      this.write(none, true);
      return;
    }
    if (this.#closed) return;
    this.#requestDone = true;
    this.#writer.trailers(trailers);
    this.#requestEnded();
  }

  /** Stops or goes on reading the response. */
  pauseReading(paused: boolean): void {
    if (paused) this.socket.pause();
    else this.socket.resume();
  }

  /** Gives the current request up: its handler hears nothing more, the connection is lost. */
  abort(): void {
    if (!this.#closed && this.#handler !== undefined) countDestroyedWithActiveRq(this.#cluster.stats, "local");
    this.#handler = undefined;
    this.close();
  }

  /** Closes at once. */
  close(): void {
    this.#keepAlive = false;
    this.socket.destroy();
    this.#onClose();
  }

  /** No request after the current one. */
  retire(): void {
    this.#keepAlive = false;
    if (this.#handler === undefined) this.close();
  }

  #requestEnded(): void {
    if (this.#tunnel) this.socket.end();
    // The response may have been complete before the request was.
    else if (this.#handler === undefined) this.#release();
  }

  #onData(chunk: Buffer): void {
    try {
      this.#read(chunk);
    } catch (thrown) {
      // A fault in here concerns this connection and its request alone.
      this.#reading = false;
      this.#fail(new ProxyError("internal", { side: "internal", cause: thrown }), "local");
    }
  }

  #read(chunk: Buffer): void {
    this.#cluster.stats.upstreamCxRxBytesTotal.add(chunk.length);
    let buffer = chunk;
    if (this.#rest !== undefined) {
      buffer = Buffer.concat([this.#rest, chunk]);
      this.#rest = undefined;
    }
    const handler = this.#handler;
    if (handler === undefined) {
      // Bytes nobody asked for.
      if (!this.#closed) this.#cluster.stats.upstreamCxProtocolError.inc();
      this.close();
      return;
    }
    this.#responseBytes += chunk.length;
    this.#reading = true;
    let at = 0;
    while (at < buffer.length && this.#handler === handler) {
      if (!this.#inBody) {
        const head = parseResponseHead(buffer, at, buffer.length, this.#limits);
        if (head === "incomplete") {
          this.#rest = at === 0 ? buffer : buffer.subarray(at);
          keepReadBuffer();
          break;
        }
        if (typeof head === "string" || announcesForbiddenBody(head)) {
          this.#protocolError("local");
          break;
        }
        at += head.consumed;
        if (head.status < 200 && head.status !== 101) {
          handler.onInformational(head);
          continue;
        }
        this.#startResponse(head, handler);
        if (this.#body.done) break;
        continue;
      }
      at = this.#body.decode(buffer, at, buffer.length);
      if (this.#body.failed) {
        this.#protocolError("local");
        break;
      }
      const { data, done, trailers } = this.#body;
      if (done && trailers !== undefined) {
        if (data !== undefined) handler.onResponseData(data, false);
        this.#finishResponse();
        if (this.#cluster.model.http.enableTrailers) handler.onResponseTrailers(trailers);
        else handler.onResponseData(none, true);
      } else if (done) {
        this.#finishResponse();
        handler.onResponseData(data ?? none, true);
      } else if (data !== undefined) handler.onResponseData(data, false);
      if (done) break;
    }
    this.#reading = false;
    handler.onReadDone();
    // More than was announced: the connection cannot be trusted for another request.
    if (at < buffer.length && this.#rest === undefined) {
      if (!this.#closed) this.#cluster.stats.upstreamCxProtocolError.inc();
      this.#keepAlive = false;
    }
    if (this.#handler === undefined && this.#requestDone && !this.#closed) this.#release();
  }

  #startResponse(head: Head, handler: ResponseHandler): void {
    const { status } = head;
    let framing: BodyFraming = bodyUntilClose;
    const tunnel = status === 101 || (this.#method === "CONNECT" && status < 300);
    if (tunnel) this.#tunnel = true;
    else if (this.#method === "HEAD" || status === 204 || status === 304) framing = noBody;
    else if (head.chunked) framing = chunkedBody;
    else if (head.contentLength >= 0) framing = { kind: "length", length: head.contentLength };
    this.#keepAlive &&= framing !== bodyUntilClose && !head.connectionClose && (head.minorVersion === 1 || head.connectionKeepAlive);
    this.#inBody = true;
    this.#body.reset(framing);
    const done = this.#body.done;
    if (done) this.#finishResponse();
    handler.onResponseHead(head, done);
  }

  /** The response is complete; the handler gets its last call after this, so that it may start a next request elsewhere. */
  #finishResponse(): void {
    this.#inBody = false;
    this.#handler = undefined;
    if (!this.#requestDone) this.#keepAlive = false;
  }

  #release(): void {
    if (this.#reading || this.#closed) return;
    if (!this.#keepAlive) this.close();
    else this.#owner.onIdle(this);
  }

  #protocolError(by: "local" | "remote"): void {
    this.#cluster.stats.upstreamCxProtocolError.inc();
    this.#fail(new ProxyError("upstream_protocol_error", { side: "upstream" }), by);
  }

  #onEnd(): void {
    if (this.#inBody && !this.#body.done && this.#body.untilClose) {
      const handler = this.#handler;
      this.#finishResponse();
      handler?.onResponseData(none, true);
      handler?.onReadDone();
      this.close();
      return;
    }
    if (this.#handler !== undefined && this.#inBody) {
      // Cut short inside a framed body.
      this.#protocolError("remote");
      return;
    }
    const refused =
      this.#handler !== undefined && this.#headOnly && this.requests > 1 && this.#responseBytes === 0 && wasRefusedByPeer(this.socket);
    this.#fail(new ProxyError("upstream_closed", { side: "upstream", retryable: refused }), "remote");
  }

  #onError(error: NodeJS.ErrnoException): void {
    if (this.#inBody && this.#tunnel) {
      this.#fail(new ProxyError("upstream_closed", { side: "upstream", cause: error }), "remote");
      return;
    }
    // EPIPE: the peer had closed before our bytes got there.
    const retryable = error.code === "EPIPE" && this.#headOnly && this.requests > 1 && this.#responseBytes === 0;
    const reason = toldReason(error);
    const options = { side: "upstream", retryable, cause: error, ...(reason === undefined ? {} : { reason }) } as const;
    this.#fail(new ProxyError(this.#inBody ? "upstream_protocol_error" : "upstream_closed", options), "remote");
  }

  /** @param by whose end of the connection it was */
  #fail(error: ProxyError, by: "local" | "remote"): void {
    const handler = this.#handler;
    this.#handler = undefined;
    this.#keepAlive = false;
    if (!this.#closed && handler !== undefined) countDestroyedWithActiveRq(this.#cluster.stats, by);
    this.socket.destroy();
    this.#onClose();
    handler?.onResponseReset(error);
    handler?.onReadDone();
  }

  #onClose(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.idleDeadline.dispose();
    this.#reader.release();
    const handler = this.#handler;
    this.#handler = undefined;
    if (handler !== undefined) countDestroyedWithActiveRq(this.#cluster.stats, "local");
    this.#owner.onClosed(this);
    handler?.onResponseReset(new ProxyError("upstream_closed", { side: "upstream" }));
    handler?.onReadDone();
  }
}

// RFC 9112 section 6.3: what has no body by its status and says that it has one is where parsers part ways.
function announcesForbiddenBody({ status, chunked, contentLength }: Head): boolean {
  return (status === 204 || (status < 200 && status !== 101)) && (chunked || contentLength > 0);
}
