// One worker thread as the main thread sees it: requests with deadlines, notices, and how it ended.
import { Worker } from "node:worker_threads";
import type { Clock, Timer } from "../clock.ts";
import type { StatsAnnouncement } from "../telemetry/stats-slab.ts";
import type { RequestName, Requests, ToMain, ToWorker, WorkerSettings } from "./messages.ts";

/** What happens in a worker. */
export interface WorkerEvents {
  onStats(announcement: StatsAnnouncement): void;
  /** The thread is gone: by `terminate`, or with the error that ended it. Called once. */
  onExit(error: Error | undefined): void;
}

/** An answer, or why there is none. */
export type Answer<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly message: string };

interface Waiting {
  readonly settle: (answer: Answer<never>) => void;
  readonly timer: Timer;
}

/** A running worker thread. */
export class WorkerHandle {
  readonly #worker: Worker;
  readonly #clock: Clock;
  readonly #waiting = new Map<number, Waiting>();
  #nextId = 1;
  #error: Error | undefined = undefined;
  #ended = false;

  constructor(entry: URL, settings: WorkerSettings, clock: Clock, events: WorkerEvents) {
    this.#clock = clock;
    this.#worker = new Worker(entry, { workerData: settings, name: `worker_${settings.id}` });
    this.#worker.on("message", (message: ToMain) => {
      if (message.kind === "stats") events.onStats(message.announcement);
      else this.#settle(message.id, message as Answer<never>);
    });
    this.#worker.on("error", (error: Error) => {
      this.#error = error;
    });
    this.#worker.on("exit", () => {
      this.#ended = true;
      for (const id of this.#waiting.keys()) this.#settle(id, { ok: false, message: "the worker ended" });
      events.onExit(this.#error);
    });
  }

  /** Asks and waits at most `deadlineMs`. Never rejects. */
  request<K extends RequestName>(name: K, ask: Requests[K]["ask"], deadlineMs: number): Promise<Answer<Requests[K]["reply"]>> {
    if (this.#ended) return Promise.resolve({ ok: false, message: "the worker ended" });
    const id = this.#nextId++;
    return new Promise((resolve) => {
      const timer = this.#clock.after(deadlineMs, () => this.#settle(id, { ok: false, message: `no answer within ${deadlineMs} ms` }));
      this.#waiting.set(id, { settle: resolve, timer });
      this.notify({ kind: "request", id, name, ask } as ToWorker);
    });
  }

  /** Tells without an answer. */
  notify(message: ToWorker): void {
    this.#worker.postMessage(message);
  }

  /** Ends the thread at once. */
  async terminate(): Promise<void> {
    await this.#worker.terminate();
  }

  #settle(id: number, answer: Answer<never>): void {
    const waiting = this.#waiting.get(id);
    if (!waiting) return;
    this.#waiting.delete(id);
    waiting.timer.cancel();
    waiting.settle(answer);
  }
}
