// The splice thread: epoll over the descriptors of all connections it was given. It blocks in epoll_wait, so it has no event
// loop: commands come over a MessagePort that is polled after an eventfd woke it.
import { receiveMessageOnPort, workerData } from "node:worker_threads";
import { loadLibc } from "../native.ts";
import type { Libc } from "../native.ts";
import { IdleQueue } from "./idle-queue.ts";
import { PipePool } from "./pipe-pool.ts";
import type { RelayEndReason } from "./relay.ts";
import { SpliceDirection } from "./splice-direction.ts";
import type { SpliceShared } from "./splice-direction.ts";
import { slotFields, slotReceived, slotSent } from "./splice-messages.ts";
import type { SpliceCommand, SpliceReport, SpliceThreadData } from "./splice-messages.ts";

const epollIn = 1;
const epollErr = 8;
const epollHup = 16;
const epollOut = 4;
const epollRdHup = 0x2000;
const epollEdge = 0x80000000 | 0;
const epollCtlAdd = 1;
const epollCtlDel = 2;
const epollCloexec = 0o2000000;
const solSocket = 1;
const soLinger = 13;
// Connections served for each epoll_wait.
const maxEvents = 256;
// 64 KiB is a read's worth on a fast path; a larger buffer only pushes the data out of the cache.
const scratchBytes = 64 * 1024;
// How long the thread may overlook that the process wants to end: a worker can only be terminated while it runs JavaScript.
const maxWaitMs = 500;
// The kernel packs epoll_event on x86-64 only.
const eventBytes = process.arch === "x64" || process.arch === "ia32" ? 12 : 16;
const eventDataAt = eventBytes === 12 ? 4 : 8;
/** epoll data of the eventfd; slots are counted from 0. */
const wakeData = 0xffffffff;

class SpliceConnection {
  readonly slot: number;
  readonly downstreamFd: number;
  readonly upstreamFd: number;
  readonly up: SpliceDirection;
  readonly down: SpliceDirection;
  readonly idleTimeoutMs: number;
  activeMs: number;
  ended = false;
  /** Waits for its next turn. */
  queued = false;

  constructor(command: Extract<SpliceCommand, { kind: "start" }>, shared: SpliceShared, nowMs: number) {
    this.slot = command.slot;
    this.downstreamFd = command.downstreamFd;
    this.upstreamFd = command.upstreamFd;
    this.idleTimeoutMs = command.idleTimeoutMs;
    this.activeMs = nowMs;
    this.up = new SpliceDirection(shared, command.downstreamFd, command.upstreamFd, command.toUpstream);
    this.down = new SpliceDirection(shared, command.upstreamFd, command.downstreamFd, command.toDownstream);
  }
}

class SpliceLoop {
  readonly #libc: Libc;
  readonly #data: SpliceThreadData;
  readonly #slab: Float64Array;
  readonly #shared: SpliceShared;
  readonly #epoll: number;
  readonly #events = new DataView(new ArrayBuffer(maxEvents * eventBytes));
  readonly #eventsAddress: number;
  readonly #control = new DataView(new ArrayBuffer(16));
  readonly #controlAddress: number;
  readonly #lingerAddress: number;
  // struct linger { l_onoff = 1, l_linger = 0 }: the last close sends RST.
  readonly #linger = new Int32Array(new ArrayBuffer(8)).fill(1, 0, 1);
  readonly #connections: (SpliceConnection | undefined)[] = [];
  readonly #idle = new IdleQueue<SpliceConnection>();
  #turn: SpliceConnection[] = [];
  #nowMs = performance.now();
  #stopped = false;

