// A script on one worker: which thread runs it, what becomes of runs whose thread had to be ended, and how a changed module takes over.
// One bad request must not hurt another: what was under way beside it is run again, and whoever may be to blame is run again alone.
import type { Clock, Timer } from "../../../clock.ts";
import type { Logger } from "../../../telemetry/logger.ts";
import type { StatsScope } from "../../../telemetry/stats.ts";
import type { Hook, Invocation, Sources } from "./messages.ts";
import { sharedNowMs } from "./messages.ts";
import { ModuleWatch } from "./module-watch.ts";
import { QuietLog } from "./quiet-log.ts";
import {
  type Loss,
  type Run,
  type RunFailure,
  type RunOutcome,
  ScriptThread,
  type ThreadEvents,
  type ThreadLimits,
} from "./script-thread.ts";

/** What a host is given. */
export interface ScriptHostDeps {
  readonly clock: Clock;
  readonly logger: Logger;
  /** Of the worker, for `script.*`. */
  readonly stats: StatsScope;
  /** Another worker's host says why the module does not load. */
  readonly quiet: boolean;
}

/** Runs that no thread takes at the moment; more fail at once. */
const maxWaiting = 2_048;
/** Threads that are busy with one thing while another took their place. */
const maxStalled = 4;
/** Threads that run one suspect at a time. */
const maxIsolated = 2;
/** Threads in all, with those that were ended and are still inside of a native call, which nobody can break off. */
const maxThreads = 12;
/** Who was beside a known culprit this often is run alone, where nobody can disturb it. */
const maxLost = 2;
/** How long a run may go without being done, in units of its time limit, and at least: a bound for whatever was not foreseen. */
const patience = 6;
const leastPatienceMs = 5_000;
const patienceTickMs = 250;
/** Between tries to start a thread that does not start. */
const firstRetryMs = 100;
const maxRetryMs = 5_000;

/** A script and its threads. */
export class ScriptHost {
  readonly #limits: ThreadLimits;
  readonly #deps: ScriptHostDeps;
  readonly #log: QuietLog;
  readonly #stats;
  readonly #threads = new Set<ScriptThread>();
  #alive = 0;
  readonly #stalled = new Set<ScriptThread>();
  readonly #isolated = new Map<ScriptThread, Run | undefined>();
  readonly #waiting: Run[] = [];
  readonly #suspects: Run[] = [];
  readonly #onSettled: (() => void)[] = [];
  readonly #configs = new WeakMap<object, number>();
  #configCount = 0;
  #watch: ModuleWatch | undefined;
  #current: ScriptThread | undefined;
  /** A thread on its way to be the current one. */
  #next: ScriptThread | undefined;
  #hooks: ReadonlySet<Hook> | undefined;
  #sources: Sources | undefined;
  #problem: string | undefined;
  #retryMs = 0;
  #retry: Timer | undefined;
  #patience: Timer | undefined;
  #closed = false;

