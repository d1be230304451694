// The streams of one HTTP/2 connection: which are open, which numbers were used, and how each of them ends.
import { h2Error, largestWindow } from "../../wire/http2/frame.ts";
import type { FrameWriter } from "./frame-writer.ts";
import type { Http2Stats } from "./http2-stats.ts";
import { SelfResets } from "./self-resets.ts";
import type { Http2Session } from "./session.ts";
import type { SessionOwner } from "./session-options.ts";
import { Http2Stream, type StreamReset } from "./stream.ts";
import type { StreamSender } from "./stream-sender.ts";

/** What a table is given. */
export interface StreamTableDeps {
  readonly owner: SessionOwner;
  readonly stats: Http2Stats;
  readonly writer: FrameWriter;
  readonly sender: StreamSender;
}

/** The table of a connection. */
export class StreamTable {
  /** The highest stream of the peer's that was taken on. */
  lastPeer = 0;
  readonly #session: Http2Session;
  readonly #server: boolean;
  readonly #owner: SessionOwner;
  readonly #stats: Http2Stats;
  readonly #writer: FrameWriter;
  readonly #sender: StreamSender;
  readonly #open = new Map<number, Http2Stream>();
  readonly #resets = new SelfResets();
  #touched: Http2Stream[] = [];
  #nextOwn = 1;
  #silent = false;

  constructor(session: Http2Session, { owner, stats, writer, sender }: StreamTableDeps) {
    this.#session = session;
    this.#server = session.options.role === "server";
    this.#owner = owner;
    this.#stats = stats;
    this.#writer = writer;
    this.#sender = sender;
  }

  /** Streams that are open. */
  get size(): number {
    return this.#open.size;
  }

  /** Streams that this side may still open before their numbers run out. */
  get left(): number {
    return Math.floor((largestWindow - this.#nextOwn) / 2);
  }

  /** The streams that are open. */
  all(): Iterable<Http2Stream> {
    return this.#open.values();
  }

  /** An open stream. */
  get(id: number): Http2Stream | undefined {
    return this.#open.get(id);
  }

  /** Never opened by whoever may open it. */
  isIdle(id: number): boolean {
    const peers = (id % 2 === 1) === this.#server;
    return peers ? id > this.lastPeer : id >= this.#nextOwn || id % 2 === 0;
  }

  /** This side reset it, so that its frames may still be under way. */
  wasReset(id: number): boolean {
    return this.#resets.has(id);
  }

  /** Opens a stream of this side's own. */
  openOwn(): Http2Stream {
    const id = this.#nextOwn;
    this.#nextOwn += 2;
    return this.create(id);
  }

  /** Takes a stream on, with the windows that hold now. */
  create(id: number): Http2Stream {
    const session = this.#session;
    const stream = new Http2Stream(session, id, session.peer.streamWindowBytes, session.options.streamWindowBytes);
    this.#open.set(id, stream);
    this.#stats.streamsActive.inc();
    return stream;
  }

  // --- the read under way ----------------------------------------------------------------------------------------------

  /** Something came for a stream: it hears of the end of this read. */
  touch(stream: Http2Stream): void {
    if (stream.touched) return;
    stream.touched = true;
    this.#touched.push(stream);
  }

  /** A read was worked off. */
  onReadDone(): void {
    const touched = this.#touched;
    if (touched.length === 0) return;
    this.#touched = [];
    for (const stream of touched) {
      stream.touched = false;
      stream.handler?.onReadDone();
    }
  }

  // --- ends ------------------------------------------------------------------------------------------------------------

  /** Both directions of a stream are done. */
  complete(stream: Http2Stream): void {
    if (!stream.closed) this.#forget(stream, undefined);
  }

  /** Sends RST_STREAM; `tell` says to the handler why. */
  reset(stream: Http2Stream, code: number, tell?: StreamReset): void {
    if (stream.closed) return;
    this.refuse(stream.id, code);
    this.remove(stream, tell ?? { by: "local", code });
  }

  /** Sends RST_STREAM for a stream that is none, or none any more. */
  refuse(id: number, code: number): void {
    if (this.#silent) return;
    // An answer that needs no more of the request is no failure.
    if (code !== h2Error.noError) this.#stats.txReset.inc();
    this.#resets.add(id);
    this.#writer.reset(id, code);
  }

  /** Ends a stream whose message is not complete, and tells its handler. */
  remove(stream: Http2Stream, reset: StreamReset): void {
    if (stream.closed) return;
    const { handler } = stream;
    stream.handler = undefined;
    this.#forget(stream, reset);
    handler?.onReset(reset);
  }

  /** The connection is given up: no stream writes a reset any more. */
  silence(): void {
    this.#silent = true;
  }

  /** Ends all of them. */
  removeAll(reset: StreamReset): void {
    for (const stream of this.#open.values()) this.remove(stream, reset);
  }

  #forget(stream: Http2Stream, reset: StreamReset | undefined): void {
    stream.closed = true;
    this.#open.delete(stream.id);
    this.#sender.forget(stream);
    this.#stats.streamsActive.dec();
    if (reset !== undefined) stream.drop();
    this.#owner.onStreamClosed(stream, reset);
  }
}
