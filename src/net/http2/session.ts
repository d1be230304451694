// One HTTP/2 connection, either side (RFC 9113): puts together what reads its frames, what writes them and its streams, and ends
// it. Knows nothing of requests' meaning; http/h2 and upstream/pool build on it.
import type { Socket } from "node:net";
import type { Clock } from "../../clock.ts";
import type { Counter } from "../../telemetry/stats.ts";
import { HpackEncoder } from "../../wire/hpack/encoder.ts";
import { defaultMaxFrameBytes, frameType, h2Error, largestWindow } from "../../wire/http2/frame.ts";
import { FrameReader, type FrameSink } from "../../wire/http2/frame-reader.ts";
import { ControlFrames } from "./control-frames.ts";
import { DataFrames } from "./data-frames.ts";
import { FloodGuard } from "./flood-guard.ts";
import { FrameWriter } from "./frame-writer.ts";
import type { HeaderBlocks } from "./header-blocks.ts";
import { HeaderFrames } from "./header-frames.ts";
import type { Http2Stats } from "./http2-stats.ts";
import { Keepalive, type KeepaliveOwner } from "./keepalive.ts";
import { Http2Output } from "./output.ts";
import { PeerFaults } from "./peer-faults.ts";
import { encoderTableBytes, PeerSettings } from "./peer-settings.ts";
import { PrefaceReader } from "./preface-reader.ts";
import { ReceiveWindow } from "./receive-window.ts";
import type { SessionOptions, SessionOwner } from "./session-options.ts";
import type { Http2Stream, StreamReset } from "./stream.ts";
import { StreamSender } from "./stream-sender.ts";
import { StreamTable } from "./stream-table.ts";

export type { SessionOptions, SessionOwner } from "./session-options.ts";

/** A connection. */
export class Http2Session implements FrameSink, KeepaliveOwner {
  readonly options: SessionOptions;
  readonly encoder: HpackEncoder;
  /** What the peer allows. */
  readonly peer: PeerSettings;
  /** For its streams. */
  readonly streams: StreamTable;
  /** For its streams. */
  readonly sender: StreamSender;
  /** For its streams. */
  readonly receiveWindow: ReceiveWindow;
  readonly #owner: SessionOwner;
  readonly #stats: Http2Stats;
  readonly #reader: FrameReader;
  readonly #guard: FloodGuard;
  readonly #output: Http2Output;
  readonly #writer: FrameWriter;
  readonly #faults: PeerFaults;
  readonly #blocks: HeaderBlocks;
  readonly #headers: HeaderFrames;
  readonly #data: DataFrames;
  readonly #control: ControlFrames;
  readonly #keepalive: Keepalive | undefined;
  /** The client's, while it is awaited. */
  #preface: PrefaceReader | undefined;
  #ended = false;

