// What becomes of a peer of an HTTP/2 connection that breaks a rule: the end of a stream, or of the connection.
import { h2Error } from "../../wire/http2/frame.ts";
import type { MessageError } from "../../wire/http2/message.ts";
import type { Flood } from "./flood-guard.ts";
import type { Http2Stats } from "./http2-stats.ts";
import type { SessionOptions, SessionOwner } from "./session-options.ts";
import type { Http2Stream } from "./stream.ts";
import type { StreamTable } from "./stream-table.ts";

/** What the faults of a connection are given. */
export interface PeerFaultsDeps {
  readonly options: SessionOptions;
  readonly owner: SessionOwner;
  readonly stats: Http2Stats;
  readonly streams: StreamTable;
  /** Gives the connection up. `details` is Envoy's. */
  readonly fail: (code: number, details: string) => void;
}

/** Refusals by a limit of the configuration: the client broke no rule of the protocol, and only this stream ends. */
export const limitRefusals: ReadonlySet<MessageError> = new Set([
  "header_list_size_too_large",
  "too_many_headers",
  "unexpected_underscore",
]);

/** The faults of a connection's peer. */
export class PeerFaults {
  readonly #deps: PeerFaultsDeps;

  constructor(deps: PeerFaultsDeps) {
    this.#deps = deps;
  }

  /** Ends the connection. */
  fail(code: number, details: string): void {
    this.#deps.fail(code, details);
  }

  /** Ends the connection over a frame that may not be there. */
  protocolError(): void {
    this.fail(h2Error.protocolError, "http2.protocol_error");
  }

  /** Ends the connection over a frame of the wrong size. */
  frameSizeError(): void {
    this.fail(h2Error.frameSizeError, "http2.frame_size_error");
  }

  /** Ends the connection over its window. */
  flowControlError(): void {
    this.fail(h2Error.flowControlError, "http2.flow_control_error");
  }

  /** Ends the connection, and returns true, when a limit was passed. */
  flood(flood: Flood | undefined): boolean {
    if (flood === undefined) return false;
    this.#deps.stats.floods[flood].inc();
    this.fail(h2Error.enhanceYourCalm, `http2.${flood}`);
    return true;
  }

  /** Ends a stream for what its peer did; the connection, when there is no such stream yet. */
  streamError(id: number, code: number): void {
    const { streams } = this.#deps;
    const stream = streams.get(id);
    if (stream !== undefined) streams.reset(stream, code, { by: "local", code });
    else if (streams.isIdle(id)) this.fail(code, "http2.protocol_error");
    else streams.refuse(id, code);
  }

  /** A message of a stream breaks the rules. */
  malformed(stream: Http2Stream, error: MessageError): void {
    const { role, malformedEndsStream } = this.#deps.options;
    this.#count(error);
    if (error === "unexpected_underscore") {
      const code = h2Error.internalError;
      return this.#deps.streams.reset(stream, code, { by: "local", code, details: `http2.${error}` });
    }
    if (role === "server" && !malformedEndsStream && error !== "header_list_size_too_large") {
      this.fail(h2Error.protocolError, `http2.${error}`);
    } else this.streamError(stream.id, h2Error.protocolError);
  }

  /** A body of a stream is not as long as it said: no rule of the connection's is broken. */
  wrongLength(stream: Http2Stream): void {
    this.#count("violation.of.messaging.rule");
    this.streamError(stream.id, h2Error.protocolError);
  }

  /** A request breaks the rules before it became a stream. */
  malformedRequest(id: number, error: MessageError): void {
    const { options, owner, streams } = this.#deps;
    this.#count(error);
    owner.onRefusedRequest(error);
    if (limitRefusals.has(error)) streams.refuse(id, h2Error.internalError);
    else if (options.malformedEndsStream) streams.refuse(id, h2Error.protocolError);
    else this.fail(h2Error.protocolError, `http2.${error}`);
  }

  #count(error: MessageError): void {
    const { stats } = this.#deps;
    if (error === "header_list_size_too_large" || error === "too_many_headers") stats.headerOverflow.inc();
    else if (error === "unexpected_underscore") stats.underscoresRejected.inc();
    else stats.rxMessagingError.inc();
  }
}
