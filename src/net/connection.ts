// A downstream connection as the listener hands it to network filters.
import type { Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import type { ConnectionInfo, StreamInfo } from "../telemetry/stream-info.ts";

/** A socket with what is known about it. The receiver owns the socket from then on, its `error` listener included. */
export interface Connection {
  readonly info: ConnectionInfo;
  /** Paused; no `data` listener attached; an `error` listener that does nothing is always there. */
  readonly socket: Socket | TLSSocket;
  /** True when `socket` is the plain TCP socket, so a relay may take over its descriptor. */
  readonly raw: boolean;
  /** Bytes read while inspecting a raw connection. They come before anything `socket` will deliver. */
  readonly initialBytes: Buffer | undefined;
  /**
   * The connection's own record, when the listener writes one at close. A filter that treats the connection as one stream
   * (tcp_proxy) fills it in and logs it too, as Envoy does; others leave it alone or set `protocol`.
   */
  readonly stream?: StreamInfo | undefined;
}
