// One request and its response on an upstream HTTP/2 connection.
import { ProxyError } from "../../error.ts";
import type { Http2Stream, Http2StreamHandler, StreamReset } from "../../net/http2/stream.ts";
import type { TlsPeer } from "../../telemetry/stream-info.ts";
import type { HeaderMap } from "../../wire/header-map.ts";
import type { Head } from "../../wire/http1-head.ts";
import { h2Error } from "../../wire/http2/frame.ts";
import type { Host } from "../cluster.ts";
import type { RequestHead, ResponseHandler, UpstreamExchange } from "./exchange.ts";
import type { Http2Client } from "./http2-client.ts";

/** An exchange; its stream is opened when the request is sent. */
export class Http2Exchange implements UpstreamExchange, Http2StreamHandler {
  readonly #client: Http2Client;
  readonly host: Host;
  readonly localAddress: string;
  readonly peer: TlsPeer | undefined;
  #stream: Http2Stream | undefined;
  #handler: ResponseHandler | undefined;
  /** The upgrade that was asked for by extended CONNECT. */
  #upgrade = "";

  constructor(client: Http2Client) {
    this.#client = client;
    this.host = client.host;
    this.localAddress = client.localAddress;
    this.peer = client.peer;
  }

  get protocol(): string {
    return "HTTP/2";
  }

  send(handler: ResponseHandler, request: RequestHead, endStream: boolean): void {
    const stream = this.#client.openStream();
    if (stream === undefined) {
      // The connection ended between being chosen and being used.
      queueMicrotask(() => handler.onResponseReset(new ProxyError("upstream_closed", { side: "upstream", retryable: true })));
      return;
    }
    this.#stream = stream;
    this.#handler = handler;
    stream.handler = this;
    this.#encode(stream, request);
    stream.sendHead(endStream);
  }

  #encode(stream: Http2Stream, request: RequestHead): void {
    const { encoder } = stream.session;
    encoder.begin();
    if (request.upgrade === "connect") {
      // Whom it is for is all that it says (RFC 9113 section 8.5).
      encoder.field(":method", request.method);
      encoder.field(":authority", request.authority);
      for (let i = 0; i < request.headers.size; i++) encoder.field(request.headers.names[i]!, request.headers.values[i]!);
      return;
    }
    this.#upgrade = request.upgrade;
    const method = request.upgrade === "" ? request.method : "CONNECT";
    // Envoy keeps pseudo-fields in the order that its codec of the other side made them in.
    if (request.info.protocol === "HTTP/2") {
      encoder.field(":method", method);
      encoder.field(":path", request.path);
      encoder.field(":authority", request.authority);
    } else {
      encoder.field(":authority", request.authority);
      encoder.field(":path", request.path);
      encoder.field(":method", method);
    }
    encoder.field(":scheme", request.scheme);
    if (request.upgrade !== "") encoder.field(":protocol", request.upgrade);
    const { names, values } = request.headers;
    for (let i = 0; i < names.length; i++) encoder.field(names[i]!, values[i]!);
    if (request.expectContinue) encoder.field("expect", "100-continue");
  }

  write(data: Buffer, endStream: boolean): boolean {
    return this.#stream?.sendData(data, endStream) ?? true;
  }

  writeTrailers(trailers: HeaderMap): void {
    this.#stream?.sendTrailers(trailers);
  }

  flush(): void {
    // The session writes once a turn.
  }

  pauseReading(paused: boolean): void {
    this.#stream?.pause(paused);
  }

  abort(): void {
    this.#handler = undefined;
    const stream = this.#stream;
    if (stream === undefined || stream.closed) return;
    this.#client.countReset({ by: "local", code: h2Error.cancel });
    stream.release(h2Error.cancel);
  }

  // --- Http2StreamHandler --------------------------------------------------------------------------------------------

  onHead(head: Head, endStream: boolean): void {
    const handler = this.#handler;
    if (handler === undefined) return;
    if (head.status < 200) {
      handler.onInformational(head);
      return;
    }
    if (this.#upgrade !== "" && head.status === 200) {
      // What 101 says in HTTP/1 (RFC 8441 section 5).
      head.status = 101;
      head.upgrade = this.#upgrade;
    }
    handler.onResponseHead(head, endStream);
  }

  onData(data: Buffer, endStream: boolean): void {
    this.#handler?.onResponseData(data, endStream);
  }

  onTrailers(trailers: HeaderMap): void {
    this.#handler?.onResponseTrailers(trailers);
  }

  onReset(reset: StreamReset): void {
    const handler = this.#handler;
    this.#handler = undefined;
    this.#client.countReset(reset);
    handler?.onResponseReset(resetError(reset));
    handler?.onReadDone();
  }

  onReadDone(): void {
    this.#handler?.onReadDone();
  }

  onWritable(): void {
    this.#handler?.onWritable();
  }
}

function resetError({ by, code }: StreamReset): ProxyError {
  switch (by) {
    case "peer":
      return new ProxyError(code === h2Error.refusedStream ? "upstream_refused_stream" : "upstream_remote_reset", { side: "upstream" });
    case "goaway":
      // The peer says that it never looked at it.
      return new ProxyError("upstream_refused_stream", { side: "upstream", retryable: true });
    case "local":
      return new ProxyError("upstream_protocol_error", { side: "upstream" });
    case "connection":
      return new ProxyError(code === h2Error.noError ? "upstream_closed" : "upstream_protocol_error", { side: "upstream" });
  }
}
