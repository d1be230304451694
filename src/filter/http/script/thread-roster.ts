// The threads of a script that are in the process, whatever they are for: their number is bounded, and all of them end together.
import type { Clock } from "../../../clock.ts";
import type { Sources } from "./messages.ts";
import type { QuietLog } from "./quiet-log.ts";
import type { ThreadLimits } from "./run.ts";
import { ScriptThread, type ThreadEvents } from "./script-thread.ts";

/** Threads in all, with those that were ended and are still inside of a native call, which nobody can break off. */
const maxThreads = 12;

/** What a roster is given. */
export interface ThreadRosterDeps {
  readonly limits: ThreadLimits;
  readonly clock: Clock;
  readonly log: QuietLog;
  /** A thread is gone: there may be room for another. */
  readonly onGone: () => void;
}

/** What becomes of a thread is for its owner to hear. */
export type OwnedThreadEvents = Omit<ThreadEvents, "onGone" | "onStray" | "onOutput">;

/** The threads of a script. */
export class ThreadRoster {
  readonly #deps: ThreadRosterDeps;
  readonly #threads = new Set<ScriptThread>();
  #alive = 0;

  constructor(deps: ThreadRosterDeps) {
    this.#deps = deps;
  }

  /** There may be no more. */
  get full(): boolean {
    return this.#alive >= maxThreads;
  }

  /**
   * Starts a thread.
   * @param sources what to load instead of what the files hold now
   */
  spawn(events: OwnedThreadEvents, sources: Sources | undefined): ScriptThread {
    const { limits, clock, log } = this.#deps;
    const thread = new ScriptThread(
      limits,
      clock,
      {
        ...events,
        onGone: () => {
          this.#alive--;
          this.#deps.onGone();
        },
        onStray: (message) => log.warn("a script failed outside of its hooks", message),
        onOutput: (text) => log.info("a script says", text),
      },
      sources,
    );
    this.#threads.add(thread);
    this.#alive++;
    return thread;
  }

  /** Ends a thread; its runs are never heard of again. */
  end(thread: ScriptThread): void {
    thread.end();
    this.#threads.delete(thread);
  }

  /** Ends all of them. */
  endAll(): void {
    for (const thread of this.#threads) thread.end();
  }
}
