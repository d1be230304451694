// The near side of the splice thread: starts it, lends it descriptors, and tells the callers how their relays ended. Node's sockets
// stay open until then, whoever destroys them, so that whoever watches them sees the connection's real end. When anything it needs is missing or the thread dies, `start` declines and the portable relay carries the connection.
import type { Socket } from "node:net";
import { MessageChannel, receiveMessageOnPort, Worker } from "node:worker_threads";
import type { MessagePort } from "node:worker_threads";
import type { Logger } from "../../telemetry/logger.ts";
import { holdDescriptor, resetSocket, socketFd, stopReading } from "../descriptor.ts";
import { loadLibc } from "../native.ts";
import type { Libc } from "../native.ts";
import type { Relay, RelayRequest, RelayResult } from "./relay.ts";
import { slotFields, slotReceived, slotSent } from "./splice-messages.ts";
import type { SpliceCommand, SpliceReport, SpliceThreadData } from "./splice-messages.ts";

// Connections of one thread; the slab is 16 bytes each. More than that go portable.
const maxConnections = 32768;
const efdNonblock = 0o4000;
const efdCloexec = 0o2000000;

/** A relay thread. One for each thread that accepts connections. */
export interface SpliceRelay {
  /** True while the thread runs and takes connections. */
  readonly available: boolean;
  /** Connections it carries. */
  readonly active: number;
  /** Resolves when the thread has started or could not. */
  readonly started: Promise<boolean>;
  /** Resolves when the thread is gone, after `close` or by itself. */
  readonly ended: Promise<void>;
  /** Takes the request over, or gives undefined and leaves the sockets alone: not raw, bytes still being written, no room, no thread. */
  start(request: RelayRequest): Relay | undefined;
  /** Ends all its connections and the thread. */
  close(): void;
}

/** Starts the thread; undefined where it cannot run (not Linux, no koffi). */
export function startSpliceRelay(deps: { readonly logger: Logger }): SpliceRelay | undefined {
  const libc = loadLibc();
  if (!libc) return undefined;
  const eventFd = libc.eventfd(0, efdNonblock | efdCloexec);
  return eventFd < 0 ? undefined : new SpliceThread(libc, eventFd, deps.logger);
}

interface Carried {
  readonly request: RelayRequest;
  /** Give the descriptors back to their sockets, once the thread uses them no more. */
  readonly releases: readonly (() => void)[];
}

class SpliceThread implements SpliceRelay {
  readonly started: Promise<boolean>;
  readonly ended: Promise<void>;
  readonly #libc: Libc;
  readonly #logger: Logger;
  readonly #eventFd: number;
  readonly #slab = new Float64Array(new SharedArrayBuffer(maxConnections * slotFields * 8));
  readonly #carried: (Carried | undefined)[] = [];
  readonly #freeSlots: number[] = [];
  readonly #port: MessagePort;
  readonly #worker: Worker;
  readonly #wake = new BigUint64Array(new ArrayBuffer(8));
  readonly #wakeAddress: number;
  readonly #onExit = (): void => this.close();
  #state: "starting" | "running" | "closed" = "starting";
  #active = 0;

