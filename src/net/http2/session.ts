// One HTTP/2 connection, either side: frames to streams and back, settings, flow control, and what its peer may not do
// (RFC 9113). Knows nothing of requests' meaning; http/h2 and upstream/pool build on it.
import type { Socket } from "node:net";
import type { Clock } from "../../clock.ts";
import type { Counter } from "../../telemetry/stats.ts";
import { HpackDecoder } from "../../wire/hpack/decoder.ts";
import { HpackEncoder } from "../../wire/hpack/encoder.ts";
import type { HeaderMap } from "../../wire/header-map.ts";
import type { Head } from "../../wire/http1-head.ts";
import {
  clientPreface,
  defaultMaxFrameBytes,
  frameFlag,
  frameType,
  h2Error,
  initialWindowBytes,
  largestWindow,
  readUint31,
  readUint32,
  settingId,
} from "../../wire/http2/frame.ts";
import { FrameReader, type FrameSink } from "../../wire/http2/frame-reader.ts";
import { MessageReader, type MessageError, type MessageLimits } from "../../wire/http2/message.ts";
import { FloodGuard, type Flood, type FloodLimits } from "./flood-guard.ts";
import type { Http2Stats } from "./http2-stats.ts";
import { FrameWriter } from "./frame-writer.ts";
import { HeaderBlocks } from "./header-blocks.ts";
import { Keepalive, type KeepaliveOptions, type KeepaliveOwner } from "./keepalive.ts";
import { Http2Output } from "./output.ts";
import { SelfResets } from "./self-resets.ts";
import { Http2Stream, type StreamReset } from "./stream.ts";

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

const noBytes = Buffer.alloc(0);
/** Refusals by the configuration: the client broke no rule of the protocol. */
const onlyThisStream: ReadonlySet<MessageError> = new Set(["header_list_size_too_large", "too_many_headers", "unexpected_underscore"]);

/** A connection. */
export class Http2Session implements FrameSink, KeepaliveOwner {
  readonly encoder: HpackEncoder;
  readonly options: SessionOptions;
  /** What the peer allows. */
  peerMaxStreams = Infinity;
  peerAllowsConnect = false;
  /** The highest stream of the peer's that was taken on. */
  lastPeerStream = 0;
  readonly #owner: SessionOwner;
  readonly #stats: Http2Stats;
  readonly #decoder: HpackDecoder;
  readonly #reader: FrameReader;
  readonly #message: MessageReader;
  readonly #guard: FloodGuard;
  readonly #output: Http2Output;
  readonly #streams = new Map<number, Http2Stream>();
  readonly #waiting = new Set<Http2Stream>();
  readonly #resets = new SelfResets();
  readonly #blocks: HeaderBlocks;
  readonly #writer: FrameWriter;
  #touched: Http2Stream[] = [];
  #preface: Buffer = noBytes;
  #ready: boolean;
  #settingsSeen = false;
  #ended = false;
  #refusing = false;
  #nextStream = 1;
  #sendWindow = initialWindowBytes;
  #receiveWindow: number;
  #uncredited = 0;
  #peerStreamWindow = initialWindowBytes;
  readonly #keepalive: Keepalive | undefined;

  constructor(socket: Socket, raw: boolean, options: SessionOptions, owner: SessionOwner, stats: Http2Stats, sent: Counter, clock: Clock) {
    this.options = options;
    this.#owner = owner;
    this.#stats = stats;
    this.encoder = new HpackEncoder(Math.min(options.headerTableBytes, 4096));
    this.#decoder = new HpackDecoder(options.headerTableBytes);
    this.#reader = new FrameReader(this, defaultMaxFrameBytes);
    this.#message = new MessageReader(options.messages);
    this.#guard = new FloodGuard(options.floods);
    this.#output = new Http2Output(socket, raw, sent);
    this.#writer = new FrameWriter(this.#output, this.#guard, (flood) => this.#checkFlood(flood));
    this.#blocks = new HeaderBlocks(options.messages.maxBytes);
    this.#receiveWindow = Math.max(options.connectionWindowBytes, initialWindowBytes);
    this.#ready = options.role === "client";
    this.#writer.preface(options);
    if (options.keepaliveIntervalMs > 0 || options.keepaliveIdleMs > 0) this.#keepalive = new Keepalive(options, this, clock);
  }