  constructor(limits: ThreadLimits, deps: ScriptHostDeps) {
    this.#limits = limits;
    this.#deps = deps;
    this.#log = new QuietLog(deps.clock, deps.logger);
    const scope = deps.stats.scope("script");
    this.#stats = {
      loaded: scope.counter("module_loaded"),
      rejected: scope.counter("module_rejected"),
      restarts: scope.counter("thread_restarts"),
      rerun: scope.counter("rerun"),
    };
    this.#watch = new ModuleWatch([limits.module], deps.clock, () => this.#reload());
    this.#reload();
  }

  /** What the module exports; undefined before one was loaded. */
  get hooks(): ReadonlySet<Hook> | undefined {
    return this.#hooks;
  }

  /** Calls back when a module was loaded, or refused while there is none. */
  whenSettled(listener: () => void): void {
    if (this.#hooks !== undefined || this.#problem !== undefined) listener();
    else this.#onSettled.push(listener);
  }

  /** Runs a hook; `onDone` is called once, later, unless the run is cancelled. */
  run(invocation: Omit<Invocation, "config">, config: Readonly<Record<string, unknown>>, onDone: (outcome: RunOutcome) => void): Run {
    const run: Run = {
      invocation: { ...invocation, config: this.#configId(config) },
      config,
      lost: 0,
      cancelled: false,
      askedMs: sharedNowMs(),
      onDone,
    };
    this.#place(run);
    return run;
  }

  /** Says something of a script that is logged once a second at most. */
  complain(message: string): void {
    this.#log.warn("a script failed", message);
  }

  /** Ends every thread. Runs under way are never heard of again. */
  close(): void {
    this.#closed = true;
    this.#watch?.close();
    this.#retry?.cancel();
    this.#patience?.cancel();
    for (const thread of this.#threads) thread.end();
  }

  #configId(config: object): number {
    let id = this.#configs.get(config);
    if (id === undefined) this.#configs.set(config, (id = ++this.#configCount));
    return id;
  }

  #place(run: Run): void {
    if (run.cancelled || this.#closed) return;
    if (this.#current?.takes) return this.#current.start(run);
    if (this.#waiting.length >= maxWaiting)
      return later(run, failed("thread_ended", `${this.#limits.module}: too many requests wait for it`));
    this.#waiting.push(run);
    this.#beImpatient();
    this.#ensureNext();
  }

  // --- threads that serve ----------------------------------------------------------------------------------------------

  #ensureNext(): void {
    if (this.#current !== undefined || this.#next !== undefined || this.#retry !== undefined || this.#closed) return;
    if (this.#stalled.size >= maxStalled || this.#alive >= maxThreads) return;
    this.#next = this.#spawn(this.#sources);
  }

  /** Loads what the files hold now, beside what serves. */
  #reload(): void {
    if (this.#closed) return;
    if (this.#next !== undefined) this.#discard(this.#next);
    this.#retry?.cancel();
    this.#retry = undefined;
    this.#next = this.#spawn(undefined);
  }

  #spawn(sources: Sources | undefined): ScriptThread {
    const thread: ScriptThread = new ScriptThread(
      this.#limits,
      this.#deps.clock,
      {
        ...this.#reports(),
        onLoaded: (hooks, files, loaded) => {
          this.#watch?.add(files);
          if (sources === undefined) this.#stats.loaded.inc();
          this.#sources = loaded;
          this.#hooks = new Set(hooks);
          if (this.#problem !== undefined) this.#deps.logger.info("a script loads again", { module: this.#limits.module });
          this.#problem = undefined;
          this.#retryMs = 0;
          this.#current?.retire();
          this.#current = thread;
          this.#next = undefined;
          this.#settled();
          for (const run of this.#waiting.splice(0)) this.#place(run);
        },
        onUnloadable: (message, files) => {
          this.#threads.delete(thread);
          this.#next = undefined;
          this.#watch?.add(files);
          this.#onUnloadable(message, sources !== undefined);
        },
        onLost: (loss) => {
          this.#discard(thread);
          this.#onLost(loss);
        },
        onStalled: (waiting) => {
          this.#stalled.add(thread);
          if (this.#current === thread) this.#current = undefined;
          thread.retire();
          if (thread.over) this.#discard(thread);
          for (const run of waiting) this.#place(run);
        },
        onEnd: () => this.#discard(thread),
      },
      sources,
    );
    this.#threads.add(thread);
    this.#alive++;
    return thread;
  }

  #reports(): Pick<ThreadEvents, "onStray" | "onOutput" | "onGone"> {
    return {
      onGone: () => {
        this.#alive--;
        if (this.#waiting.length > 0) this.#ensureNext();
        if (!this.#closed) this.#isolate();
      },
      onStray: (message) => this.#log.warn("a script failed outside of its hooks", message),
      onOutput: (text) => this.#log.info("a script says", text),
    };
  }

  #discard(thread: ScriptThread): void {
    thread.end();
    this.#threads.delete(thread);
    this.#stalled.delete(thread);
    if (this.#current === thread) this.#current = undefined;
    if (this.#next === thread) this.#next = undefined;
    if (this.#waiting.length > 0) this.#ensureNext();
  }

  #onUnloadable(message: string, replacement: boolean): void {
    const { logger, quiet } = this.#deps;
    const serving = this.#hooks !== undefined;
    if (replacement || this.#problem !== message) {
      this.#stats.rejected.inc();
      const text = serving ? "a script does not load, the one of before stays" : "a script does not load, its requests fail";
      if (quiet) logger.debug(text, { problem: message });
      else logger.error(text, { problem: message });
    }
    this.#problem = message;
    this.#settled();
    if (this.#current !== undefined) return;
    for (const run of this.#waiting.splice(0)) later(run, failed("thread_ended", message));
    if (!serving) return;
    this.#retryMs = Math.min(maxRetryMs, this.#retryMs === 0 ? firstRetryMs : this.#retryMs * 2);
    this.#retry = this.#deps.clock.after(this.#retryMs, () => {
      this.#retry = undefined;
      this.#ensureNext();
    });
  }

  #settled(): void {
    for (const listener of this.#onSettled.splice(0)) listener();
  }

  // --- what was under way in a thread that is no more -------------------------------------------------------------------

  #onLost({ failure, guilty, begun, waiting }: Loss): void {
    this.#stats.restarts.inc();
    if (this.#closed) return;
    if (guilty !== undefined) finish(guilty, failed(failure, `${this.#limits.module}: ${reasons[failure]}`));
    for (const run of begun) {
      this.#stats.rerun.inc();
      run.lost++;
      if (guilty !== undefined && run.lost <= maxLost) this.#place(run);
      else this.#suspects.push(run);
    }
    for (const run of waiting) this.#place(run);
    if (this.#current === undefined) this.#ensureNext();
    this.#isolate();
  }

  /** Runs suspects one by one in threads of their own: whoever ends one there was alone in it. */
  #isolate(): void {
    if (this.#suspects.length > 0) this.#beImpatient();
    while (this.#suspects.length > this.#free() && this.#isolated.size < maxIsolated && this.#alive < maxThreads) this.#startIsolated();
    for (const [thread, run] of this.#isolated) if (run === undefined && thread.takes) this.#giveSuspect(thread);
  }

  #free(): number {
    return [...this.#isolated.values()].filter((run) => run === undefined).length;
  }

  #startIsolated(): void {
    const thread: ScriptThread = new ScriptThread(
      this.#limits,
      this.#deps.clock,
      {
        ...this.#reports(),
        onLoaded: () => this.#giveSuspect(thread),
        onUnloadable: (message) => {
          this.#drop(thread);
          for (const run of this.#suspects.splice(0)) later(run, failed("thread_ended", message));
        },
        onLost: ({ failure }) => {
          const run = this.#isolated.get(thread);
          this.#drop(thread);
          this.#stats.restarts.inc();
          if (run !== undefined) finish(run, failed(failure, `${this.#limits.module}: ${reasons[failure]}`));
          this.#isolate();
        },
        onStalled: (waiting) => void this.#suspects.push(...waiting),
        onEnd: () => this.#drop(thread),
      },
      this.#sources,
    );
    this.#threads.add(thread);
    this.#alive++;
    this.#isolated.set(thread, undefined);
  }

  #giveSuspect(thread: ScriptThread): void {
    const run = this.#suspects.shift();
    if (run === undefined) return this.#drop(thread);
    this.#isolated.set(thread, run);
    const { onDone } = run;
    thread.start({
      ...run,
      onDone: (outcome) => {
        this.#isolated.set(thread, undefined);
        if (!run.cancelled) onDone(outcome);
        if (!this.#closed && this.#isolated.has(thread)) this.#giveSuspect(thread);
      },
    });
  }

  #drop(thread: ScriptThread): void {
    thread.end();
    this.#threads.delete(thread);
    this.#isolated.delete(thread);
  }

  /** Fails what has waited for too long. */
  #beImpatient(): void {
    this.#patience ??= this.#deps.clock.after(patienceTickMs, () => {
      this.#patience = undefined;
      const before = sharedNowMs() - Math.max(leastPatienceMs, patience * this.#limits.timeoutMs);
      for (const queue of [this.#waiting, this.#suspects]) {
        const late = queue.filter((run) => run.askedMs < before);
        if (late.length === 0) continue;
        queue.splice(0, queue.length, ...queue.filter((run) => run.askedMs >= before));
        for (const run of late) finish(run, failed("thread_ended", `${this.#limits.module}: no thread came to run it in time`));
      }
      if (this.#waiting.length + this.#suspects.length === 0) return;
      this.#ensureNext();
      this.#beImpatient();
    });
  }
}

const reasons: Readonly<Record<RunFailure, string>> = {
  exception: "threw",
  timeout: "kept its thread busy for longer than it may",
  out_of_memory: "took more memory than it may",
  thread_ended: "ended its thread",
};

function failed(failure: RunFailure, message: string): RunOutcome {
  return { ok: false, failure, message };
}

function finish(run: Run, outcome: RunOutcome): void {
  if (!run.cancelled) run.onDone(outcome);
}

/** Never within the call that asked. */
function later(run: Run, outcome: RunOutcome): void {
  queueMicrotask(() => finish(run, outcome));
}
