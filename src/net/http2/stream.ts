// One HTTP/2 stream below the message: its state, its two flow-control windows, and what waits for either of them.
import type { HeaderMap } from "../../wire/header-map.ts";
import type { Head } from "../../wire/http1-head.ts";
import { ByteQueue } from "./byte-queue.ts";
import type { Http2Session } from "./session.ts";

/** Why a stream ended before its time. `code` is what came in RST_STREAM, or what was sent. */
export interface StreamReset {
  /** `peer`: RST_STREAM came; `goaway`: the peer says that it never saw the stream; `local`: the peer broke a rule; `connection`: it is gone. */
  readonly by: "peer" | "goaway" | "local" | "connection";
  readonly code: number;
  /** Envoy's details, when this side gave the connection up. */
  readonly details?: string;
}

/** Who uses a stream. Called from socket events; must not throw. */
export interface Http2StreamHandler {
  /** Responses only, interim ones included. */
  onHead(head: Head, endStream: boolean): void;
  onData(data: Buffer, endStream: boolean): void;
  /** Trailers; the message is complete. */
  onTrailers(trailers: HeaderMap): void;
  /** The stream is over and its message is not. The last call. */
  onReset(reset: StreamReset): void;
  /** A read was worked off in which something came for this stream. */
  onReadDone(): void;
  /** Bytes are wanted again after `sendData` returned false. */
  onWritable(): void;
}

/** A stream. */
export class Http2Stream {
  readonly id: number;
  readonly session: Http2Session;
  handler: Http2StreamHandler | undefined = undefined;
  /** What the peer still takes. */
  sendWindow: number;
  /** What the peer may still send. */
  receiveWindow: number;
  /** Received and passed on, but not yet given back to the peer. */
  uncredited = 0;
  localEnded = false;
  localHeadSent = false;
  openedMs = 0;
  remoteEnded = false;
  /** Nothing more in either direction. */
  closed = false;
  /** The final head of a message of the peer's was seen. */
  headSeen = false;
  /** Bytes that content-length still promises; -1 = it promised nothing. */
  expectedBytes = -1;
  /** Something came in the read that is being worked off. */
  touched = false;
  #paused = false;
  #resuming = false;
  #received: ByteQueue | undefined = undefined;
  #receivedTrailers: HeaderMap | undefined = undefined;
  #receivedEnd = false;
  #pending: ByteQueue | undefined = undefined;
  #pendingEnd = false;
  #pendingTrailers: HeaderMap | undefined = undefined;
  #wantsWritable = false;
  /** The error code that ends the stream once everything was sent; -1: it ends by itself. */
  #finishCode = -1;

  constructor(session: Http2Session, id: number, sendWindow: number, receiveWindow: number) {
    this.session = session;
    this.id = id;
    this.sendWindow = sendWindow;
    this.receiveWindow = receiveWindow;
  }

  // --- receiving (called by the session) -----------------------------------------------------------------------------