  /** Streams that are open. */
  get size(): number {
    return this.#streams.size;
  }

  /** Only what cannot wait should be written. */
  get congested(): boolean {
    return this.#output.congested;
  }

  /** The streams that are open. */
  streams(): Iterable<Http2Stream> {
    return this.#streams.values();
  }

  /** True while a header block is under way. */
  get inHeaders(): boolean {
    return this.#blocks.stream !== 0;
  }

  // --- reading -------------------------------------------------------------------------------------------------------

  /** Works off what the socket read. */
  read(chunk: Buffer): void {
    if (this.#ended) return;
    this.#keepalive?.onRead();
    const start = this.#ready ? 0 : this.#readPreface(chunk);
    if (start < 0) return;
    this.#reader.read(chunk, start);
    const touched = this.#touched;
    if (touched.length === 0) return;
    this.#touched = [];
    for (const stream of touched) {
      stream.touched = false;
      stream.handler?.onReadDone();
    }
  }

  #readPreface(chunk: Buffer): number {
    const had = this.#preface.length;
    const bytes = had === 0 ? chunk : Buffer.concat([this.#preface, chunk]);
    const length = Math.min(bytes.length, clientPreface.length);
    if (bytes.compare(clientPreface, 0, length, 0, length) !== 0) {
      this.fail(h2Error.protocolError, "http2.bad_client_preface");
      return -1;
    }
    if (length < clientPreface.length) {
      this.#preface = Buffer.from(bytes);
      return -1;
    }
    this.#ready = true;
    return length - had;
  }

  onOversizedFrame(): void {
    this.fail(h2Error.frameSizeError, "http2.frame_size_error");
  }

  onFrame(type: number, flags: number, id: number, buffer: Buffer, start: number, end: number): boolean {
    if (this.#blocks.stream !== 0 && (type !== frameType.continuation || id !== this.#blocks.stream)) return this.#protocolError();
    if (!this.#settingsSeen && type !== frameType.settings) return this.#protocolError();
    switch (type) {
      case frameType.data:
        this.#onData(flags, id, buffer, start, end);
        break;
      case frameType.headers:
        this.#onHeaders(flags, id, buffer, start, end);
        break;
      case frameType.continuation:
        this.#onContinuation(flags, id, buffer, start, end);
        break;
      case frameType.priority:
        if (id === 0) return this.#protocolError();
        if (end - start !== 5) this.#streamError(id, h2Error.frameSizeError);
        else if (readUint31(buffer, start) === id) this.#streamError(id, h2Error.protocolError);
        this.#checkFlood(this.#guard.onPriority());
        break;
      case frameType.rstStream:
        this.#onReset(id, buffer, start, end);
        break;
      case frameType.settings:
        this.#onSettings(flags, id, buffer, start, end);
        break;
      case frameType.pushPromise:
        return this.#protocolError();
      case frameType.ping:
        this.#onPing(flags, id, buffer, start, end);
        break;
      case frameType.goaway:
        this.#onGoaway(id, buffer, start, end);
        break;
      case frameType.windowUpdate:
        this.#onWindowUpdate(id, buffer, start, end);
        break;
      default:
        // Frames of unknown types are ignored (RFC 9113 section 4.1).
        break;
    }
    return !this.#ended;
  }

  #onData(flags: number, id: number, buffer: Buffer, start: number, end: number): void {
    const length = end - start;
    if (id === 0) return void this.#protocolError();
    this.#receiveWindow -= length;
    if (this.#receiveWindow < 0) return this.fail(h2Error.flowControlError, "http2.flow_control_error");
    const endStream = (flags & frameFlag.endStream) !== 0;
    if (this.#checkFlood(this.#guard.onPayload(endStream || length > 0))) return;
    let from = start;
    let to = end;
    if ((flags & frameFlag.padded) !== 0) {
      if (length === 0) return this.fail(h2Error.frameSizeError, "http2.frame_size_error");
      to -= buffer[from++]!;
      if (to < from) return void this.#protocolError();
    }
    const stream = this.#streams.get(id);
    if (stream === undefined || stream.remoteEnded) return this.#onStrayData(id, stream, length);
    if (!stream.headSeen) return this.#streamError(id, h2Error.protocolError);
    stream.receiveWindow -= length;
    if (stream.receiveWindow < 0) return this.#streamError(id, h2Error.flowControlError);
    const bytes = to - from;
    if (bytes < length) this.credit(stream, length - bytes);
    if (stream.expectedBytes >= 0) {
      stream.expectedBytes -= bytes;
      if (stream.expectedBytes < 0 || (endStream && stream.expectedBytes !== 0)) {
        this.#creditConnection(bytes);
        this.#countMalformed("violation.of.messaging.rule");
        return this.#streamError(id, h2Error.protocolError);
      }
    }
    this.#touch(stream);
    if (endStream) stream.remoteEnded = true;
    stream.deliver(buffer.subarray(from, to), endStream);
    if (endStream && stream.localEnded) this.onStreamComplete(stream);
  }

  #onStrayData(id: number, stream: Http2Stream | undefined, length: number): void {
    this.#creditConnection(length);
    if (stream !== undefined) return this.#streamError(id, h2Error.streamClosed);
    if (this.#isIdle(id)) return void this.#protocolError();
    if (!this.#resets.has(id)) this.#writeReset(id, h2Error.streamClosed);
  }

  #touch(stream: Http2Stream): void {
    if (stream.touched) return;
    stream.touched = true;
    this.#touched.push(stream);
  }

  /** Never opened by whoever may open it. */
  #isIdle(id: number): boolean {
    const peers = (id % 2 === 1) === (this.options.role === "server");
    return peers ? id > this.lastPeerStream : id >= this.#nextStream || id % 2 === 0;
  }

  #onHeaders(flags: number, id: number, buffer: Buffer, start: number, end: number): void {
    if (id === 0 || (this.options.role === "server" && id % 2 === 0)) return void this.#protocolError();
    let from = start;
    let to = end;
    if ((flags & frameFlag.padded) !== 0) to -= buffer[from++] ?? 256;
    if ((flags & frameFlag.priority) !== 0) from += 5;
    if (to < from) return void this.#protocolError();
    const selfDependent = (flags & frameFlag.priority) !== 0 && readUint31(buffer, from - 5) === id;
    if (this.#checkFlood(this.#guard.onPayload(to > from || (flags & frameFlag.endStream) !== 0))) return;
    if ((flags & frameFlag.endHeaders) !== 0) this.#onBlock(id, flags, buffer, from, to);
    else this.#blocks.begin(id, flags, buffer.subarray(from, to));
    if (selfDependent) this.#streamError(id, h2Error.protocolError);
  }

  #onContinuation(flags: number, id: number, buffer: Buffer, start: number, end: number): void {
    if (this.#blocks.stream === 0) return void this.#protocolError();
    if (!this.#blocks.add(buffer.subarray(start, end))) return this.fail(h2Error.enhanceYourCalm, "http2.too_many_continuations");
    if ((flags & frameFlag.endHeaders) === 0) return;
    const block = this.#blocks.take();
    this.#onBlock(id, this.#blocks.flags, block, 0, block.length);
  }

  /** A whole header block. It is read even when nobody wants it, because the table depends on it. */
  #onBlock(id: number, flags: number, block: Buffer, start: number, end: number): void {
    const endStream = (flags & frameFlag.endStream) !== 0;
    const stream = this.#streams.get(id);
    const opens = stream === undefined && this.options.role === "server" && id > this.lastPeerStream;
    const kind = stream?.headSeen === true ? "trailers" : this.options.role === "server" ? "request" : "response";
    this.#message.begin(kind);
    if (!this.#decoder.decode(block, start, end, this.#message)) return this.fail(h2Error.compressionError, "http2.compression_error");
    const head = this.#message.end();
    if (opens) return this.#onRequestBlock(id, head, endStream);
    if (stream === undefined) {
      if (this.#isIdle(id)) return void this.#protocolError();
      // Frames under way when this side had reset the stream; anything else has no excuse.
      if (!this.#resets.has(id)) this.fail(h2Error.streamClosed, "http2.stream_closed");
      return;
    }
    if (stream.remoteEnded) return this.#streamError(id, h2Error.streamClosed);
    if (typeof head === "string") return this.#malformed(stream, head);
    if (kind === "trailers") this.#onTrailers(stream, head, endStream);
    else this.#onResponse(stream, head, endStream);
  }

  #onRequestBlock(id: number, head: Head | MessageError, endStream: boolean): void {
    this.lastPeerStream = id;
    this.#guard.onStream();
    if (this.#refusing || this.#streams.size >= this.options.maxConcurrentStreams) return this.#writeReset(id, h2Error.refusedStream);
    if (typeof head === "string") return this.#refuseRequest(id, head);
    if (endStream && head.contentLength > 0) return this.#refuseRequest(id, "violation.of.messaging.rule");
    const stream = this.#createStream(id);
    stream.headSeen = true;
    stream.remoteEnded = endStream;
    if (!endStream) this.#touch(stream);
    stream.expectedBytes = head.contentLength;
    this.#owner.onRequest(stream, head, endStream);
  }

  #refuseRequest(id: number, error: MessageError): void {
    this.#countMalformed(error);
    this.#owner.onRefusedRequest(error);
    if (onlyThisStream.has(error)) return this.#writeReset(id, h2Error.internalError);
    if (this.options.malformedEndsStream) this.#writeReset(id, h2Error.protocolError);
    else this.fail(h2Error.protocolError, `http2.${error}`);
  }

  #countMalformed(error: MessageError): void {
    if (error === "header_list_size_too_large" || error === "too_many_headers") this.#stats.headerOverflow.inc();
    else if (error === "unexpected_underscore") this.#stats.underscoresRejected.inc();
    else this.#stats.rxMessagingError.inc();
  }

  #onTrailers(stream: Http2Stream, head: Head, endStream: boolean): void {
    if (!endStream || stream.expectedBytes > 0) return this.#malformed(stream, "violation.of.messaging.rule");
    this.#touch(stream);
    this.#stats.trailers.inc();
    stream.remoteEnded = true;
    stream.deliverTrailers(head.headers);
    if (stream.localEnded) this.onStreamComplete(stream);
  }

  #onResponse(stream: Http2Stream, head: Head, endStream: boolean): void {
    if (head.status < 200 && (endStream || head.status === 101)) return this.#malformed(stream, "violation.of.messaging.rule");
    this.#touch(stream);
    if (head.status >= 200) {
      stream.headSeen = true;
      // A response to HEAD, or a 304, has a length and no body.
      if (!endStream) stream.expectedBytes = head.contentLength;
    }
    stream.remoteEnded = endStream;
    stream.handler?.onHead(head, endStream);
    if (endStream && stream.localEnded) this.onStreamComplete(stream);
  }

  /** A message of a stream breaks the rules. */
  #malformed(stream: Http2Stream, error: MessageError): void {
    this.#countMalformed(error);
    if (this.options.role === "server" && !this.options.malformedEndsStream && error !== "header_list_size_too_large") {
      return this.fail(h2Error.protocolError, `http2.${error}`);
    }
    this.#streamError(stream.id, h2Error.protocolError);
  }

  /** Ends a stream for what its peer did. */
  #streamError(id: number, code: number): void {
    const stream = this.#streams.get(id);
    if (stream === undefined) {
      if (this.#isIdle(id)) this.fail(code, "http2.protocol_error");
      else this.#writeReset(id, code);
      return;
    }
    this.resetStream(stream, code, { by: "local", code });
  }

  #onReset(id: number, buffer: Buffer, start: number, end: number): void {
    if (end - start !== 4) return this.fail(h2Error.frameSizeError, "http2.frame_size_error");
    if (id === 0 || this.#isIdle(id)) return void this.#protocolError();
    const stream = this.#streams.get(id);
    if (stream === undefined) return;
    this.#stats.rxReset.inc();
    this.#remove(stream, { by: "peer", code: readUint32(buffer, start) });
  }

  #onSettings(flags: number, id: number, buffer: Buffer, start: number, end: number): void {
    if (id !== 0) return void this.#protocolError();
    const length = end - start;
    const ack = (flags & frameFlag.ack) !== 0;
    if (length % 6 !== 0 || (ack && length > 0)) return this.fail(h2Error.frameSizeError, "http2.frame_size_error");
    if (ack) {
      if (!this.#settingsSeen) this.#protocolError();
      return;
    }
    this.#settingsSeen = true;
    for (let at = start; at < end; at += 6) {
      if (!this.#applySetting((buffer[at]! << 8) | buffer[at + 1]!, readUint32(buffer, at + 2))) return;
    }
    this.#writer.settingsAck();
    this.#owner.onSettings();
    if (!this.#ended) this.#pump();
  }

  #applySetting(id: number, value: number): boolean {
    switch (id) {
      case settingId.headerTableSize:
        this.encoder.limitTable(value, Math.min(this.options.headerTableBytes, 4096));
        return true;
      case settingId.enablePush:
        return value <= (this.options.role === "server" ? 1 : 0) || this.#protocolError();
      case settingId.maxConcurrentStreams:
        this.peerMaxStreams = value;
        return true;
      case settingId.initialWindowSize: {
        if (value > largestWindow) {
          this.fail(h2Error.flowControlError, "http2.flow_control_error");
          return false;
        }
        const change = value - this.#peerStreamWindow;
        this.#peerStreamWindow = value;
        for (const stream of this.#streams.values()) if (!this.#widen(stream, change)) return false;
        return true;
      }
      case settingId.maxFrameSize:
        if (value < defaultMaxFrameBytes || value > 0xff_ffff) return this.#protocolError();
        return true;
      case settingId.enableConnectProtocol:
        if (value > 1) return this.#protocolError();
        this.peerAllowsConnect = value === 1;
        return true;
      default:
        return true;
    }
  }

  #onPing(flags: number, id: number, buffer: Buffer, start: number, end: number): void {
    if (id !== 0) return void this.#protocolError();
    if (end - start !== 8) return this.fail(h2Error.frameSizeError, "http2.frame_size_error");
    if ((flags & frameFlag.ack) === 0) this.#writer.pingAck(buffer.subarray(start, end));
    else this.#keepalive?.onAnswer();
  }

  #onGoaway(id: number, buffer: Buffer, start: number, end: number): void {
    if (id !== 0) return void this.#protocolError();
    if (end - start < 8) return this.fail(h2Error.frameSizeError, "http2.frame_size_error");
    const last = readUint31(buffer, start);
    const code = readUint32(buffer, start + 4);
    this.#owner.onGoaway(code);
    if (this.options.role !== "client") return;
    // Those above were never looked at (RFC 9113 section 6.8).
    for (const stream of this.#streams.values()) if (stream.id > last) this.#remove(stream, { by: "goaway", code });
  }

  #onWindowUpdate(id: number, buffer: Buffer, start: number, end: number): void {
    if (end - start !== 4) return this.fail(h2Error.frameSizeError, "http2.frame_size_error");
    const change = readUint31(buffer, start);
    if (this.#checkFlood(this.#guard.onWindowUpdate())) return;
    if (id === 0) {
      if (change === 0) return void this.#protocolError();
      this.#sendWindow += change;
      if (this.#sendWindow > largestWindow) return this.fail(h2Error.flowControlError, "http2.flow_control_error");
      return this.#pump();
    }
    const stream = this.#streams.get(id);
    if (stream === undefined) {
      if (this.#isIdle(id)) this.#protocolError();
      return;
    }
    if (change === 0) return this.#streamError(id, h2Error.protocolError);
    if (this.#widen(stream, change) && this.#waiting.has(stream)) this.#pumpOne(stream);
  }

  #widen(stream: Http2Stream, change: number): boolean {
    stream.sendWindow += change;
    if (stream.sendWindow <= largestWindow) return true;
    this.#streamError(stream.id, h2Error.flowControlError);
    return false;
  }

  // --- writing -------------------------------------------------------------------------------------------------------

  /** Opens a stream of this side's own. Clients only. */
  openStream(): Http2Stream {
    this.#keepalive?.onRequest();
    const id = this.#nextStream;
    this.#nextStream += 2;
    this.#guard.onStream();
    return this.#createStream(id);
  }

  /** Streams that this side may still open before their numbers run out. */
  get streamsLeft(): number {
    return Math.floor((largestWindow - this.#nextStream) / 2);
  }

  #createStream(id: number): Http2Stream {
    const stream = new Http2Stream(this, id, this.#peerStreamWindow, this.options.streamWindowBytes);
    this.#streams.set(id, stream);
    this.#stats.streamsActive.inc();
    return stream;
  }

  /** Writes the block that was just encoded as a stream's head. */
  writeHeaders(stream: Http2Stream, endStream: boolean): void {
    this.#writer.headers(stream.id, this.encoder, endStream);
  }

  /** Writes trailers; they end the stream. */
  writeTrailers(stream: Http2Stream, trailers: HeaderMap): void {
    const { encoder } = this;
    encoder.begin();
    for (let i = 0; i < trailers.size; i++) encoder.field(trailers.names[i]!, trailers.values[i]!);
    this.#stats.trailers.inc();
    this.writeHeaders(stream, true);
  }

  /** Bytes of DATA that may be written for a stream now. */
  roomFor(stream: Http2Stream): number {
    return this.#output.congested ? 0 : Math.min(stream.sendWindow, this.#sendWindow, defaultMaxFrameBytes);
  }

  /** Writes as much of `data[from..]` as the windows allow; returns how far it came. END_STREAM goes with the last byte. */
  writeData(stream: Http2Stream, data: Buffer, from: number, endStream: boolean): number {
    let at = from;
    const { length } = data;
    if (length === at && endStream) {
      this.#dataFrame(stream, data, at, 0, true);
      stream.onEndSent();
      return at;
    }
    while (at < length) {
      const room = this.roomFor(stream);
      if (room <= 0) return at;
      const size = Math.min(room, length - at);
      const last = endStream && at + size === length;
      this.#dataFrame(stream, data, at, size, last);
      at += size;
      if (last) stream.onEndSent();
    }
    return at;
  }

  #dataFrame(stream: Http2Stream, data: Buffer, from: number, size: number, last: boolean): void {
    stream.sendWindow -= size;
    this.#sendWindow -= size;
    this.#writer.data(stream.id, data, from, size, last);
  }

  /** A stream has something to send, or wants to know when it may. */
  wait(stream: Http2Stream): void {
    this.#waiting.add(stream);
  }

  /** The socket takes bytes again. */
  onDrain(): void {
    this.#output.onDrain();
    this.#guard.onDrained();
    this.#pump();
  }

  // One frame a stream and round, so that none starves the others.
  #pump(): void {
    let progress = this.#waiting.size > 0;
    while (progress && !this.#ended) {
      progress = false;
      for (const stream of Array.from(this.#waiting)) {
        if (this.congested) return;
        const before = stream.sendWindow;
        if (!stream.pump()) this.#waiting.delete(stream);
        else if (stream.sendWindow !== before) progress = true;
      }
    }
  }

  #pumpOne(stream: Http2Stream): void {
    for (let before = Infinity; !this.congested && stream.sendWindow < before;) {
      before = stream.sendWindow;
      if (stream.pump()) continue;
      this.#waiting.delete(stream);
      return;
    }
  }

  /** Received bytes of a stream went on: the peer may send as many more. */
  credit(stream: Http2Stream, bytes: number): void {
    this.#creditConnection(bytes);
    if (stream.remoteEnded || stream.closed) return;
    stream.uncredited += bytes;
    if (stream.uncredited * 2 < this.options.streamWindowBytes) return;
    stream.receiveWindow += stream.uncredited;
    this.#writer.windowUpdate(stream.id, stream.uncredited);
    stream.uncredited = 0;
  }

  #creditConnection(bytes: number): void {
    this.#uncredited += bytes;
    if (this.#uncredited * 2 < this.options.connectionWindowBytes) return;
    this.#receiveWindow += this.#uncredited;
    this.#writer.windowUpdate(0, this.#uncredited);
    this.#uncredited = 0;
  }

  #writeReset(id: number, code: number): void {
    if (this.#ended) return;
    this.#stats.txReset.inc();
    this.#resets.add(id);
    this.#writer.reset(id, code);
  }

  // --- ends ----------------------------------------------------------------------------------------------------------

  /** Both directions of a stream are done. */
  onStreamComplete(stream: Http2Stream): void {
    if (!stream.closed) this.#forget(stream, undefined);
  }

  /** Sends RST_STREAM; `tell` says to the handler why. */
  resetStream(stream: Http2Stream, code: number, tell?: StreamReset): void {
    if (stream.closed) return;
    this.#writeReset(stream.id, code);
    this.#remove(stream, tell ?? { by: "local", code });
  }

  #remove(stream: Http2Stream, reset: StreamReset): void {
    if (stream.closed) return;
    const { handler } = stream;
    stream.handler = undefined;
    this.#forget(stream, reset);
    handler?.onReset(reset);
  }

  #forget(stream: Http2Stream, reset: StreamReset | undefined): void {
    stream.closed = true;
    this.#streams.delete(stream.id);
    this.#waiting.delete(stream);
    this.#stats.streamsActive.dec();
    if (reset !== undefined) stream.drop();
    this.#owner.onStreamClosed(stream, reset);
  }

  /** Says that no streams past `lastStream` will be served; 2^31-1: that this will be said soon. */
  goaway(code: number, lastStream: number = this.lastPeerStream): void {
    if (this.#ended) return;
    if (lastStream !== largestWindow) this.#refusing = true;
    this.#stats.goawaySent.inc();
    this.#writer.goaway(lastStream, code);
  }

  #protocolError(): false {
    this.fail(h2Error.protocolError, "http2.protocol_error");
    return false;
  }

  #checkFlood(flood: Flood | undefined): boolean {
    if (flood === undefined) return false;
    this.#stats.floods[flood].inc();
    this.fail(h2Error.enhanceYourCalm, `http2.${flood}`);
    return true;
  }

  /** Gives the connection up: GOAWAY, every stream ends, nothing is read any more. */
  fail(code: number, details: string): void {
    if (this.#ended) return;
    this.goaway(code);
    this.#end();
    this.#output.flush();
    this.#owner.onFailed(details);
    this.#resetAll({ by: "connection", code, details });
  }

  /** Writes what is left at once. */
  flush(): void {
    this.#output.flush();
  }

  /** The socket is gone. */
  close(): void {
    this.#end();
    this.#output.close();
    this.#resetAll({ by: "connection", code: h2Error.noError });
  }

  #end(): void {
    this.#ended = true;
    this.#keepalive?.stop();
    this.#waiting.clear();
  }

  #resetAll(reset: StreamReset): void {
    for (const stream of this.#streams.values()) this.#remove(stream, reset);
  }

  /** For the keepalive. */
  sendPing(): void {
    this.#writer.ping();
  }

  /** For the keepalive: the peer is taken for dead. */
  onKeepaliveTimeout(): void {
    this.#stats.keepaliveTimeout.inc();
    this.fail(h2Error.noError, "http2.keepalive_timeout");
  }
}