  constructor(libc: Libc, eventFd: number, logger: Logger) {
    this.#libc = libc;
    this.#logger = logger;
    this.#eventFd = eventFd;
    this.#wake[0] = 1n;
    this.#wakeAddress = libc.address(new Uint8Array(this.#wake.buffer));
    const { port1, port2 } = new MessageChannel();
    this.#port = port1;
    const workerData: SpliceThreadData = { port: port2, eventFd, slab: this.#slab.buffer as unknown as SharedArrayBuffer };
    // The extension differs between the source tree and the build.
    const script = new URL(import.meta.url.endsWith(".ts") ? "./splice-thread.ts" : "./splice-thread.js", import.meta.url);
    this.#worker = new Worker(script, { workerData, transferList: [port2], name: "splice", stdin: false });
    this.started = new Promise((resolve) => {
      port1.on("message", (report: SpliceReport) => {
        if (report.kind === "ended") return this.#onEnded(report.slot, report.reason);
        if (this.#state === "starting") this.#state = "running";
        // Neither the idle thread nor its port keeps the process alive; connections in it do.
        this.#worker.unref();
        if (this.#active === 0) port1.unref();
        resolve(this.#state === "running");
      });
      this.#worker.once("error", (error) =>
        logger.error("splice thread failed, connections are relayed without it", { error: error.message }),
      );
      this.#worker.once("exit", () => {
        this.#onThreadGone();
        resolve(false);
      });
    });
    this.ended = new Promise((resolve) => this.#worker.once("exit", () => resolve()));
    // A thread blocked in epoll_wait would hold up the end of the process.
    process.on("exit", this.#onExit);
  }

  get available(): boolean {
    return this.#state === "running";
  }

  get active(): number {
    return this.#active;
  }

  start(request: RelayRequest): Relay | undefined {
    const { downstream, upstream } = request;
    if (this.#state !== "running" || !downstream.raw || !upstream.raw || this.#active >= maxConnections) return undefined;
    if (!transferable(downstream.socket) || !transferable(upstream.socket)) return undefined;
    const toUpstream = concat(request.initialBytes, detach(downstream.socket));
    return this.#handOver(request, toUpstream, detach(upstream.socket));
  }

  close(): void {
    if (this.#state === "closed") return;
    this.#state = "closed";
    process.off("exit", this.#onExit);
    this.#command({ kind: "stop" });
  }

  #handOver(request: RelayRequest, toUpstream: Uint8Array | undefined, toDownstream: Uint8Array | undefined): Relay {
    const slot = this.#freeSlots.pop() ?? this.#carried.length;
    const { downstream, upstream, idleTimeoutMs } = request;
    const isLive = (): boolean => this.#carried[slot] === carried;
    const cancel = (reset: boolean): void => {
      if (isLive()) this.#command({ kind: "cancel", slot, reset });
    };
    // Whoever destroys one of Node's sockets means the connection.
    const releases = [downstream, upstream].map(({ socket }) => holdDescriptor(socket, () => cancel(false)));
    const carried: Carried = { request, releases };
    this.#carried[slot] = carried;
    const at = slot * slotFields;
    this.#slab[at + slotReceived] = toUpstream?.length ?? 0;
    this.#slab[at + slotSent] = toDownstream?.length ?? 0;
    if (this.#active++ === 0) this.#port.ref();
    const [downstreamFd, upstreamFd] = [socketFd(downstream.socket), socketFd(upstream.socket)];
    this.#command({ kind: "start", slot, downstreamFd, upstreamFd, toUpstream, toDownstream, idleTimeoutMs });
    return new SplicedRelay(this.#slab, slot, cancel, isLive);
  }

  #command(command: SpliceCommand): void {
    this.#port.postMessage(command);
    this.#libc.write(this.#eventFd, this.#wakeAddress, 8);
  }

  #onEnded(slot: number, reason: RelayResult["reason"]): void {
    const carried = this.#carried[slot];
    if (!carried) return;
    const at = slot * slotFields;
    const result = { reason, bytesReceived: this.#slab[at + slotReceived] as number, bytesSent: this.#slab[at + slotSent] as number };
    this.#carried[slot] = undefined;
    this.#freeSlots.push(slot);
    if (--this.#active === 0) this.#port.unref();
    const { downstream, upstream, onEnd } = carried.request;
    // The thread has already told the sockets how to close; a thread that failed may not have.
    const close = reason === "internal" ? resetSocket : destroySocket;
    for (const release of carried.releases) release();
    close(downstream.socket);
    close(upstream.socket);
    onEnd(result);
  }

  // Also the way out after `close`.
  #onThreadGone(): void {
    // The exit event may overtake reports that were posted before it.
    for (let late = receiveMessageOnPort(this.#port); late; late = receiveMessageOnPort(this.#port)) {
      const report = late.message as SpliceReport;
      if (report.kind === "ended") this.#onEnded(report.slot, report.reason);
    }
    if (this.#state !== "closed") this.#logger.error("splice thread is gone", { connections: this.#active });
    this.#state = "closed";
    process.off("exit", this.#onExit);
    for (const [slot, carried] of this.#carried.entries()) {
      if (carried) this.#onEnded(slot, "internal");
    }
    this.#port.close();
    this.#libc.close(this.#eventFd);
  }
}

class SplicedRelay implements Relay {
  readonly #slab: Float64Array;
  readonly #at: number;
  readonly #cancel: (reset: boolean) => void;
  readonly #isLive: () => boolean;
  #received = 0;
  #sent = 0;

  constructor(slab: Float64Array, slot: number, cancel: (reset: boolean) => void, isLive: () => boolean) {
    this.#slab = slab;
    this.#at = slot * slotFields;
    this.#cancel = cancel;
    this.#isLive = isLive;
  }

  // The slot belongs to another connection once this one has ended.
  get bytesReceived(): number {
    if (this.#isLive()) this.#received = this.#slab[this.#at + slotReceived] as number;
    return this.#received;
  }

  get bytesSent(): number {
    if (this.#isLive()) this.#sent = this.#slab[this.#at + slotSent] as number;
    return this.#sent;
  }

  cancel(reset: boolean): void {
    this.#cancel(reset);
  }
}

// Bytes that Node still has to write, or an end that it still has to send, cannot be taken along.
function transferable(socket: Socket): boolean {
  return (
    !socket.destroyed &&
    !socket.readableEnded &&
    !socket.connecting &&
    socket.writableLength === 0 &&
    !socket.writableEnded &&
    socketFd(socket) >= 0
  );
}

function destroySocket(socket: Socket): void {
  socket.destroy();
}

/** Takes what Node has read and makes it read no more. */
function detach(socket: Socket): Uint8Array | undefined {
  // A socket that has just connected starts reading after its `connect` listeners, unless it is paused.
  socket.pause();
  let bytes: Uint8Array | undefined;
  while (socket.readableLength > 0) {
    const chunk = socket.read() as Buffer | null;
    if (chunk === null) break;
    bytes = concat(bytes, chunk);
  }
  // Last, because `read` asks the kernel for more.
  stopReading(socket);
  return bytes;
}

function concat(first: Uint8Array | undefined, second: Uint8Array | undefined): Uint8Array | undefined {
  if (!first || first.length === 0) return second;
  return second && second.length > 0 ? Buffer.concat([first, second]) : first;
}
