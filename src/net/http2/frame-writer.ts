// Writes the frames of one HTTP/2 connection into its output, and counts those that a peer can provoke.
import type { HpackEncoder } from "../../wire/hpack/encoder.ts";
import {
  clientPreface,
  defaultMaxFrameBytes,
  frameFlag,
  frameHeaderBytes,
  frameType,
  initialWindowBytes,
  largestWindow,
  settingId,
  writeFrameHeader,
  writeUint32,
} from "../../wire/http2/frame.ts";
import type { FloodGuard, Flood } from "./flood-guard.ts";
import type { Http2Output } from "./output.ts";
import type { SessionOptions } from "./session-options.ts";

const noBytes = new Uint8Array();

// The peer may allow larger ones, which would only make streams wait for each other.
const maxFrameBytes = defaultMaxFrameBytes;

/** The writing side of framing. */
export class FrameWriter {
  readonly #output: Http2Output;
  readonly #guard: FloodGuard;
  readonly #onFlood: (flood: Flood) => void;

  constructor(output: Http2Output, guard: FloodGuard, onFlood: (flood: Flood) => void) {
    this.#output = output;
    this.#guard = guard;
    this.#onFlood = onFlood;
  }

  /** What a side says first: a client its preface, both their settings and the connection's window. */
  preface(options: SessionOptions): void {
    const { role, maxConcurrentStreams, streamWindowBytes, connectionWindowBytes, headerTableBytes, allowConnect } = options;
    const server = role === "server";
    const settings: [number, number][] = [];
    if (headerTableBytes !== 4096) settings.push([settingId.headerTableSize, headerTableBytes]);
    if (!server) settings.push([settingId.enablePush, 0]);
    if (server && maxConcurrentStreams < largestWindow) settings.push([settingId.maxConcurrentStreams, maxConcurrentStreams]);
    if (streamWindowBytes !== initialWindowBytes) settings.push([settingId.initialWindowSize, streamWindowBytes]);
    if (server && allowConnect) settings.push([settingId.enableConnectProtocol, 1]);
    const payload = Buffer.alloc(settings.length * 6);
    settings.forEach(([id, value], i) => writeUint32(payload, payload.writeUInt16BE(id, i * 6), value));
    if (!server) {
      const out = this.#output.reserve(clientPreface.length);
      const at = this.#output.position;
      this.#output.wrote(at + clientPreface.copy(out, at));
    }
    this.#frame(frameType.settings, 0, 0, payload);
    if (connectionWindowBytes > initialWindowBytes) this.windowUpdate(0, connectionWindowBytes - initialWindowBytes);
  }

  /** HEADERS, and CONTINUATION when the block that was just encoded is long. */
  headers(streamId: number, encoder: HpackEncoder, endStream: boolean): void {
    const block = encoder.end();
    this.#guard.onHeadersSent();
    let type: number = frameType.headers;
    let at = 0;
    do {
      const length = Math.min(block.length - at, maxFrameBytes);
      const last = at + length === block.length;
      const flags = (last ? frameFlag.endHeaders : 0) | (type === frameType.headers && endStream ? frameFlag.endStream : 0);
      const out = this.#output.reserve(length + frameHeaderBytes);
      const payload = writeFrameHeader(out, this.#output.position, length, type, flags, streamId);
      block.copy(out, payload, at, at + length);
      this.#output.wrote(payload + length);
      at += length;
      type = frameType.continuation;
    } while (at < block.length);
  }

  /** `size` bytes of `data` as one DATA frame. */
  data(streamId: number, data: Buffer, from: number, size: number, endStream: boolean): void {
    this.#guard.onDataSent();
    const out = this.#output.reserve(size + frameHeaderBytes);
    const flags = endStream ? frameFlag.endStream : 0;
    const payload = writeFrameHeader(out, this.#output.position, size, frameType.data, flags, streamId);
    data.copy(out, payload, from, from + size);
    this.#output.wrote(payload + size);
  }

  /** WINDOW_UPDATE; stream 0 is the connection. */
  windowUpdate(streamId: number, change: number): void {
    const out = this.#output.reserve(frameHeaderBytes + 4);
    const payload = writeFrameHeader(out, this.#output.position, 4, frameType.windowUpdate, 0, streamId);
    this.#output.wrote(writeUint32(out, payload, change));
  }

  /** The answer to SETTINGS. */
  settingsAck(): void {
    this.#control(frameType.settings, frameFlag.ack, 0, noBytes);
  }

  /** The answer to a PING. */
  pingAck(payload: Uint8Array): void {
    this.#control(frameType.ping, frameFlag.ack, 0, payload);
  }

  /** A PING of this side's own. */
  ping(): void {
    this.#frame(frameType.ping, 0, 0, new Uint8Array(8));
  }

  /** RST_STREAM. */
  reset(streamId: number, code: number): void {
    const payload = new Uint8Array(4);
    writeUint32(payload, 0, code);
    this.#control(frameType.rstStream, 0, streamId, payload);
  }

  /** GOAWAY. */
  goaway(lastStream: number, code: number): void {
    const payload = new Uint8Array(8);
    writeUint32(payload, writeUint32(payload, 0, lastStream), code);
    this.#frame(frameType.goaway, 0, 0, payload);
  }

  #frame(type: number, flags: number, streamId: number, payload: Uint8Array): void {
    const out = this.#output.reserve(frameHeaderBytes + payload.length);
    const at = writeFrameHeader(out, this.#output.position, payload.length, type, flags, streamId);
    out.set(payload, at);
    this.#output.wrote(at + payload.length);
  }

  // What a peer can provoke: too much of it that the peer does not read means that it is not meant to be read.
  #control(type: number, flags: number, streamId: number, payload: Uint8Array): void {
    this.#frame(type, flags, streamId, payload);
    const flood = this.#guard.onControlSent();
    if (flood === undefined) return;
    this.#output.flush();
    if (this.#output.drained) this.#guard.onDrained();
    else this.#onFlood(flood);
  }
}
