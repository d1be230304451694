// One request and its response over HTTP/2: the stream below, the exchange above, and the few places where HTTP/2 says
// things differently (no reason to close, upgrades as extended CONNECT).
import type { Http2Stream, Http2StreamHandler, StreamReset } from "../../net/http2/stream.ts";
import { flag } from "../../telemetry/response-flag.ts";
import type { HeaderMap } from "../../wire/header-map.ts";
import { h2Error } from "../../wire/http2/frame.ts";
import type { DownstreamCodec } from "../codec.ts";
import type { HttpStream } from "../stream.ts";
import type { StreamTimers } from "../stream-timers.ts";

/** What the streams of a connection share. */
export interface Http2ServerOwner {
  /** Starts to drain; true the first time. */
  noteDraining(): boolean;
  /** Takes a finished stream's timers back. */
  onExchangeDone(timers: StreamTimers): void;
}

const statusTexts: readonly string[] = Array.from({ length: 1000 }, (_, status) => String(status));

/** The codec of one stream. */
export class Http2ServerStream implements DownstreamCodec, Http2StreamHandler {
  readonly #owner: Http2ServerOwner;
  readonly #h2: Http2Stream;
  readonly #timers: StreamTimers;
  readonly #tunnelling: boolean;
  #stream: HttpStream | undefined;
  #abnormal = false;

  /** @param tunnelling an extended CONNECT: what comes before the answer must not reach an upstream that has not agreed */
  constructor(owner: Http2ServerOwner, h2: Http2Stream, timers: StreamTimers, tunnelling: boolean) {
    this.#owner = owner;
    this.#h2 = h2;
    this.#timers = timers;
    this.#tunnelling = tunnelling;
    if (tunnelling) h2.pause(true);
  }

  /** The exchange that is served. */
  attach(stream: HttpStream): void {
    this.#stream = stream;
  }

  // --- Http2StreamHandler --------------------------------------------------------------------------------------------

  onHead(): void {
    // Only responses have heads of their own.
  }

  onData(data: Buffer, endStream: boolean): void {
    this.#stream?.onRequestData(data, endStream);
  }

  onTrailers(trailers: HeaderMap): void {
    this.#stream?.onRequestTrailers(trailers);
  }

  onReadDone(): void {
    this.#stream?.onRequestReadDone();
  }

  onWritable(): void {
    this.#stream?.onDownstreamWritable();
  }

  onReset(reset: StreamReset): void {
    const stream = this.#stream;
    if (stream === undefined) return;
    if (reset.by === "peer") {
      stream.onDownstreamClosed(reset.code === h2Error.refusedStream ? "http2.remote_refuse" : "http2.remote_reset", flag.DR);
    } else if (reset.by === "local" || reset.details !== undefined) {
      // Trailers that are refused, like a head that is, count as the client's reset.
      const refused = reset.by === "local" && reset.details !== undefined;
      stream.onDownstreamClosed(reset.details ?? "http2.protocol_error", refused ? flag.DR : flag.DPE);
    } else stream.onDownstreamClosed();
  }

  // --- DownstreamCodec -----------------------------------------------------------------------------------------------

  encodeHeaders(_stream: HttpStream, status: number, headers: HeaderMap, endStream: boolean): void {
    const h2 = this.#h2;
    const { encoder } = h2.session;
    if (h2.closed) return;
    // To a client that asked by extended CONNECT, 200 says what 101 says in HTTP/1 (RFC 8441 section 5).
    const switched = status === 101 && this.#tunnelling;
    encoder.begin();
    encoder.field(":status", switched ? "200" : statusTexts[status]!);
    const { names, values } = headers;
    for (let i = 0; i < names.length; i++) {
      const name = names[i]!;
      if (switched && (name === "connection" || name === "upgrade")) continue;
      encoder.field(name, values[i]!);
    }
    h2.sendHead(endStream);
  }

  encodeInformational(status: number, headers: HeaderMap): void {
    const h2 = this.#h2;
    if (h2.closed) return;
    const { encoder } = h2.session;
    encoder.begin();
    encoder.field(":status", statusTexts[status]!);
    for (let i = 0; i < headers.size; i++) encoder.field(headers.names[i]!, headers.values[i]!);
    h2.sendHead(false);
  }

  encodeData(data: Buffer, endStream: boolean): boolean {
    return this.#h2.sendData(data, endStream);
  }

  encodeTrailers(trailers: HeaderMap): void {
    this.#h2.sendTrailers(trailers);
  }

  flush(): void {
    // The session writes once a turn.
  }

  resetStream(): void {
    this.#abnormal = true;
  }

  pauseRequest(paused: boolean): void {
    this.#h2.pause(paused);
  }

  startTunnel(): void {
    this.#h2.pause(false);
  }

  noteDraining(): boolean {
    return this.#owner.noteDraining();
  }

  onStreamDone(): void {
    this.#stream = undefined;
    const h2 = this.#h2;
    if (this.#abnormal) h2.release(h2Error.internalError);
    // The response is complete: a client that still sends its request need not go on (RFC 9113 section 8.1).
    else if (!h2.remoteEnded) h2.finish(h2Error.noError);
    else h2.drop();
    this.#owner.onExchangeDone(this.#timers);
  }
}
