// The boundary between the router and what it sends requests over, whatever the protocol: an exchange carries one request
// and its response, a pool hands exchanges out. HTTP/1 lends its connection as the exchange; HTTP/2 makes one a stream.
import type { ProxyError } from "../../error.ts";
import type { TlsPeer } from "../../telemetry/stream-info.ts";
import type { HeaderMap } from "../../wire/header-map.ts";
import type { Head } from "../../wire/http1-head.ts";
import type { Host, HttpPoolHandle } from "../cluster.ts";

/** A request's head, as the last filter left it. */
export interface RequestHead {
  readonly method: string;
  readonly path: string;
  readonly authority: string;
  readonly scheme: string;
  /** Without `host`, which is `authority`, and without connection-specific fields. */
  readonly headers: HeaderMap;
  /** `websocket` and the like; empty otherwise. */
  readonly upgrade: string;
  /** The client waits for 100 Continue. */
  readonly expectContinue: boolean;
  /** What the request came in with: `HTTP/1.1`, `HTTP/2`. */
  readonly info: { readonly protocol: string };
}

/** Who sent a request. Called from socket events; must not throw. */
export interface ResponseHandler {
  /** A 1xx other than 101. */
  onInformational(head: Head): void;
  /** The final head, or 101 (then data is the tunnel's bytes until the end). */
  onResponseHead(head: Head, endStream: boolean): void;
  onResponseData(data: Buffer, endStream: boolean): void;
  /** Trailers; the response is complete. */
  onResponseTrailers(trailers: HeaderMap): void;
  /** The response will not be completed. Called instead of, never after, its end. */
  onResponseReset(error: ProxyError): void;
  /** A read was worked off: what was held back to be written together should be written now. */
  onReadDone(): void;
  /** Request bytes are taken again after a write returned false. */
  onWritable(): void;
}

/** One request and its response. */
export interface UpstreamExchange {
  readonly host: Host;
  readonly localAddress: string;
  readonly peer: TlsPeer | undefined;
  /** As access logs name it: `HTTP/1.1`, `HTTP/2`. */
  readonly protocol: string;
  /** Starts the request; `endStream`: it has no body. */
  send(handler: ResponseHandler, request: RequestHead, endStream: boolean): void;
  /** Writes what was held back for the first body bytes. */
  flush(): void;
  /** Writes request body bytes; false means wait for `onWritable`. */
  write(data: Buffer, endStream: boolean): boolean;
  /** Ends the request with trailers. */
  writeTrailers(trailers: HeaderMap): void;
  /** Stops or goes on reading the response. */
  pauseReading(paused: boolean): void;
  /** Gives the exchange up: its handler hears nothing more. */
  abort(): void;
}

/** A request that waits for a connection. */
export interface PoolWaiter {
  onPoolReady(exchange: UpstreamExchange): void;
  onPoolFailure(error: ProxyError): void;
}

/** The connections of one host that are alike. */
export interface HttpPool extends HttpPoolHandle {
  /**
   * An exchange now, or undefined: `waiter` hears later (unless `cancel`led) or has already heard of an overflow.
   * Count `max_requests` before calling.
   */
  acquire(waiter: PoolWaiter): UpstreamExchange | undefined;
  /** Takes a waiter out of the queue. */
  cancel(waiter: PoolWaiter): void;
}