  constructor(socket: Socket, raw: boolean, options: SessionOptions, owner: SessionOwner, stats: Http2Stats, sent: Counter, clock: Clock) {
    const encoder = new HpackEncoder(encoderTableBytes(options));
    const guard = new FloodGuard(options.floods);
    const output = new Http2Output(socket, raw, sent);
    const writer = new FrameWriter(output, guard, (flood) => void this.#faults.flood(flood));
    const peer = new PeerSettings(options, encoder);
    const sender = new StreamSender({ encoder, writer, output });
    const window = new ReceiveWindow(options, writer);
    this.options = options;
    this.encoder = encoder;
    this.peer = peer;
    this.sender = sender;
    this.receiveWindow = window;
    const streams = new StreamTable(this, { owner, stats, writer, sender });
    const faults = new PeerFaults({ options, owner, stats, streams, fail: (code, details) => this.fail(code, details) });
    writer.preface(options);
    const keepalive = options.keepaliveIntervalMs > 0 || options.keepaliveIdleMs > 0 ? new Keepalive(options, this, clock) : undefined;
    this.streams = streams;
    this.#owner = owner;
    this.#stats = stats;
    this.#reader = new FrameReader(this, defaultMaxFrameBytes);
    this.#guard = guard;
    this.#output = output;
    this.#writer = writer;
    this.#faults = faults;
    this.#headers = new HeaderFrames({ options, owner, stats, streams, guard, faults });
    this.#blocks = this.#headers.blocks;
    this.#data = new DataFrames({ streams, window, guard, faults });
    this.#control = new ControlFrames({ options, owner, stats, peer, streams, sender, writer, guard, faults, keepalive });
    this.#keepalive = keepalive;
    this.#preface = options.role === "server" ? new PrefaceReader() : undefined;
  }

  /** Streams that are open. */
  get size(): number {
    return this.streams.size;
  }

  /** Streams that this side may still open before their numbers run out. */
  get streamsLeft(): number {
    return this.streams.left;
  }

  /** True while a header block is under way. */
  get inHeaders(): boolean {
    return this.#blocks.stream !== 0;
  }

  /** Opens a stream of this side's own. Clients only. */
  openStream(): Http2Stream {
    this.#keepalive?.onRequest();
    this.#guard.onStream();
    return this.streams.openOwn();
  }

  // --- reading ---------------------------------------------------------------------------------------------------------

  /** Works off what the socket read. */
  read(chunk: Buffer): void {
    if (this.#ended) return;
    this.#keepalive?.onRead();
    const start = this.#preface === undefined ? 0 : this.#readPreface(this.#preface, chunk);
    if (start < 0) return;
    this.#reader.read(chunk, start);
    this.streams.onReadDone();
  }

  #readPreface(preface: PrefaceReader, chunk: Buffer): number {
    const start = preface.read(chunk);
    if (start === "wrong") this.fail(h2Error.protocolError, "http2.bad_client_preface");
    if (typeof start === "string") return -1;
    this.#preface = undefined;
    return start;
  }

  onOversizedFrame(): void {
    this.#faults.frameSizeError();
  }

  onFrame(type: number, flags: number, id: number, buffer: Buffer, start: number, end: number): boolean {
    const blocked = this.#blocks.stream !== 0 && (type !== frameType.continuation || id !== this.#blocks.stream);
    if (blocked || (!this.#control.settingsSeen && type !== frameType.settings)) {
      this.#faults.protocolError();
      return false;
    }
    switch (type) {
      case frameType.data:
        this.#data.onData(flags, id, buffer, start, end);
        break;
      case frameType.headers:
        this.#headers.onHeaders(flags, id, buffer, start, end);
        break;
      case frameType.continuation:
        this.#headers.onContinuation(flags, id, buffer, start, end);
        break;
      case frameType.priority:
        this.#control.onPriority(id, buffer, start, end);
        break;
      case frameType.rstStream:
        this.#control.onReset(id, buffer, start, end);
        break;
      case frameType.settings:
        this.#control.onSettings(flags, id, buffer, start, end);
        break;
      case frameType.pushPromise:
        this.#faults.protocolError();
        break;
      case frameType.ping:
        this.#control.onPing(flags, id, buffer, start, end);
        break;
      case frameType.goaway:
        this.#control.onGoaway(id, buffer, start, end);
        break;
      case frameType.windowUpdate:
        this.#control.onWindowUpdate(id, buffer, start, end);
        break;
      default:
        // Frames of unknown types are ignored (RFC 9113 section 4.1).
        break;
    }
    return !this.#ended;
  }

  // --- writing ---------------------------------------------------------------------------------------------------------

  /** The socket takes bytes again. */
  onDrain(): void {
    this.#output.onDrain();
    this.#guard.onDrained();
    this.sender.pump();
  }

  /** Writes what is left at once. */
  flush(): void {
    this.#output.flush();
  }

  /** For the keepalive. */
  sendPing(): void {
    this.#writer.ping();
  }

  // --- ends ------------------------------------------------------------------------------------------------------------

  /** For the keepalive: the peer is taken for dead. */
  onKeepaliveTimeout(): void {
    this.#stats.keepaliveTimeout.inc();
    this.fail(h2Error.noError, "http2.keepalive_timeout");
  }

  /** Says that no streams past `lastStream` will be served; 2^31-1: that this will be said soon. */
  goaway(code: number, lastStream: number = this.streams.lastPeer): void {
    if (this.#ended) return;
    if (lastStream !== largestWindow) this.#headers.refusing = true;
    this.#stats.goawaySent.inc();
    this.#writer.goaway(lastStream, code);
  }

  /** Gives the connection up: GOAWAY, every stream ends, nothing is read any more. */
  fail(code: number, details: string): void {
    if (this.#ended) return;
    this.goaway(code);
    this.#end();
    this.#output.flush();
    this.#owner.onFailed(details);
    this.streams.removeAll({ by: "connection", code, details });
  }

  /** The socket is gone. */
  close(): void {
    this.#end();
    this.#output.close();
    this.streams.removeAll(gone);
  }

  #end(): void {
    this.#ended = true;
    this.#keepalive?.stop();
    this.sender.end();
    this.streams.silence();
  }
}

const gone: StreamReset = { by: "connection", code: h2Error.noError };
