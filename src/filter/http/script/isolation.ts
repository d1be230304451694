// Runs that may be to blame for the end of a thread, one by one in threads of their own: whoever ends one there was alone in it.
import type { Sources } from "./messages.ts";
import { endedThread, failed, finish, finishLater, type Run, type ThreadLimits } from "./run.ts";
import type { ScriptThread } from "./script-thread.ts";
import type { ThreadRoster } from "./thread-roster.ts";

/** Threads that run one suspect at a time. */
const maxIsolated = 2;

/** What isolation is given. */
export interface IsolationDeps {
  readonly limits: ThreadLimits;
  readonly roster: ThreadRoster;
  /** What serves now. */
  readonly sources: () => Sources | undefined;
  /** A thread was ended. */
  readonly onRestart: () => void;
  /** Suspects wait for a thread. */
  readonly onWaiting: () => void;
}

/** The suspects of a script. */
export class Isolation {
  /** Those that wait for a thread. */
  readonly suspects: Run[] = [];
  readonly #deps: IsolationDeps;
  readonly #threads = new Map<ScriptThread, Run | undefined>();
  #closed = false;

  constructor(deps: IsolationDeps) {
    this.#deps = deps;
  }

  /** Gives suspects to threads, as far as there may be any. */
  proceed(): void {
    if (this.suspects.length > 0) this.#deps.onWaiting();
    while (this.suspects.length > this.#free() && this.#threads.size < maxIsolated && !this.#deps.roster.full) this.#spawn();
    for (const [thread, run] of this.#threads) if (run === undefined && thread.takes) this.#give(thread);
  }

  /** No suspect is given to a thread any more. */
  close(): void {
    this.#closed = true;
  }

  #free(): number {
    return [...this.#threads.values()].filter((run) => run === undefined).length;
  }

  #spawn(): void {
    const { limits, roster, sources, onRestart } = this.#deps;
    const thread: ScriptThread = roster.spawn(
      {
        onLoaded: () => this.#give(thread),
        onUnloadable: (message) => {
          this.#drop(thread);
          for (const run of this.suspects.splice(0)) finishLater(run, failed("thread_ended", message));
        },
        onLost: ({ failure }) => {
          const run = this.#threads.get(thread);
          this.#drop(thread);
          onRestart();
          if (run !== undefined) finish(run, endedThread(limits, failure));
          this.proceed();
        },
        onStalled: (waiting) => void this.suspects.push(...waiting),
        onEnd: () => this.#drop(thread),
      },
      sources(),
    );
    this.#threads.set(thread, undefined);
  }

  #give(thread: ScriptThread): void {
    const run = this.suspects.shift();
    if (run === undefined) return this.#drop(thread);
    this.#threads.set(thread, run);
    thread.start({
      ...run,
      onDone: (outcome) => {
        this.#threads.set(thread, undefined);
        finish(run, outcome);
        if (!this.#closed && this.#threads.has(thread)) this.#give(thread);
      },
    });
  }

  #drop(thread: ScriptThread): void {
    this.#deps.roster.end(thread);
    this.#threads.delete(thread);
  }
}
