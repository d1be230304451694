// The relay on Node's sockets: any platform, TLS on either side. Each direction holds at most one read's worth of bytes: the
// next read waits until the last write has reached the kernel. Meanwhile Node does not watch the source, so a reset of it is
// noticed when the bytes have gone or the idle timeout passes.
import type { Socket } from "node:net";
import type { Clock } from "../../clock.ts";
import { LazyDeadline } from "../deadline.ts";
import { resetSocket } from "../descriptor.ts";
import { AdaptiveBuffer } from "./adaptive-buffer.ts";
import { captureReads } from "./read-buffer.ts";
import { RecordBuffer } from "./record-buffer.ts";
import type { Relay, RelayEnd, RelayEndReason, RelayRequest } from "./relay.ts";

/** Starts a portable relay. */
export function startPortableRelay(request: RelayRequest, clock: Clock): Relay {
  return new PortableRelay(request, clock);
}

class PortableRelay implements Relay {
  readonly #request: RelayRequest;
  readonly #idle: LazyDeadline | undefined;
  readonly #up: Direction;
  readonly #down: Direction;
  #ended = false;

  constructor(request: RelayRequest, clock: Clock) {
    this.#request = request;
    const { downstream, upstream, idleTimeoutMs } = request;
    this.#idle = idleTimeoutMs > 0 ? new LazyDeadline(clock, () => this.#end("idle_timeout")) : undefined;
    const onProgress = this.#idle ? (): void => this.#idle?.set(idleTimeoutMs) : undefined;
    const onFinished = (): void => {
      if (this.#up.finished && this.#down.finished) this.#end("closed");
    };
    this.#up = new Direction(downstream, upstream, onProgress, onFinished);
    this.#down = new Direction(upstream, downstream, onProgress, onFinished);
    onProgress?.();
    this.#watch(downstream.socket, "downstream_reset");
    this.#watch(upstream.socket, "upstream_reset");
    this.#up.start(request.initialBytes);
    this.#down.start(undefined);
  }

  get bytesReceived(): number {
    return this.#up.bytes;
  }

  get bytesSent(): number {
    return this.#down.bytes;
  }

  cancel(reset: boolean): void {
    this.#end("cancelled", reset);
  }

  // A socket that closes before both directions are finished was reset, whatever Node calls the error.
  #watch(socket: Socket, reason: RelayEndReason): void {
    socket.once("error", () => this.#end(reason, true));
    socket.once("close", () => this.#end(this.#up.finished && this.#down.finished ? "closed" : reason, true));
    if (socket.destroyed) process.nextTick(() => this.#end(reason, true));
  }

  #end(reason: RelayEndReason, reset = false): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#idle?.dispose();
    this.#up.release();
    this.#down.release();
    close(this.#request.downstream, reset);
    close(this.#request.upstream, reset);
    const { onEnd } = this.#request;
    // The caller may still be inside startRelay, or inside a callback of its own socket.
    process.nextTick(() => onEnd({ reason, bytesReceived: this.#up.bytes, bytesSent: this.#down.bytes }));
  }
}

function close({ socket, raw }: RelayEnd, reset: boolean): void {
  if (socket.destroyed) return;
  // An error of the dying socket must not become an uncaught exception.
  socket.on("error", ignore);
  if (reset && raw) resetSocket(socket);
  else socket.destroy();
}

function ignore(): void {
  // The relay has ended; how the rest of it dies makes no difference.
}

// A TLS record that holds the most it may says that more is to follow.
const fullRecordBytes = 16 * 1024;

/** One way of the relay. */
class Direction {
  bytes = 0;
  /** FIN was read from the source and written to the destination. */
  finished = false;
  readonly #source: RelayEnd;
  readonly #target: Socket;
  /** Of a raw source. */
  readonly #buffer: AdaptiveBuffer | undefined;
  /** Of a TLS source. */
  readonly #records: RecordBuffer | undefined;
  readonly #onProgress: (() => void) | undefined;
  readonly #onFinished: () => void;
  readonly #written = (): void => this.#onWritten();
  #waiting = false;
  #lastRead = 0;
  #flushing: NodeJS.Immediate | undefined;

  constructor(source: RelayEnd, target: RelayEnd, onProgress: (() => void) | undefined, onFinished: () => void) {
    this.#source = source;
    this.#target = target.socket;
    this.#onProgress = onProgress;
    this.#onFinished = onFinished;
    if (source.raw) this.#buffer = new AdaptiveBuffer();
    else this.#records = new RecordBuffer();
  }

  start(initialBytes: Uint8Array | undefined): void {
    const { socket } = this.#source;
    const onEnd = (): void => {
      this.#flush();
      this.#target.end(() => this.#onTargetFinished());
    };
    if (!socket.readableEnded) socket.once("end", onEnd);
    if (initialBytes && initialBytes.length > 0) this.#forward(initialBytes);
    // What Node had already read goes first, or the order would be lost.
    for (let chunk = readBuffered(socket); chunk; chunk = readBuffered(socket)) this.#forward(chunk);
    if (!this.#capture(socket)) {
      socket.on("data", (chunk: Buffer) => {
        if (!this.#forward(chunk)) socket.pause();
      });
    }
    // The end may have been read together with the bytes that were inspected.
    if (socket.readableEnded) onEnd();
    else if (!this.#waiting) socket.resume();
  }

  release(): void {
    clearImmediate(this.#flushing);
    this.#buffer?.release();
    this.#records?.release();
  }

  #capture(socket: Socket): boolean {
    const records = this.#records;
    if (records !== undefined) {
      return captureReads(
        socket,
        () => this.#nextRecord(records),
        (length) => this.#onRecord(records, length),
      );
    }
    return captureReads(
      socket,
      () => this.#nextBuffer(),
      (length, buffer) => this.#onRead(length, buffer),
    );
  }

  #onTargetFinished(): void {
    this.finished = true;
    this.#onFinished();
  }

  #onRead(length: number, buffer: Uint8Array): boolean {
    this.#lastRead = length;
    return this.#forward(buffer.subarray(0, length));
  }

  // Called by Node after each read. While a write holds the buffer it must stay as it is; nothing is read meanwhile.
  #nextBuffer(): Uint8Array {
    const buffer = this.#buffer as AdaptiveBuffer;
    if (!this.#waiting) buffer.used(this.#lastRead);
    return buffer.current;
  }

  // Records that arrive after reading was stopped wait behind the write.
  #onRecord(records: RecordBuffer, length: number): boolean {
    this.#onBytes(length);
    records.add(length);
    if (this.#waiting) return false;
    if (length < fullRecordBytes || records.full) return this.#flush();
    this.#flushing ??= setImmediate(() => {
      this.#flushing = undefined;
      if (!this.#waiting && !this.#flush()) this.#source.socket.pause();
    });
    return true;
  }

  #nextRecord(records: RecordBuffer): Uint8Array {
    const next = records.next(this.#waiting);
    if (next.length > 0) return next;
    this.#flush();
    return records.next(this.#waiting);
  }

  #flush(): boolean {
    const gathered = this.#records?.take();
    return gathered === undefined || this.#write(gathered);
  }

  #forward(chunk: Uint8Array): boolean {
    this.#onBytes(chunk.length);
    return this.#write(chunk);
  }

  #onBytes(length: number): void {
    this.bytes += length;
    this.#onProgress?.();
  }

  // True when the bytes have left the process and the source may be read on.
  #write(chunk: Uint8Array): boolean {
    if (this.#target.destroyed || this.#target.writableEnded) return true;
    this.#target.write(chunk, this.#written);
    this.#waiting = this.#target.writableLength > 0;
    return !this.#waiting;
  }

  // Also comes for writes that were done at once; only the last one of a backlog means anything.
  #onWritten(): void {
    if (!this.#waiting || this.#target.writableLength > 0) return;
    this.#waiting = false;
    // A TLS target takes every write this way, so it is here that the buffer learns; Node uses the new one from the next but one read.
    this.#buffer?.used(this.#lastRead);
    if (this.#flush()) this.#source.socket.resume();
  }
}

function readBuffered(socket: Socket): Buffer | undefined {
  return socket.readableLength > 0 ? ((socket.read() as Buffer | null) ?? undefined) : undefined;
}
