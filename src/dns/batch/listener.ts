// The main thread's side of the batching UDP path: binds the socket, starts the thread, handles what the thread hands over.
// Where the path is not to be had, or the thread dies, the portable listener takes its place.
import { Worker, MessageChannel } from "node:worker_threads";
import type { Clock, Timer } from "../../clock.ts";
import type { Logger } from "../../telemetry/logger.ts";
import type { AnswerSettings } from "../answer.ts";
import { encodeAddress } from "../address-bytes.ts";
import type { NameTable } from "../name-table.ts";
import type { QueryCounters, QueryHandler, ReplySink } from "../query-handler.ts";
import type { QueryLog } from "../query-log.ts";
import { listenUdp, type UdpListener } from "../udp-listener.ts";
import { MSG_DONTWAIT, encodeSockaddr, loadLibc, type Libc } from "./libc.ts";
import { control, type BatchThreadData, type HandedMessage, type ThreadReport } from "./messages.ts";

/** Milliseconds between two readings of the thread's counter, and of whether queries are logged. */
const COUNT_INTERVAL_MS = 1000;

/** What a batching listener is made of. */
export interface BatchListenerOptions {
  readonly host: string;
  readonly port: number;
  readonly handler: QueryHandler;
  readonly answers: AnswerSettings;
  /** While it is on, the main thread handles what it can, so that queries are logged. */
  readonly log: QueryLog;
  /** What the thread answers and refuses is added once a second. */
  readonly counters: QueryCounters;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Binds and starts the thread; undefined where the platform has no such path. Rejects when the address cannot be bound. */
export async function listenUdpBatching(options: BatchListenerOptions): Promise<UdpListener | undefined> {
  const address = encodeAddress(options.host);
  const loaded = await loadLibc();
  if ("unavailable" in loaded || !address) {
    options.logger.debug("dns over the portable path", { reason: "unavailable" in loaded ? loaded.unavailable : "not an address" });
    return undefined;
  }
  const { libc } = loaded;
  const { fd, port } = libc.bindUdp(options.host, options.port, encodeSockaddr(address, options.port));
  const listener = new BatchListener(libc, fd, port, options);
  if (await listener.started) return listener;
  await listener.close();
  return undefined;
}

class BatchListener implements UdpListener, ReplySink<Uint8Array> {
  readonly port: number;
  /** Whether the thread serves. */
  readonly started: Promise<boolean>;
  readonly #libc: Libc;
  readonly #fd: number;
  readonly #options: BatchListenerOptions;
  readonly #worker: Worker;
  readonly #control = new Int32Array(new SharedArrayBuffer(4 * control.words));
  readonly #tables = new MessageChannel();
  readonly #ended: Promise<void>;
  #timer: Timer;
  #answered = 0;
  #refused = 0;
  #state: "starting" | "serving" | "closing" | "closed" = "starting";
  #substitute: Promise<UdpListener | undefined> | undefined;

  constructor(libc: Libc, fd: number, port: number, options: BatchListenerOptions) {
    this.#libc = libc;
    this.#fd = fd;
    this.port = port;
    this.#options = options;
    this.#followLog();
    const data: BatchThreadData = { fd, control: this.#control, answers: options.answers, tables: this.#tables.port2 };
    // The extension is this file's own: TypeScript run in place, or JavaScript as published.
    const file = import.meta.url.endsWith(".ts") ? "./thread.ts" : "./thread.js";
    this.#worker = new Worker(new URL(file, import.meta.url), {
      workerData: data,
      transferList: [this.#tables.port2],
      name: "dns",
    });
    this.started = new Promise((resolve) => {
      this.#worker.on("message", (message: ThreadReport) => {
        if (message === "ready") this.#state = "serving";
        if (typeof message === "string") resolve(message === "ready");
        else this.#onHandedOver(message);
      });
      this.#worker.on("exit", () => resolve(false));
    });
    this.#ended = new Promise((resolve) => this.#worker.on("exit", () => resolve()));
    this.#worker.on("error", (error) => options.logger.warn("dns thread failed", { reason: error.message }));
    this.#worker.on("exit", () => this.#onExit());
    this.#timer = options.clock.after(COUNT_INTERVAL_MS, () => this.#onTimer());
  }

  get batching(): boolean {
    return this.#substitute === undefined;
  }

  setTable(table: NameTable): void {
    // What only this thread looks at would be copied.
    this.#tables.port1.postMessage({ ...table, services: undefined });
    Atomics.add(this.#control, control.generation, 1);
  }

  send(reply: Buffer, peer: Uint8Array): void {
    Atomics.sub(this.#control, control.handedOver, 1);
    if (this.#state !== "serving") return;
    const sent = this.#libc.sendto(this.#fd, reply, reply.length, MSG_DONTWAIT, peer, peer.length);
    if (sent < 0) this.#options.logger.debug("dns reply not sent", { reason: this.#libc.errorName() });
  }

  async close(): Promise<void> {
    if (this.#state !== "closed") {
      this.#state = "closing";
      Atomics.store(this.#control, control.closing, 1);
      this.#libc.wake(this.#fd);
    }
    await this.#ended;
    await (await this.#substitute)?.close();
  }

  #onHandedOver(messages: readonly HandedMessage[]): void {
    for (const { request, peer } of messages) {
      const port = (peer[2]! << 8) | peer[3]!;
      const replying = this.#options.handler.handle(Buffer.from(request.buffer), "udp", port, peer, this);
      if (!replying) Atomics.sub(this.#control, control.handedOver, 1);
    }
  }

  #onTimer(): void {
    this.#count();
    this.#followLog();
    this.#timer = this.#options.clock.after(COUNT_INTERVAL_MS, () => this.#onTimer());
  }

  #followLog(): void {
    Atomics.store(this.#control, control.logging, this.#options.log.enabled() ? 1 : 0);
  }

  #count(): void {
    const { requests, mesh, overflow } = this.#options.counters;
    const answered = (Atomics.load(this.#control, control.answered) - this.#answered) | 0;
    const refused = (Atomics.load(this.#control, control.refused) - this.#refused) | 0;
    this.#answered = (this.#answered + answered) | 0;
    this.#refused = (this.#refused + refused) | 0;
    requests.add(answered + refused);
    mesh.add(answered);
    overflow.add(refused);
  }

  #onExit(): void {
    const unexpected = this.#state === "serving";
    this.#state = "closed";
    this.#timer.cancel();
    this.#count();
    this.#tables.port1.close();
    this.#libc.close(this.#fd);
    if (unexpected) this.#substitute = this.#goOnWithout();
  }

  async #goOnWithout(): Promise<UdpListener | undefined> {
    const { host, handler, logger } = this.#options;
    try {
      const listener = await listenUdp(host, this.port, handler, logger);
      logger.warn("dns thread ended, going on over the portable path", { host, port: this.port });
      return listener;
    } catch (error) {
      logger.error("dns thread ended, no longer listening on UDP", { host, port: this.port, reason: String(error) });
      return undefined;
    }
  }
}
