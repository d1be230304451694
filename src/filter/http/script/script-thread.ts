// One thread with one load of a script, as the worker sees it: gives it runs, and ends it when it takes too long or too much. What then
// becomes of the runs is the host's to decide; this file finds out which of them can be to blame.
import type { Worker } from "node:worker_threads";
import type { Clock, Timer } from "../../../clock.ts";
import { createSharedBoard, type FromThread, type Hook, readBoard, type Sources, sharedNowMs, type ToThread } from "./messages.ts";
import { failed, finish, type Run, type RunFailure, type RunOutcome, type ThreadLimits, timedOut } from "./run.ts";
import { RunsUnderWay } from "./runs-under-way.ts";
import { startThread } from "./start-thread.ts";

/** A thread that is no more, and what was under way in it. */
export interface Loss {
  readonly failure: RunFailure;
  /** The one that is known to have taken too long. */
  readonly guilty: Run | undefined;
  /** Begun: with no culprit known, any of them may be it. */
  readonly begun: readonly Run[];
  /** Never begun, so that none of them can be to blame. */
  readonly waiting: readonly Run[];
}

/** What the host hears. */
export interface ThreadEvents {
  onLoaded(hooks: readonly Hook[], files: readonly string[], sources: Sources): void;
  onUnloadable(message: string, files: readonly string[]): void;
  onLost(loss: Loss): void;
  /** It has been busy with one thing for a while; these have not been begun and may be run elsewhere. */
  onStalled(waiting: readonly Run[]): void;
  /** It was retired and has nothing left to do. */
  onEnd(): void;
  /** It is gone from the process, which may be later than it was ended. */
  onGone(): void;
  onStray(message: string): void;
  onOutput(text: string): void;
}

/** How often a thread with runs under way is looked at, and one without. */
const busyTickMs = 50;
const idleTickMs = 1_000;
/** How long a module may take to load. */
const loadDeadlineMs = 5_000;
/** Without any progress for this long, whoever waits is run elsewhere. */
const stallMs = 100;
/** A thread that does nothing but wait answers at once; this much is for a machine that is busy with other things. */
const pongMs = 250;

/** A thread and its runs. */
export class ScriptThread {
  readonly #limits: ThreadLimits;
  readonly #clock: Clock;
  readonly #events: ThreadEvents;
  readonly #worker: Worker;
  readonly #runs: RunsUnderWay;
  readonly #configs = new Set<number>();
  readonly #createdMs = sharedNowMs();
  #timer: Timer | undefined;
  #state: "loading" | "ready" | "over" = "loading";
  #begunBefore = 0;
  #progressMs = 0;
  #pingedMs = 0;
  #pongedMs = 0;
  #retiring = false;

