// HEADERS and CONTINUATION that come in on an HTTP/2 connection: to requests, responses and trailers of streams.
import { HpackDecoder } from "../../wire/hpack/decoder.ts";
import type { Head } from "../../wire/http1-head.ts";
import { frameFlag, h2Error, readUint31 } from "../../wire/http2/frame.ts";
import { MessageReader, type MessageError } from "../../wire/http2/message.ts";
import type { FloodGuard } from "./flood-guard.ts";
import { HeaderBlocks } from "./header-blocks.ts";
import type { Http2Stats } from "./http2-stats.ts";
import type { PeerFaults } from "./peer-faults.ts";
import type { SessionOptions, SessionOwner } from "./session-options.ts";
import type { Http2Stream } from "./stream.ts";
import type { StreamTable } from "./stream-table.ts";

/** What the reading of heads is given. */
export interface HeaderFramesDeps {
  readonly options: SessionOptions;
  readonly owner: SessionOwner;
  readonly stats: Http2Stats;
  readonly streams: StreamTable;
  readonly guard: FloodGuard;
  readonly faults: PeerFaults;
}

/** The reading of a connection's heads. */
export class HeaderFrames {
  /** The block under way. */
  readonly blocks: HeaderBlocks;
  /** GOAWAY said that no more streams are taken on. */
  refusing = false;
  readonly #options: SessionOptions;
  readonly #owner: SessionOwner;
  readonly #stats: Http2Stats;
  readonly #streams: StreamTable;
  readonly #guard: FloodGuard;
  readonly #faults: PeerFaults;
  readonly #decoder: HpackDecoder;
  readonly #message: MessageReader;

  constructor({ options, owner, stats, streams, guard, faults }: HeaderFramesDeps) {
    this.#options = options;
    this.#owner = owner;
    this.#stats = stats;
    this.#streams = streams;
    this.#guard = guard;
    this.#faults = faults;
    this.blocks = new HeaderBlocks(options.messages.maxBytes);
    this.#decoder = new HpackDecoder(options.headerTableBytes);
    this.#message = new MessageReader(options.messages);
  }

  /** HEADERS with its payload in `buffer[start..end)`. */
  onHeaders(flags: number, id: number, buffer: Buffer, start: number, end: number): void {
    const faults = this.#faults;
    if (id === 0 || (this.#options.role === "server" && id % 2 === 0)) return faults.protocolError();
    let from = start;
    let to = end;
    if ((flags & frameFlag.padded) !== 0) to -= buffer[from++] ?? 256;
    if ((flags & frameFlag.priority) !== 0) from += 5;
    if (to < from) return faults.protocolError();
    const selfDependent = (flags & frameFlag.priority) !== 0 && readUint31(buffer, from - 5) === id;
    if (faults.flood(this.#guard.onPayload(to > from || (flags & frameFlag.endStream) !== 0))) return;
    if ((flags & frameFlag.endHeaders) !== 0) this.#onBlock(id, flags, buffer, from, to);
    else this.blocks.begin(id, flags, buffer.subarray(from, to));
    if (selfDependent) faults.streamError(id, h2Error.protocolError);
  }

  /** CONTINUATION with its payload in `buffer[start..end)`. */
  onContinuation(flags: number, id: number, buffer: Buffer, start: number, end: number): void {
    const { blocks } = this;
    if (blocks.stream === 0) return this.#faults.protocolError();
    if (!blocks.add(buffer.subarray(start, end))) return this.#faults.fail(h2Error.enhanceYourCalm, "http2.too_many_continuations");
    if ((flags & frameFlag.endHeaders) === 0) return;
    const block = blocks.take();
    this.#onBlock(id, blocks.flags, block, 0, block.length);
  }

  /** A whole header block. It is read even when nobody wants it, because the table depends on it. */
  #onBlock(id: number, flags: number, block: Buffer, start: number, end: number): void {
    const endStream = (flags & frameFlag.endStream) !== 0;
    const server = this.#options.role === "server";
    const stream = this.#streams.get(id);
    const opens = stream === undefined && server && id > this.#streams.lastPeer;
    const kind = stream?.headSeen === true ? "trailers" : server ? "request" : "response";
    this.#message.begin(kind);
    if (!this.#decoder.decode(block, start, end, this.#message)) {
      return this.#faults.fail(h2Error.compressionError, "http2.compression_error");
    }
    const head = this.#message.end();
    if (opens) return this.#onRequest(id, head, endStream);
    if (stream === undefined) return this.#onStray(id);
    if (stream.remoteEnded) return this.#faults.streamError(id, h2Error.streamClosed);
    // As in Envoy: those of requests, good or not.
    if (server && kind === "trailers") this.#stats.trailers.inc();
    if (typeof head === "string") return this.#faults.malformed(stream, head);
    if (kind === "trailers") this.#onTrailers(stream, head, endStream);
    else this.#onResponse(stream, head, endStream);
  }

  #onStray(id: number): void {
    if (this.#streams.isIdle(id)) return this.#faults.protocolError();
    // Frames under way when this side had reset the stream; anything else has no excuse.
    if (!this.#streams.wasReset(id)) this.#faults.fail(h2Error.streamClosed, "http2.stream_closed");
  }

  #onRequest(id: number, head: Head | MessageError, endStream: boolean): void {
    const streams = this.#streams;
    streams.lastPeer = id;
    this.#guard.onStream();
    if (this.refusing || streams.size >= this.#options.maxConcurrentStreams) return streams.refuse(id, h2Error.refusedStream);
    if (typeof head === "string") return this.#faults.malformedRequest(id, head);
    if (endStream && head.contentLength > 0) return this.#faults.malformedRequest(id, "violation.of.messaging.rule");
    const stream = streams.create(id);
    stream.headSeen = true;
    stream.remoteEnded = endStream;
    if (!endStream) streams.touch(stream);
    stream.expectedBytes = head.contentLength;
    this.#owner.onRequest(stream, head, endStream);
  }

  #onTrailers(stream: Http2Stream, head: Head, endStream: boolean): void {
    if (!endStream || stream.expectedBytes > 0) return this.#faults.malformed(stream, "violation.of.messaging.rule");
    this.#streams.touch(stream);
    stream.remoteEnded = true;
    stream.deliverTrailers(head.headers);
    if (stream.localEnded) this.#streams.complete(stream);
  }

  #onResponse(stream: Http2Stream, head: Head, endStream: boolean): void {
    if (head.status < 200 && (endStream || head.status === 101)) return this.#faults.malformed(stream, "violation.of.messaging.rule");
    this.#streams.touch(stream);
    if (head.status >= 200) {
      stream.headSeen = true;
      // A response to HEAD, or a 304, has a length and no body.
      if (!endStream) stream.expectedBytes = head.contentLength;
    }
    stream.remoteEnded = endStream;
    stream.handler?.onHead(head, endStream);
    if (endStream && stream.localEnded) this.#streams.complete(stream);
  }
}
