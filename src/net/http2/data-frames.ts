// DATA that comes in on an HTTP/2 connection: checked against windows and content-length, and passed on to its stream.
import { frameFlag, h2Error } from "../../wire/http2/frame.ts";
import type { FloodGuard } from "./flood-guard.ts";
import type { PeerFaults } from "./peer-faults.ts";
import type { ReceiveWindow } from "./receive-window.ts";
import type { Http2Stream } from "./stream.ts";
import type { StreamTable } from "./stream-table.ts";

/** What the reading of DATA is given. */
export interface DataFramesDeps {
  readonly streams: StreamTable;
  readonly window: ReceiveWindow;
  readonly guard: FloodGuard;
  readonly faults: PeerFaults;
}

/** The reading of a connection's DATA. */
export class DataFrames {
  readonly #streams: StreamTable;
  readonly #window: ReceiveWindow;
  readonly #guard: FloodGuard;
  readonly #faults: PeerFaults;

  constructor({ streams, window, guard, faults }: DataFramesDeps) {
    this.#streams = streams;
    this.#window = window;
    this.#guard = guard;
    this.#faults = faults;
  }

  /** DATA with its payload in `buffer[start..end)`. */
  onData(flags: number, id: number, buffer: Buffer, start: number, end: number): void {
    const faults = this.#faults;
    const length = end - start;
    if (id === 0) return faults.protocolError();
    if (!this.#window.take(length)) return faults.flowControlError();
    const endStream = (flags & frameFlag.endStream) !== 0;
    if (faults.flood(this.#guard.onPayload(endStream || length > 0))) return;
    let from = start;
    let to = end;
    if ((flags & frameFlag.padded) !== 0) {
      if (length === 0) return faults.frameSizeError();
      to -= buffer[from++]!;
      if (to < from) return faults.protocolError();
    }
    const stream = this.#streams.get(id);
    if (stream === undefined || stream.remoteEnded) return this.#onStray(id, stream, length);
    if (!stream.headSeen) return faults.streamError(id, h2Error.protocolError);
    stream.receiveWindow -= length;
    if (stream.receiveWindow < 0) return faults.streamError(id, h2Error.flowControlError);
    const bytes = to - from;
    if (bytes < length) this.#window.credit(stream, length - bytes);
    if (stream.expectedBytes >= 0) {
      stream.expectedBytes -= bytes;
      if (stream.expectedBytes < 0 || (endStream && stream.expectedBytes !== 0)) {
        this.#window.creditConnection(bytes);
        return faults.wrongLength(stream);
      }
    }
    this.#streams.touch(stream);
    if (endStream) stream.remoteEnded = true;
    stream.deliver(buffer.subarray(from, to), endStream);
    if (endStream && stream.localEnded) this.#streams.complete(stream);
  }

  #onStray(id: number, stream: Http2Stream | undefined, length: number): void {
    const streams = this.#streams;
    this.#window.creditConnection(length);
    if (stream !== undefined) return this.#faults.streamError(id, h2Error.streamClosed);
    if (streams.isIdle(id)) return this.#faults.protocolError();
    if (!streams.wasReset(id)) streams.refuse(id, h2Error.streamClosed);
  }
}
