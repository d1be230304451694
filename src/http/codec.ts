// The boundary between streams and what they come over: what a stream needs of the downstream protocol, and what the
// connection manager needs of a connection. HTTP/1 (h1/) and HTTP/2 (h2/) each implement both.
import type { HeaderMap } from "../wire/header-map.ts";
import type { HttpStream } from "./stream.ts";

/** What a stream needs of the downstream protocol. HTTP/1 lends its connection to one stream after the other; HTTP/2 has one a stream. */
export interface DownstreamCodec {
  /** `endStream`: nothing follows. Interim (1xx) responses go through `encodeInformational`. */
  encodeHeaders(stream: HttpStream, status: number, headers: HeaderMap, endStream: boolean): void;
  encodeInformational(status: number, headers: HeaderMap): void;
  /** False: stop until `stream.onDownstreamWritable`. */
  encodeData(data: Buffer, endStream: boolean): boolean;
  encodeTrailers(trailers: HeaderMap): void;
  /** Writes what was held back to be joined with body bytes. */
  flush(): void;
  /** Breaks the exchange off: the client must be able to tell that the response is not complete. */
  resetStream(): void;
  /** Stops or goes on delivering request body. */
  pauseRequest(paused: boolean): void;
  /** The exchange becomes a byte tunnel after a 101: request bytes are delivered raw. */
  startTunnel(): void;
  /** The process is going away: the client should not use the connection for more. True when it is told for the first time. */
  noteDraining(stream: HttpStream): boolean;
  /** The exchange is over; `reusable`: an HTTP/1 connection may carry another request. */
  onStreamDone(reusable: boolean): void;
}

/** A downstream connection, whatever its protocol. */
export interface ServerConnection {
  /** No more requests after those under way; an idle connection closes after the drain timeout. */
  drain(): void;
  /** Closes at once. */
  destroy(): void;
}
