// The frames that come in on an HTTP/2 connection and carry no message: SETTINGS, PING, GOAWAY, WINDOW_UPDATE, RST_STREAM, PRIORITY.
import { frameFlag, h2Error, readUint31, readUint32 } from "../../wire/http2/frame.ts";
import type { FloodGuard } from "./flood-guard.ts";
import type { FrameWriter } from "./frame-writer.ts";
import type { Http2Stats } from "./http2-stats.ts";
import type { Keepalive } from "./keepalive.ts";
import type { PeerFaults } from "./peer-faults.ts";
import type { PeerSettings } from "./peer-settings.ts";
import type { SessionOptions, SessionOwner } from "./session-options.ts";
import type { StreamSender } from "./stream-sender.ts";
import type { StreamTable } from "./stream-table.ts";

/** What the reading of control frames is given. */
export interface ControlFramesDeps {
  readonly options: SessionOptions;
  readonly owner: SessionOwner;
  readonly stats: Http2Stats;
  readonly peer: PeerSettings;
  readonly streams: StreamTable;
  readonly sender: StreamSender;
  readonly writer: FrameWriter;
  readonly guard: FloodGuard;
  readonly faults: PeerFaults;
  /** Absent: no PINGs of this side's own. */
  readonly keepalive: Keepalive | undefined;
}

/** The reading of a connection's control frames. Payloads lie in `buffer[start..end)`. */
export class ControlFrames {
  /** The peer's first SETTINGS came: nothing else may come before it. */
  settingsSeen = false;
  readonly #deps: ControlFramesDeps;

  constructor(deps: ControlFramesDeps) {
    this.#deps = deps;
  }

  /** PRIORITY: nothing is done with it but to see that it is one. */
  onPriority(id: number, buffer: Buffer, start: number, end: number): void {
    const { faults, guard } = this.#deps;
    if (id === 0) return faults.protocolError();
    if (end - start !== 5) faults.streamError(id, h2Error.frameSizeError);
    else if (readUint31(buffer, start) === id) faults.streamError(id, h2Error.protocolError);
    faults.flood(guard.onPriority());
  }

  /** RST_STREAM. */
  onReset(id: number, buffer: Buffer, start: number, end: number): void {
    const { faults, streams, stats } = this.#deps;
    if (end - start !== 4) return faults.frameSizeError();
    if (id === 0 || streams.isIdle(id)) return faults.protocolError();
    const stream = streams.get(id);
    if (stream === undefined) return;
    stats.rxReset.inc();
    streams.remove(stream, { by: "peer", code: readUint32(buffer, start) });
  }

  /** SETTINGS, or the peer's acknowledgement of this side's. */
  onSettings(flags: number, id: number, buffer: Buffer, start: number, end: number): void {
    const { faults, writer, owner, sender } = this.#deps;
    if (id !== 0) return faults.protocolError();
    const length = end - start;
    const ack = (flags & frameFlag.ack) !== 0;
    if (length % 6 !== 0 || (ack && length > 0)) return faults.frameSizeError();
    if (ack) {
      if (!this.settingsSeen) faults.protocolError();
      return;
    }
    this.settingsSeen = true;
    for (let at = start; at < end; at += 6) {
      if (!this.#apply((buffer[at]! << 8) | buffer[at + 1]!, readUint32(buffer, at + 2))) return;
    }
    writer.settingsAck();
    owner.onSettings();
    sender.pump();
  }

  /** False: nothing more of these settings counts. */
  #apply(id: number, value: number): boolean {
    const { faults, peer, sender, streams } = this.#deps;
    const windowBefore = peer.streamWindowBytes;
    const error = peer.apply(id, value);
    if (error !== h2Error.noError) {
      if (error === h2Error.flowControlError) faults.flowControlError();
      else faults.protocolError();
      return false;
    }
    const change = peer.streamWindowBytes - windowBefore;
    if (change === 0) return true;
    for (const stream of streams.all()) {
      if (sender.widen(stream, change)) continue;
      faults.streamError(stream.id, h2Error.flowControlError);
      return false;
    }
    return true;
  }

  /** PING, or the answer to one. */
  onPing(flags: number, id: number, buffer: Buffer, start: number, end: number): void {
    const { faults, writer, keepalive } = this.#deps;
    if (id !== 0) return faults.protocolError();
    if (end - start !== 8) return faults.frameSizeError();
    if ((flags & frameFlag.ack) === 0) writer.pingAck(buffer.subarray(start, end));
    else keepalive?.onAnswer();
  }

  /** GOAWAY. */
  onGoaway(id: number, buffer: Buffer, start: number, end: number): void {
    const { faults, options, owner, streams } = this.#deps;
    if (id !== 0) return faults.protocolError();
    if (end - start < 8) return faults.frameSizeError();
    const last = readUint31(buffer, start);
    const code = readUint32(buffer, start + 4);
    owner.onGoaway(code);
    if (options.role !== "client") return;
    // Those above were never looked at (RFC 9113 section 6.8).
    for (const stream of streams.all()) if (stream.id > last) streams.remove(stream, { by: "goaway", code });
  }

  /** WINDOW_UPDATE: what waits for the window goes on. */
  onWindowUpdate(id: number, buffer: Buffer, start: number, end: number): void {
    const { faults, guard, sender, streams } = this.#deps;
    if (end - start !== 4) return faults.frameSizeError();
    const change = readUint31(buffer, start);
    if (faults.flood(guard.onWindowUpdate())) return;
    if (id === 0) {
      if (change === 0) return faults.protocolError();
      if (!sender.widenConnection(change)) return faults.flowControlError();
      return sender.pump();
    }
    const stream = streams.get(id);
    if (stream === undefined) {
      if (streams.isIdle(id)) faults.protocolError();
    } else if (change === 0) faults.streamError(id, h2Error.protocolError);
    else if (sender.widen(stream, change)) sender.pumpStream(stream);
    else faults.streamError(id, h2Error.flowControlError);
  }
}
