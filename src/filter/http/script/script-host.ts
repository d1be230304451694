// A script on one worker: which thread runs it, what becomes of runs whose thread had to be ended, and how a changed module takes over.
// One bad request must not hurt another: what was under way beside it is run again, and whoever may be to blame is run again alone.
import type { Clock, Timer } from "../../../clock.ts";
import type { Logger } from "../../../telemetry/logger.ts";
import type { StatsScope } from "../../../telemetry/stats.ts";
import { Isolation } from "./isolation.ts";
import { type Hook, type Invocation, sharedNowMs, type Sources } from "./messages.ts";
import { ModuleWatch } from "./module-watch.ts";
import { QuietLog } from "./quiet-log.ts";
import { Patience } from "./patience.ts";
import { endedThread, failed, finish, finishLater, type Run, type RunOutcome, type ThreadLimits } from "./run.ts";
import type { Loss, ScriptThread } from "./script-thread.ts";
import { ThreadRoster } from "./thread-roster.ts";

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
/** Who was beside a known culprit this often is run alone, where nobody can disturb it. */
const maxLost = 2;
/** Between tries to start a thread that does not start. */
const firstRetryMs = 100;
const maxRetryMs = 5_000;

/** A script and its threads. */
export class ScriptHost {
  readonly #limits: ThreadLimits;
  readonly #deps: ScriptHostDeps;
  readonly #log: QuietLog;
  readonly #stats;
  readonly #roster: ThreadRoster;
  readonly #isolation: Isolation;
  readonly #patience: Patience;
  readonly #stalled = new Set<ScriptThread>();
  readonly #waiting: Run[] = [];
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
    this.#roster = new ThreadRoster({ limits, clock: deps.clock, log: this.#log, onGone: () => this.#onGone() });
    this.#isolation = new Isolation({
      limits,
      roster: this.#roster,
      sources: () => this.#sources,
      onRestart: () => this.#stats.restarts.inc(),
      onWaiting: () => this.#patience.begin(),
    });
    const queues = [this.#waiting, this.#isolation.suspects];
    this.#patience = new Patience({ limits, clock: deps.clock, queues, onWaiting: () => this.#ensureNext() });
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
    this.#patience.end();
    this.#isolation.close();
    this.#roster.endAll();
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
      return finishLater(run, failed("thread_ended", `${this.#limits.module}: too many requests wait for it`));
    this.#waiting.push(run);
    this.#patience.begin();
    this.#ensureNext();
  }

  // --- threads that serve ----------------------------------------------------------------------------------------------

  #ensureNext(): void {
    if (this.#current !== undefined || this.#next !== undefined || this.#retry !== undefined || this.#closed) return;
    if (this.#stalled.size >= maxStalled || this.#roster.full) return;
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
    const thread: ScriptThread = this.#roster.spawn(
      {
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
          this.#roster.end(thread);
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
    return thread;
  }

  #onGone(): void {
    if (this.#waiting.length > 0) this.#ensureNext();
    if (!this.#closed) this.#isolation.proceed();
  }

  #discard(thread: ScriptThread): void {
    this.#roster.end(thread);
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
    for (const run of this.#waiting.splice(0)) finishLater(run, failed("thread_ended", message));
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
    if (guilty !== undefined) finish(guilty, endedThread(this.#limits, failure));
    for (const run of begun) {
      this.#stats.rerun.inc();
      run.lost++;
      if (guilty !== undefined && run.lost <= maxLost) this.#place(run);
      else this.#isolation.suspects.push(run);
    }
    for (const run of waiting) this.#place(run);
    if (this.#current === undefined) this.#ensureNext();
    this.#isolation.proceed();
  }
}