  /** @param sources what to load instead of what the files hold now */
  constructor(limits: ThreadLimits, clock: Clock, events: ThreadEvents, sources?: Sources) {
    this.#limits = limits;
    this.#clock = clock;
    this.#events = events;
    const shared = createSharedBoard();
    this.#runs = new RunsUnderWay(readBoard(shared));
    this.#worker = startThread({ module: limits.module, shared, sources }, limits.memoryBytes);
    this.#worker.on("message", (message: FromThread) => this.#onMessage(message));
    this.#worker.on("error", (error: NodeJS.ErrnoException) =>
      this.#lose(error.code === "ERR_WORKER_OUT_OF_MEMORY" ? "out_of_memory" : "thread_ended", undefined),
    );
    this.#worker.on("exit", () => {
      this.#lose("thread_ended", undefined);
      events.onGone();
    });
    for (const output of [this.#worker.stdout, this.#worker.stderr])
      output.on("data", (chunk: Buffer) => events.onOutput(chunk.toString("utf8"))).on("error", () => undefined);
    this.#tickIn(busyTickMs);
  }

  /** True while it takes runs. */
  get takes(): boolean {
    return this.#state === "ready" && !this.#retiring && this.#runs.takes;
  }

  /** It has ended. */
  get over(): boolean {
    return this.#state === "over";
  }

  /** Starts a run; only while it `takes` any. */
  start(run: Run): void {
    if (this.#runs.size === 0) {
      this.#progressMs = sharedNowMs();
      this.#tickIn(busyTickMs);
    }
    const id = this.#runs.add(run);
    const { config } = run.invocation;
    if (!this.#configs.has(config)) {
      this.#configs.add(config);
      this.#post({ kind: "configure", config, value: run.config });
    }
    this.#post({ kind: "run", id, invocation: run.invocation });
  }

  /** Takes no more runs, and ends when those under way have. */
  retire(): void {
    this.#retiring = true;
    this.#endWhenIdle();
  }

  /** Ends at once; its runs are never heard of again. */
  end(): void {
    if (this.#state === "over") return;
    this.#state = "over";
    this.#timer?.cancel();
    this.#runs.clear();
    // A thread inside of a native call ends when that returns; nobody waits for it.
    void this.#worker.terminate();
  }

  #post(message: ToThread): void {
    this.#worker.postMessage(message);
  }

  #onMessage(message: FromThread): void {
    if (this.#state === "over") return;
    this.#pongedMs = sharedNowMs();
    switch (message.kind) {
      case "loaded":
        this.#state = "ready";
        this.#events.onLoaded(message.hooks, message.files, message.sources);
        break;
      case "unloadable":
        this.end();
        this.#events.onUnloadable(message.message, message.files);
        break;
      case "done":
        this.#settle(message.id, { ok: true, result: message.result });
        break;
      case "threw":
        this.#settle(message.id, failed("exception", message.message));
        break;
      case "stray":
        this.#events.onStray(message.message);
        break;
      case "pong":
        break;
    }
  }

  #settle(id: number, outcome: RunOutcome): void {
    const run = this.#runs.remove(id);
    if (run === undefined) return;
    this.#progressMs = sharedNowMs();
    finish(run, outcome);
    this.#endWhenIdle();
  }

  #endWhenIdle(): void {
    if (!this.#retiring || this.#runs.size > 0 || this.#state === "over") return;
    this.end();
    this.#events.onEnd();
  }

  #tickIn(ms: number): void {
    this.#timer?.cancel();
    this.#timer = this.#clock.after(ms, () => this.#tick());
  }

  #tick(): void {
    if (this.#state === "over") return;
    const nowMs = sharedNowMs();
    if (this.#state === "loading") {
      if (nowMs - this.#createdMs >= loadDeadlineMs) {
        this.end();
        const seconds = loadDeadlineMs / 1000;
        this.#events.onUnloadable(`${this.#limits.module}: does not load within ${seconds} s`, [this.#limits.module]);
        return;
      }
    } else if (this.#runs.size > 0) this.#judge(nowMs);
    if (this.#isOver()) return;
    this.#measure();
    this.#tickIn(this.#state === "loading" || this.#runs.size > 0 ? busyTickMs : idleTickMs);
  }

  // What is judged may have ended the thread meanwhile.
  #isOver(): boolean {
    return this.#state === "over";
  }

  /** Looks for runs that take too long. */
  #judge(nowMs: number): void {
    const runs = this.#runs;
    const { timeoutMs } = this.#limits;
    const { running, lastBegun } = runs;
    if (lastBegun !== this.#begunBefore) this.#progressMs = nowMs;
    this.#begunBefore = lastBegun;
    if (running !== undefined && runs.ageOf(running, nowMs) >= timeoutMs) return this.#lose("timeout", runs.get(running));
    const overdue = runs.begunBefore(nowMs, timeoutMs);
    const waiting = runs.notBegun();
    // Nothing runs that could be named, and nothing else gets on: either it waits for something, or it loops behind an await.
    if (running === undefined && (overdue.length > 0 || (waiting.length > 0 && nowMs - this.#progressMs >= timeoutMs)))
      this.#probe(nowMs, overdue);
    if (waiting.length > 0 && nowMs - this.#progressMs >= stallMs && !this.#isOver())
      this.#events.onStalled(waiting.map((id) => runs.remove(id)!));
  }

  /** Fails what is overdue in a thread that still answers; a thread that does not is ended. */
  #probe(nowMs: number, overdue: readonly number[]): void {
    if (this.#pingedMs === 0) {
      this.#pingedMs = nowMs;
      this.#post({ kind: "ping" });
    } else if (this.#pongedMs >= this.#pingedMs) {
      this.#pingedMs = 0;
      for (const id of overdue) this.#settle(id, timedOut(this.#limits));
    } else if (nowMs - this.#pingedMs >= pongMs) this.#lose("timeout", undefined);
  }

  /** The heap is limited by V8; buffers lie outside of it. Asked for by interrupt, so a busy thread answers too. */
  #measure(): void {
    if (this.#state !== "ready") return;
    this.#worker.getHeapStatistics().then(
      ({ external_memory: bytes }) => {
        if (bytes > this.#limits.memoryBytes) this.#lose("out_of_memory", undefined);
      },
      // It has just ended, which its own event tells.
      () => undefined,
    );
  }

  #lose(failure: RunFailure, guilty: Run | undefined): void {
    if (this.#state === "over") return;
    if (this.#state === "loading") {
      this.end();
      const what = failure === "out_of_memory" ? "takes more memory than it may" : "ends its thread";
      return this.#events.onUnloadable(`${this.#limits.module}: ${what} while it is loaded`, [this.#limits.module]);
    }
    const lost = this.#runs.split(guilty);
    this.end();
    this.#events.onLost({ failure, guilty, ...lost });
  }
}
