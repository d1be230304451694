// One way of a spliced connection: moves what can be moved without blocking and remembers what could not. Small messages go
// through recv(2) and send(2) on a buffer of the thread, which is cheaper for them; a direction that fills that buffer
// switches to splice(2), and back when it no longer does.
import type { Libc } from "../native.ts";
import type { Pipe, PipePool } from "./pipe-pool.ts";

/** What the directions of a thread share. */
export interface SpliceShared {
  readonly libc: Libc;
  readonly pipes: PipePool;
  readonly scratch: Uint8Array;
  readonly scratchAddress: number;
}

/** `blocked`: waits for an event. `more`: stopped to let others run. The failures name whose socket failed. */
export type PumpOutcome = "blocked" | "more" | "finished" | "source_failed" | "target_failed" | "internal";

const spliceMove = 1;
const spliceNonblock = 2;
const shutWr = 1;
const msgNosignal = 0x4000;
// Rounds of one pump, so that a fast connection cannot starve the others: at most 8 MiB.
const maxRounds = 8;
// A splice that moves less than this costs more than recv and send.
const smallSpliceBytes = 16 * 1024;
const smallSplicesToLeave = 4;

/** The state of one way. */
export class SpliceDirection {
  /** Bytes taken from the source so far. */
  bytes = 0;
  /** The source may have something to read. */
  readable = true;
  /** The source has announced its end, so reading must go on until the end is read. */
  ending = false;
  readonly #shared: SpliceShared;
  readonly #source: number;
  readonly #target: number;
  // Bytes read but not yet written, outside a pipe.
  #rest: Uint8Array | undefined;
  #restAddress = 0;
  #restAt = 0;
  #pipe: Pipe | undefined;
  #piped = 0;
  #bulk = false;
  #smallSplices = 0;
  #sourceEnded = false;
  #finished = false;

  constructor(shared: SpliceShared, source: number, target: number, initialBytes: Uint8Array | undefined) {
    this.#shared = shared;
    this.#source = source;
    this.#target = target;
    if (initialBytes && initialBytes.length > 0) {
      this.bytes = initialBytes.length;
      this.#keep(initialBytes);
    }
  }

  get finished(): boolean {
    return this.#finished;
  }

  /** Something was read that could not be written. */
  get stuck(): boolean {
    return this.#rest !== undefined || this.#piped > 0;
  }

  /** Moves bytes until something blocks. */
  pump(): PumpOutcome {
    if (this.#finished) return "finished";
    for (let round = 0; round < maxRounds; round++) {
      const flushed = this.#flush();
      if (flushed !== undefined) return flushed;
      if (this.#sourceEnded) return this.#finish();
      if (!this.readable) return this.#rested();
      const taken = this.#bulk ? this.#takeSpliced() : this.#takeCopied();
      if (taken !== undefined) return taken;
    }
    return "more";
  }

  /** Gives the pipe back; nothing may be pumped after. */
  release(): void {
    if (this.#pipe) this.#shared.pipes[this.#piped > 0 ? "discard" : "release"](this.#pipe);
    this.#pipe = undefined;
    this.#rest = undefined;
  }

  // Undefined: nothing is left to write.
  #flush(): PumpOutcome | undefined {
    const { libc } = this.#shared;
    while (this.#rest) {
      const written = libc.send(this.#target, this.#restAddress + this.#restAt, this.#rest.length - this.#restAt, msgNosignal);
      if (written < 0) return this.#failed("target_failed");
      this.#restAt += written;
      if (this.#restAt === this.#rest.length) this.#rest = undefined;
    }
    while (this.#piped > 0) {
      const moved = libc.splice((this.#pipe as Pipe).readFd, 0, this.#target, 0, this.#piped, spliceMove | spliceNonblock);
      if (moved <= 0) return moved === 0 ? "internal" : this.#failed("target_failed");
      this.#piped -= moved;
    }
    return undefined;
  }

  #takeCopied(): PumpOutcome | undefined {
    const { libc, scratch, scratchAddress } = this.#shared;
    const length = libc.recv(this.#source, scratchAddress, scratch.length, 0);
    if (length <= 0) return this.#nothingTaken(length);
    this.bytes += length;
    // A short read has emptied the socket; the next byte raises a new edge. Not so when the end was announced already.
    if (length < scratch.length) this.readable = this.ending;
    else this.#bulk = true;
    const written = libc.send(this.#target, scratchAddress, length, msgNosignal);
    if (written === length) return undefined;
    if (written < 0 && this.#failed("target_failed") !== "blocked") return "target_failed";
    this.#keep(scratch.subarray(Math.max(0, written), length));
    return undefined;
  }

  #takeSpliced(): PumpOutcome | undefined {
    this.#pipe ??= this.#shared.pipes.acquire();
    if (!this.#pipe) {
      this.#bulk = false;
      return undefined;
    }
    const moved = this.#shared.libc.splice(this.#source, 0, this.#pipe.writeFd, 0, this.#pipe.bytes, spliceMove | spliceNonblock);
    if (moved <= 0) return this.#nothingTaken(moved);
    this.bytes += moved;
    this.#piped = moved;
    if (moved >= smallSpliceBytes) this.#smallSplices = 0;
    else if (++this.#smallSplices >= smallSplicesToLeave) this.#leaveBulk();
    return undefined;
  }

  #leaveBulk(): void {
    this.#bulk = false;
    this.#smallSplices = 0;
  }

  #nothingTaken(result: number): PumpOutcome | undefined {
    if (result === 0) {
      this.#sourceEnded = true;
      return undefined;
    }
    const outcome = this.#failed("source_failed");
    if (outcome !== "blocked") return outcome;
    this.readable = false;
    return this.#rested();
  }

  // Nothing to read and nothing to write: other connections may have the pipe.
  #rested(): PumpOutcome {
    if (this.#pipe) this.#shared.pipes.release(this.#pipe);
    this.#pipe = undefined;
    return "blocked";
  }

  #finish(): PumpOutcome {
    this.release();
    this.#shared.libc.shutdown(this.#target, shutWr);
    this.#finished = true;
    return "finished";
  }

  #failed(side: "source_failed" | "target_failed"): PumpOutcome {
    const errno = this.#shared.libc.errno();
    return errno === this.#shared.libc.EAGAIN || errno === this.#shared.libc.EINTR ? "blocked" : side;
  }

  #keep(bytes: Uint8Array): void {
    // V8 may keep a small typed array on its moving heap; a backing store of its own stays where it is.
    this.#rest = new Uint8Array(new ArrayBuffer(bytes.length));
    this.#rest.set(bytes);
    this.#restAddress = this.#shared.libc.address(this.#rest);
    this.#restAt = 0;
  }
}