  constructor(libc: Libc, data: SpliceThreadData) {
    this.#libc = libc;
    this.#data = data;
    this.#slab = new Float64Array(data.slab);
    const scratch = new Uint8Array(new ArrayBuffer(scratchBytes));
    this.#shared = { libc, pipes: new PipePool(libc), scratch, scratchAddress: libc.address(scratch) };
    this.#eventsAddress = libc.address(new Uint8Array(this.#events.buffer));
    this.#controlAddress = libc.address(new Uint8Array(this.#control.buffer));
    this.#lingerAddress = libc.address(new Uint8Array(this.#linger.buffer));
    this.#epoll = libc.epoll_create1(epollCloexec);
    if (this.#epoll < 0 || !this.#register(data.eventFd, epollIn, wakeData)) throw new Error(`epoll is not usable, errno ${libc.errno()}`);
  }

  run(): void {
    this.#post({ kind: "ready" });
    while (!this.#stopped) {
      const waitMs = this.#turn.length > 0 ? 0 : Math.ceil(this.#idle.waitMs(this.#nowMs, maxWaitMs));
      const count = this.#libc.epoll_wait(this.#epoll, this.#eventsAddress, maxEvents, waitMs);
      if (count < 0 && this.#libc.errno() !== this.#libc.EINTR) throw new Error(`epoll_wait failed, errno ${this.#libc.errno()}`);
      this.#nowMs = performance.now();
      this.#serve(Math.max(0, count));
      for (let idle = this.#idle.expired(this.#nowMs); idle; idle = this.#idle.expired(this.#nowMs)) this.#end(idle, "idle_timeout", false);
    }
    for (const connection of this.#connections) if (connection) this.#end(connection, "cancelled", false);
    this.#libc.close(this.#epoll);
  }

  #serve(count: number): void {
    const waiting = this.#turn;
    if (waiting.length > 0) this.#turn = [];
    let woken = false;
    for (let i = 0; i < count; i++) {
      const data = this.#events.getUint32(i * eventBytes + eventDataAt, true);
      if (data === wakeData) woken = true;
      else this.#onEvent(data, this.#events.getUint32(i * eventBytes, true));
    }
    for (const connection of waiting) {
      connection.queued = false;
      this.#pump(connection, true, true);
    }
    // Last, so that a slot that a command fills again cannot meet an event of its former connection.
    if (woken) this.#readCommands();
  }

  // Edge-triggered: each event says what may have changed since the last, for one of the connection's two sockets.
  #onEvent(data: number, events: number): void {
    const connection = this.#connections[data >>> 1];
    if (!connection) return;
    const fromUpstream = (data & 1) === 1;
    const reader = fromUpstream ? connection.down : connection.up;
    const writer = fromUpstream ? connection.up : connection.down;
    const toRead = (events & (epollIn | epollRdHup | epollHup | epollErr)) !== 0;
    if (toRead) reader.readable = true;
    if (events & (epollRdHup | epollHup | epollErr)) reader.ending = true;
    // Every event says "writable" too; only a writer that waited for it has anything to do.
    const toWrite = (events & epollOut) !== 0 && writer.stuck;
    this.#pump(connection, fromUpstream ? toWrite : toRead, fromUpstream ? toRead : toWrite);
    // What came before a reset is still read and delivered, and the read after it ends the connection. When the other side
    // takes nothing that read never comes, and a reset socket is dead both ways.
    if (events & epollErr && reader.stuck) this.#end(connection, fromUpstream ? "upstream_reset" : "downstream_reset", true);
  }

  #pump(connection: SpliceConnection, up: boolean, down: boolean): void {
    if (connection.ended) return;
    const before = connection.up.bytes + connection.down.bytes;
    const upOutcome = up ? connection.up.pump() : "blocked";
    const downOutcome = down && upOutcome !== "internal" ? connection.down.pump() : "blocked";
    if (connection.up.bytes + connection.down.bytes !== before) {
      connection.activeMs = this.#nowMs;
      this.#slab[connection.slot * slotFields + slotReceived] = connection.up.bytes;
      this.#slab[connection.slot * slotFields + slotSent] = connection.down.bytes;
    }
    const failure =
      upOutcome === "source_failed" || downOutcome === "target_failed"
        ? "downstream_reset"
        : upOutcome === "target_failed" || downOutcome === "source_failed"
          ? "upstream_reset"
          : undefined;
    if (failure) this.#end(connection, failure, true);
    else if (upOutcome === "internal" || downOutcome === "internal") this.#end(connection, "internal", true);
    else if (connection.up.finished && connection.down.finished) this.#end(connection, "closed", false);
    else if ((upOutcome === "more" || downOutcome === "more") && !connection.queued) {
      connection.queued = true;
      this.#turn.push(connection);
    }
  }

  #readCommands(): void {
    // Empties the eventfd's counter; its value does not matter.
    this.#libc.read(this.#data.eventFd, this.#controlAddress, 8);
    for (let received = receiveMessageOnPort(this.#data.port); received; received = receiveMessageOnPort(this.#data.port)) {
      const command = received.message as SpliceCommand;
      if (command.kind === "start") this.#start(command);
      else if (command.kind === "stop") this.#stopped = true;
      else {
        const connection = this.#connections[command.slot];
        if (connection) this.#end(connection, "cancelled", command.reset);
      }
    }
  }

  #start(command: Extract<SpliceCommand, { kind: "start" }>): void {
    const connection = new SpliceConnection(command, this.#shared, this.#nowMs);
    this.#connections[command.slot] = connection;
    const interest = epollIn | epollOut | epollRdHup | epollEdge;
    const registered =
      this.#register(command.downstreamFd, interest, command.slot * 2) &&
      this.#register(command.upstreamFd, interest, command.slot * 2 + 1);
    if (!registered) return this.#end(connection, "internal", true);
    this.#idle.add(connection);
    // The first edge comes with the registration, but bytes that were read before have none of their own.
    this.#pump(connection, true, true);
  }

  #register(fd: number, interest: number, data: number): boolean {
    this.#control.setUint32(0, interest >>> 0, true);
    this.#control.setUint32(eventDataAt, data, true);
    this.#control.setUint32(eventDataAt + 4, 0, true);
    return this.#libc.epoll_ctl(this.#epoll, epollCtlAdd, fd, this.#controlAddress) === 0;
  }

  #end(connection: SpliceConnection, reason: RelayEndReason, reset: boolean): void {
    if (connection.ended) return;
    connection.ended = true;
    connection.up.release();
    connection.down.release();
    this.#connections[connection.slot] = undefined;
    const at = connection.slot * slotFields;
    this.#slab[at + slotReceived] = connection.up.bytes;
    this.#slab[at + slotSent] = connection.down.bytes;
    this.#letGo(connection.downstreamFd, reset);
    this.#letGo(connection.upstreamFd, reset);
    this.#post({ kind: "ended", slot: connection.slot, reason });
  }

  // Closing is for the descriptor's owner, after the report.
  #letGo(fd: number, reset: boolean): void {
    if (reset) this.#libc.setsockopt(fd, solSocket, soLinger, this.#lingerAddress, 8);
    this.#libc.epoll_ctl(this.#epoll, epollCtlDel, fd, this.#controlAddress);
  }

  #post(report: SpliceReport): void {
    this.#data.port.postMessage(report);
  }
}

const libc = loadLibc();
if (!libc) throw new Error("the splice thread needs Linux and koffi");
new SpliceLoop(libc, workerData as SpliceThreadData).run();
