// A bound for runs that wait for a thread: whatever was not foreseen, nobody waits for ever.
import type { Clock, Timer } from "../../../clock.ts";
import { sharedNowMs } from "./messages.ts";
import { failed, finish, type Run, type ThreadLimits } from "./run.ts";

/** How long a run may go without being done, in units of its time limit, and at least. */
const timeouts = 6;
const leastMs = 5_000;
const tickMs = 250;

/** What is given to patience. */
export interface PatienceDeps {
  readonly limits: ThreadLimits;
  readonly clock: Clock;
  /** Where runs wait. */
  readonly queues: readonly Run[][];
  /** Some wait still. */
  readonly onWaiting: () => void;
}

/** Looks at queues now and then while anything is in them. */
export class Patience {
  readonly #deps: PatienceDeps;
  #timer: Timer | undefined;

  constructor(deps: PatienceDeps) {
    this.#deps = deps;
  }

  /** Something waits. */
  begin(): void {
    this.#timer ??= this.#deps.clock.after(tickMs, () => {
      this.#timer = undefined;
      this.#failLate();
      if (this.#deps.queues.every((queue) => queue.length === 0)) return;
      this.#deps.onWaiting();
      this.begin();
    });
  }

  /** Looks no more. */
  end(): void {
    this.#timer?.cancel();
  }

  #failLate(): void {
    const { limits, queues } = this.#deps;
    const beforeMs = sharedNowMs() - Math.max(leastMs, timeouts * limits.timeoutMs);
    for (const queue of queues) {
      const late = queue.filter((run) => run.askedMs < beforeMs);
      if (late.length === 0) continue;
      queue.splice(0, queue.length, ...queue.filter((run) => run.askedMs >= beforeMs));
      for (const run of late) finish(run, failed("thread_ended", `${limits.module}: no thread came to run it in time`));
    }
  }
}
