// Where access-log records go: one buffered writer a path in each thread. A write never waits for the file; when the file
// cannot keep up, whole records are dropped and counted. Records wait as bytes, in buffers that are used again and again.
import { close, closeSync, fstat, open, openSync, stat, write, writeSync } from "node:fs";
import type { Clock, Timer } from "../../clock.ts";
import type { Logger } from "../logger.ts";
import type { Counter, Gauge, StatsScope } from "../stats.ts";
import { RecordQueue, type RecordChunk } from "./record-queue.ts";
import type { RecordText } from "./record-text.ts";

/** What sinks need and how they buffer. */
export interface LogSinkOptions {
  readonly clock: Clock;
  readonly stats: StatsScope;
  readonly logger: Logger;
  /** Milliseconds a record may wait in memory; default 100 (Envoy's --file-flush-interval-msec has 10000). */
  readonly flushIntervalMs?: number;
  /** Bytes after which a write starts at once; default 64 KiB, Envoy's. */
  readonly flushBytes?: number;
  /** Bytes waiting for one file beyond which records are dropped; default 16 MiB. */
  readonly maxBufferedBytes?: number;
}

interface SinkStats {
  readonly buffered: Counter;
  readonly completed: Counter;
  readonly failed: Counter;
  readonly dropped: Counter;
  readonly reopenFailed: Counter;
  readonly flushedByTimer: Counter;
  readonly totalBuffered: Gauge;
}

/** A write to a pipe up to this size is atomic (POSIX PIPE_BUF on Linux), so records of several threads never mix. */
const pipeBytes = 4096;
/** Room in a buffer for the record that fills it up. */
const recordRoomBytes = 4096;
/** How long to leave a full pipe alone. */
const retryMs = 10;
/** How often to look whether the file was renamed or removed under us. */
const renameCheckMs = 1000;
/** Attempts against a full pipe when the process ends; with `retryMs`-free spinning this is a few milliseconds. */
const finalAttempts = 1000;

const streams: Readonly<Record<string, number>> = { "/dev/stdout": 1, "/dev/stderr": 2 };

/** One file or stream. */
class LogSink {
  readonly path: string;
  readonly #options: LogSinkOptions;
  readonly #stats: SinkStats;
  readonly #flushBytes: number;
  readonly #maxBytes: number;
  readonly #intervalMs: number;
  #fd = -1;
  #regular = false;
  readonly #queue: RecordQueue;
  #writing: RecordChunk | undefined = undefined;
  #timer: Timer | undefined = undefined;
  #checkedMs = 0;
  #dropping = false;
  #closed = false;

  constructor(path: string, options: LogSinkOptions, stats: SinkStats) {
    this.path = path;
    this.#options = options;
    this.#stats = stats;
    this.#flushBytes = options.flushBytes ?? 65_536;
    this.#maxBytes = options.maxBufferedBytes ?? 16 * 1024 * 1024;
    this.#intervalMs = options.flushIntervalMs ?? 100;
    this.#queue = new RecordQueue(this.#flushBytes + recordRoomBytes);
    this.#open();
  }

