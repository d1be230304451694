// What an HTTP/2 connection is made with, and who hears of what happens on it: the two sides of session.ts that its users fill in.
import type { Head } from "../../wire/http1-head.ts";
import type { MessageError, MessageLimits } from "../../wire/http2/message.ts";
import type { FloodLimits } from "./flood-guard.ts";
import type { KeepaliveOptions } from "./keepalive.ts";
import type { Http2Stream, StreamReset } from "./stream.ts";

/** How a connection speaks HTTP/2. */
export interface SessionOptions extends KeepaliveOptions {
  readonly role: "server" | "client";
  /** Streams the peer may open at once. */
  readonly maxConcurrentStreams: number;
  readonly streamWindowBytes: number;
  readonly connectionWindowBytes: number;
  /** HPACK tables of both directions at most. */
  readonly headerTableBytes: number;
  /** Offer extended CONNECT (RFC 8441). */
  readonly allowConnect: boolean;
  readonly messages: MessageLimits;
  readonly floods: FloodLimits;
  /** A malformed message ends its stream only, not the connection. */
  readonly malformedEndsStream: boolean;
}

/** Who owns a session. Called from socket events; must not throw. */
export interface SessionOwner {
  /** A request; sets `stream.handler`. Servers only. */
  onRequest(stream: Http2Stream, head: Head, endStream: boolean): void;
  /** A request that never became one: its stream was reset, or the connection is about to fail. */
  onRefusedRequest(error: MessageError): void;
  /** A stream is over; `reset` when it ended before its time. */
  onStreamClosed(stream: Http2Stream, reset: StreamReset | undefined): void;
  /** The peer's settings are known (again). */
  onSettings(): void;
  /** The peer takes no more streams. */
  onGoaway(code: number): void;
  /** This side gave the connection up: GOAWAY is written; end the socket. `details` is Envoy's. */
  onFailed(details: string): void;
}
