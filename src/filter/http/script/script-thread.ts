// One thread with one load of a script, as the worker sees it: gives it runs, and ends it when it takes too long or too much. What then
// becomes of the runs is the host's to decide; this file finds out which of them can be to blame.
import { type MessagePort, Worker } from "node:worker_threads";
import type { Clock, Timer } from "../../../clock.ts";
import {
  begunSlot,
  createSharedBoard,
  type FromThread,
  type Hook,
  type HookResult,
  type Invocation,
  maxUnderWay,
  readBoard,
  runningSlot,
  type Sources,
  sharedNowMs,
  type ThreadSettings,
  type ToThread,
} from "./messages.ts";

/** What may be spent. */
export interface ThreadLimits {
  readonly module: string;
  /** For one run, milliseconds from its begin. */
  readonly timeoutMs: number;
  /** Of JavaScript's heap, and again of what lies outside of it (bytes of buffers). */
  readonly memoryBytes: number;
}

/** Why a run gave no result. */
export type RunFailure = "exception" | "timeout" | "out_of_memory" | "thread_ended";

/** What a run came to. */
export type RunOutcome =
  | { readonly ok: true; readonly result: HookResult }
  | { readonly ok: false; readonly failure: RunFailure; readonly message: string };

/** A run that was asked for. */
export interface Run {
  readonly invocation: Invocation;
  readonly config: Readonly<Record<string, unknown>>;
  /** How often it was under way in a thread that was ended. */
  lost: number;
  /** Nobody waits for it any more. */
  cancelled: boolean;
  readonly askedMs: number;
  /** Called once. */
  readonly onDone: (outcome: RunOutcome) => void;
}

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
const bytesPerMb = 1024 * 1024;

interface UnderWay {
  readonly run: Run;
  readonly sentMs: number;
}

/** A thread and its runs. */
export class ScriptThread {
  readonly #limits: ThreadLimits;
  readonly #clock: Clock;
  readonly #events: ThreadEvents;
  readonly #worker: Worker;
  readonly #board;
  readonly #underWay = new Map<number, UnderWay>();
  readonly #configs = new Set<number>();
  readonly #createdMs = sharedNowMs();
  #timer: Timer | undefined;
  #lastId = 0;
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
    this.#board = readBoard(shared);
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

  /** Runs under way. */
  get size(): number {
    return this.#underWay.size;
  }

  /** True while it takes runs. */
  get takes(): boolean {
    return this.#state === "ready" && !this.#retiring && this.#underWay.size < maxUnderWay;
  }

  /** It has ended. */
  get over(): boolean {
    return this.#state === "over";
  }

  /** Starts a run; only while it `takes` any. */
  start(run: Run): void {
    const id = (this.#lastId = (this.#lastId % maxId) + 1);
    if (this.#underWay.size === 0) {
      this.#progressMs = sharedNowMs();
      this.#tickIn(busyTickMs);
    }
    this.#underWay.set(id, { run, sentMs: sharedNowMs() });
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
    this.#underWay.clear();
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
        this.#settle(message.id, { ok: false, failure: "exception", message: message.message });
        break;
      case "stray":
        this.#events.onStray(message.message);
        break;
      case "pong":
        break;
    }
  }

  #settle(id: number, outcome: RunOutcome): void {
    const entry = this.#underWay.get(id);
    if (entry === undefined) return;
    this.#underWay.delete(id);
    this.#progressMs = sharedNowMs();
    if (!entry.run.cancelled) entry.run.onDone(outcome);
    this.#endWhenIdle();
  }

  #endWhenIdle(): void {
    if (!this.#retiring || this.#underWay.size > 0 || this.#state === "over") return;
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
    } else if (this.#underWay.size > 0) this.#judge(nowMs);
    if (this.#isOver()) return;
    this.#measure();
    this.#tickIn(this.#state === "loading" || this.#underWay.size > 0 ? busyTickMs : idleTickMs);
  }

  // What is judged may have ended the thread meanwhile.
  #isOver(): boolean {
    return this.#state === "over";
  }

  /** Looks for runs that take too long. */
  #judge(nowMs: number): void {
    const { numbers } = this.#board;
    const [running, begun] = [Atomics.load(numbers, runningSlot), Atomics.load(numbers, begunSlot)];
    if (begun !== this.#begunBefore) this.#progressMs = nowMs;
    this.#begunBefore = begun;
    const own = this.#underWay.get(running);
    if (own !== undefined && this.#ageOf(running, nowMs) >= this.#limits.timeoutMs) return this.#lose("timeout", own.run);
    const overdue = [...this.#underWay.keys()].filter((id) => this.#isBegun(id) && this.#ageOf(id, nowMs) >= this.#limits.timeoutMs);
    const waiting = [...this.#underWay.keys()].filter((id) => !this.#isBegun(id));
    // Nothing runs that could be named, and nothing else gets on: either it waits for something, or it loops behind an await.
    if (own === undefined && (overdue.length > 0 || (waiting.length > 0 && nowMs - this.#progressMs >= this.#limits.timeoutMs)))
      this.#probe(nowMs, overdue);
    if (waiting.length > 0 && nowMs - this.#progressMs >= stallMs && !this.#isOver()) {
      const runs = waiting.map((id) => this.#take(id));
      this.#events.onStalled(runs);
    }
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

  #take(id: number): Run {
    const { run } = this.#underWay.get(id)!;
    this.#underWay.delete(id);
    return run;
  }

  // Ids begin again after a while; those under way lie close together.
  #isBegun(id: number): boolean {
    const begun = Atomics.load(this.#board.numbers, begunSlot);
    return id <= begun ? begun - id < maxId / 2 : id - begun > maxId / 2;
  }

  #ageOf(id: number, nowMs: number): number {
    return nowMs - this.#board.starts[id % maxUnderWay]!;
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
    const entries = [...this.#underWay].filter(([, { run }]) => run !== guilty && !run.cancelled);
    const [begun, waiting] = [true, false].map((wanted) =>
      entries.filter(([id]) => this.#isBegun(id) === wanted).map(([, { run }]) => run),
    );
    this.end();
    this.#events.onLost({ failure, guilty, begun: begun!, waiting: waiting! });
  }
}

// As large as shared integers are.
const maxId = 0x7fff_ffff;

/** The outcome of a run that took too long. */
export function timedOut({ module, timeoutMs }: ThreadLimits): RunOutcome {
  return { ok: false, failure: "timeout", message: `${module}: took longer than ${timeoutMs} ms` };
}

/** Starts a thread over a module. */
export function startThread(settings: ThreadSettings, memoryBytes: number, transferList: readonly MessagePort[] = []): Worker {
  const heapMb = Math.max(1, Math.round(memoryBytes / bytesPerMb));
  // The published package holds JavaScript, the repository TypeScript.
  const entry = new URL(import.meta.url.endsWith(".ts") ? "./thread/main.ts" : "./thread/main.js", import.meta.url);
  return new Worker(entry, {
    workerData: settings,
    transferList: [...transferList],
    name: "script",
    stdout: true,
    stderr: true,
    resourceLimits: { maxOldGenerationSizeMb: heapMb, maxYoungGenerationSizeMb: Math.min(16, heapMb), stackSizeMb: 4 },
  });
}