  /** Takes one record, line end included. */
  append(record: RecordText): void {
    const queue = this.#queue;
    if (this.#closed || queue.bytes + record.length > this.#maxBytes) {
      this.#stats.dropped.inc();
      if (!this.#dropping) this.#options.logger.warn("access log cannot keep up, records are dropped", { path: this.path });
      this.#dropping = true;
      return;
    }
    queue.add(record);
    this.#stats.buffered.inc();
    if (queue.bytes >= this.#flushBytes) this.#flush();
    else this.#timer ??= this.#options.clock.after(this.#intervalMs, () => this.#onTimer());
  }

  /** Opens the path again, for log rotation; what waits goes to the new file. */
  reopen(): void {
    if (this.path in streams) return;
    open(this.path, "a", 0o644, (error, fd) => {
      if (error) {
        this.#stats.reopenFailed.inc();
        this.#options.logger.error("access log cannot be reopened, the old file stays in use", { path: this.path, reason: error.message });
        return;
      }
      if (this.#closed) return close(fd);
      const old = this.#fd;
      this.#adopt(fd);
      // A write under way still names the old descriptor; it is closed when that is done.
      if (old >= 0) this.#afterWrite(() => close(old));
    });
  }

  /** Starts writing what waits; resolves when nothing is left in memory. A full pipe may keep it waiting. */
  async settle(): Promise<void> {
    this.#flush();
    while (this.#writing) {
      await new Promise<void>((resolve) => this.#afterWrite(resolve));
      this.#flush();
    }
  }

  /** Writes what is left and closes, blocking: for the end of the thread. */
  closeSync(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#timer?.cancel();
    // What an asynchronous write holds is its own; it ends before the thread does.
    const rest = this.#queue.takeAll();
    for (let at = 0, attempts = 0; this.#fd >= 0 && at < rest.length && attempts < finalAttempts;) {
      try {
        at += writeSync(this.#fd, rest, at, Math.min(rest.length - at, this.#regular ? rest.length : pipeBytes));
      } catch (thrown) {
        if ((thrown as NodeJS.ErrnoException).code !== "EAGAIN") break;
        attempts++;
      }
    }
    if (this.#fd > 2 && !this.#writing) closeSync(this.#fd);
  }

  #open(): void {
    const stream = streams[this.path];
    if (stream !== undefined) return this.#adopt(stream);
    try {
      this.#adopt(openSync(this.path, "a", 0o644));
    } catch (thrown) {
      this.#stats.reopenFailed.inc();
      this.#options.logger.error("access log cannot be opened, its records are dropped", { path: this.path, reason: String(thrown) });
    }
  }

  #adopt(fd: number): void {
    this.#fd = fd;
    // Until known, treat it as a pipe: smaller writes are right for files too.
    this.#regular = false;
    fstat(fd, (error, found) => {
      if (!error && this.#fd === fd) this.#regular = found.isFile();
    });
  }

  #onTimer(): void {
    this.#timer = undefined;
    this.#stats.flushedByTimer.inc();
    this.#flush();
    this.#checkRenamed();
  }

  #flush(): void {
    if (this.#writing) return;
    this.#stats.totalBuffered.set(this.#queue.bytes);
    const chunk = this.#queue.take();
    if (chunk === undefined) return;
    this.#dropping = false;
    if (this.#fd < 0) {
      this.#stats.dropped.add(chunk.records);
      this.#queue.giveBack(chunk);
      return;
    }
    this.#writing = chunk;
    this.#writeFrom(0);
  }

  #writeFrom(at: number): void {
    const chunk = this.#writing!;
    const { bytes, used } = chunk;
    const length = this.#regular ? used - at : wholeRecords(bytes.subarray(0, used), at);
    write(this.#fd, bytes, at, length, null, (error, written) => {
      if (error && error.code === "EAGAIN") {
        this.#options.clock.after(retryMs, () => this.#writeFrom(at));
        return;
      }
      if (error) {
        this.#stats.failed.inc();
        this.#options.logger.error("access log cannot be written", { path: this.path, reason: error.message });
      } else if (at + written < used) return this.#writeFrom(at + written);
      else this.#stats.completed.inc();
      this.#writing = undefined;
      this.#queue.giveBack(chunk);
      const done = this.#whenWritten;
      this.#whenWritten = undefined;
      done?.();
      if (this.#closed) {
        if (this.#fd > 2) close(this.#fd);
        // A timer that fired during the write flushed nothing; what it was set for must not wait for the next record.
      } else if (this.#timer === undefined || this.#queue.bytes >= this.#flushBytes) this.#flush();
    });
  }

  #whenWritten: (() => void) | undefined = undefined;

  #afterWrite(then: () => void): void {
    if (!this.#writing) return then();
    const before = this.#whenWritten;
    this.#whenWritten = () => {
      before?.();
      then();
    };
  }

  #checkRenamed(): void {
    const now = this.#options.clock.nowMs();
    if (this.path in streams || now - this.#checkedMs < renameCheckMs) return;
    this.#checkedMs = now;
    const fd = this.#fd;
    if (fd < 0) return this.reopen();
    fstat(fd, (ours, mine) => {
      if (ours || this.#closed || fd !== this.#fd || !mine.isFile()) return;
      stat(this.path, (gone, current) => {
        if (this.#closed || fd !== this.#fd) return;
        if (gone ? gone.code === "ENOENT" : current.ino !== mine.ino || current.dev !== mine.dev) this.reopen();
      });
    });
  }
}

/** Length of as many whole records from `at` as fit an atomic pipe write; one record that is longer goes alone. */
function wholeRecords(bytes: Buffer, at: number): number {
  if (bytes.length - at <= pipeBytes) return bytes.length - at;
  const lastEnd = bytes.subarray(at, at + pipeBytes).lastIndexOf(10);
  if (lastEnd >= 0) return lastEnd + 1;
  const nextEnd = bytes.indexOf(10, at + pipeBytes);
  return nextEnd < 0 ? bytes.length - at : nextEnd + 1 - at;
}

/** The sinks of one thread, by path. */
export class LogSinks {
  readonly #options: LogSinkOptions;
  readonly #stats: SinkStats;
  readonly #sinks = new Map<string, LogSink>();

  constructor(options: LogSinkOptions) {
    this.#options = options;
    const scope = options.stats.scope("filesystem");
    this.#stats = {
      buffered: scope.counter("write_buffered"),
      completed: scope.counter("write_completed"),
      failed: scope.counter("write_failed"),
      dropped: scope.counter("write_dropped"),
      reopenFailed: scope.counter("reopen_failed"),
      flushedByTimer: scope.counter("flushed_by_timer"),
      totalBuffered: scope.gauge("write_total_buffered"),
    };
  }

  /** The sink of a path, shared by every log that names it. */
  get(path: string): LogSink {
    let sink = this.#sinks.get(path);
    if (!sink) this.#sinks.set(path, (sink = new LogSink(path, this.#options, this.#stats)));
    return sink;
  }

  /** Opens every file again (SIGUSR1, SIGHUP). */
  reopen(): void {
    for (const sink of this.#sinks.values()) sink.reopen();
  }

  /** Writes what is left and closes; gives up on a reader that does not read after `deadlineMs`. */
  async close(deadlineMs: number): Promise<void> {
    let timer: Timer | undefined;
    const deadline = new Promise<void>((resolve) => {
      timer = this.#options.clock.after(deadlineMs, resolve);
    });
    await Promise.race([deadline, Promise.all([...this.#sinks.values()].map((sink) => sink.settle()))]);
    timer?.cancel();
    this.closeSync();
  }

  /** Writes what is left and closes, blocking. */
  closeSync(): void {
    for (const sink of this.#sinks.values()) sink.closeSync();
    this.#sinks.clear();
  }
}