  /** Passes bytes on, or keeps them while paused. */
  deliver(data: Buffer, endStream: boolean): void {
    if (this.handler === undefined) {
      this.session.receiveWindow.credit(this, data.length);
      return;
    }
    if (this.#paused || this.#received !== undefined) {
      (this.#received ??= new ByteQueue()).push(data);
      this.#receivedEnd = endStream;
      return;
    }
    this.session.receiveWindow.credit(this, data.length);
    this.handler.onData(data, endStream);
  }

  /** Passes trailers on, behind bytes that wait. */
  deliverTrailers(trailers: HeaderMap): void {
    if (this.#paused || this.#received !== undefined) {
      this.#received ??= new ByteQueue();
      this.#receivedTrailers = trailers;
      return;
    }
    this.handler?.onTrailers(trailers);
  }

  /** Stops or goes on passing bytes on; what the peer sends meanwhile is bounded by its window. */
  pause(paused: boolean): void {
    this.#paused = paused;
    if (paused || this.#received === undefined || this.#resuming) return;
    this.#resuming = true;
    queueMicrotask(() => this.#resume());
  }

  #resume(): void {
    this.#resuming = false;
    const received = this.#received;
    if (received === undefined) return;
    // What came is passed on even if both sides have ended meanwhile.
    while (!this.#paused && this.handler !== undefined && received.bytes > 0) {
      const data = received.take(Infinity);
      const last = received.bytes === 0 && this.#receivedEnd;
      this.session.receiveWindow.credit(this, data.length);
      this.handler?.onData(data, last);
      if (last) this.#receivedEnd = false;
    }
    if (this.#paused || received.bytes > 0 || this.#received === undefined) return;
    this.#received = undefined;
    if (this.#receivedEnd) this.handler?.onData(received.take(0), true);
    if (this.#receivedTrailers !== undefined) this.handler?.onTrailers(this.#receivedTrailers);
    this.handler?.onReadDone();
  }

  /** Forgets what was kept while paused; the connection gets its window back. */
  drop(): void {
    const bytes = this.#received?.bytes ?? 0;
    this.#received = undefined;
    this.#receivedEnd = false;
    this.#receivedTrailers = undefined;
    if (bytes > 0) this.session.receiveWindow.credit(this, bytes);
  }

  // --- sending -------------------------------------------------------------------------------------------------------

  /** Sends a head; the block must just have been written with the session's encoder. */
  sendHead(endStream: boolean): void {
    if (this.closed) return;
    this.localHeadSent = true;
    this.session.sender.headers(this, endStream);
    if (endStream) this.#endLocal();
  }

  /** Sends bytes, keeping a copy of what does not go now; false: wait for `onWritable`. */
  sendData(data: Buffer, endStream: boolean): boolean {
    if (this.closed || this.localEnded) return true;
    if (this.#pending !== undefined) {
      this.#pending.push(data);
      this.#pendingEnd = endStream;
      return false;
    }
    const sent = this.session.sender.data(this, data, 0, endStream);
    if (sent < data.length) {
      this.#pending = new ByteQueue();
      this.#pending.push(data, sent);
      this.#pendingEnd = endStream;
    }
    if (this.#pending === undefined && (this.localEnded || !this.session.sender.congested)) return true;
    this.#wantsWritable = true;
    this.session.sender.wait(this);
    return false;
  }

  /** Sends trailers behind bytes that wait. */
  sendTrailers(trailers: HeaderMap): void {
    if (this.closed || this.localEnded) return;
    if (this.#pending !== undefined) this.#pendingTrailers = trailers;
    else {
      this.session.sender.trailers(this, trailers);
      this.#endLocal();
    }
  }

  /** END_STREAM was written. */
  onEndSent(): void {
    this.#endLocal();
  }

  #endLocal(): void {
    this.localEnded = true;
    this.#wantsWritable = false;
    if (this.remoteEnded) this.session.streams.complete(this);
    else if (this.#finishCode >= 0) this.session.streams.reset(this, this.#finishCode);
  }

  /** Sends at most one frame of what waits; false: nothing waits any more. */
  pump(): boolean {
    const pending = this.#pending;
    if (this.closed) return false;
    if (pending !== undefined) {
      const end = this.#pendingEnd && this.#pendingTrailers === undefined;
      const room = pending.bytes === 0 ? 0 : this.session.sender.roomFor(this);
      if (room <= 0 && pending.bytes > 0) return true;
      const data = pending.take(room);
      if (data.length > 0 || end) this.session.sender.data(this, data, 0, end && pending.bytes === 0);
      if (this.localEnded || this.closed) return false;
      if (pending.bytes > 0) return true;
      this.#pending = undefined;
      if (this.#pendingTrailers !== undefined) {
        this.session.sender.trailers(this, this.#pendingTrailers);
        this.#endLocal();
      }
    }
    if (this.session.sender.congested && !this.localEnded) return true;
    if (this.#wantsWritable && !this.localEnded) {
      this.#wantsWritable = false;
      this.handler?.onWritable();
    }
    // Whoever was told may have sent more than goes now.
    return this.#pending !== undefined || this.#wantsWritable;
  }

  /** Lets go of the stream: nothing more is wanted of it. One that is not over is reset. */
  release(code: number): void {
    this.handler = undefined;
    this.drop();
    if (!this.closed) this.session.streams.reset(this, code);
  }

  /** As `release`, once everything that this side has to send was sent. */
  finish(code: number): void {
    if (this.localEnded || this.closed) {
      this.release(code);
      return;
    }
    this.handler = undefined;
    this.drop();
    this.#finishCode = code;
  }
}
