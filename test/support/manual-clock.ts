// A clock that stands still until a test moves it.
import type { Clock, Timer } from "../../src/clock.ts";

/** A clock whose timers fire inside `advance`. */
export interface ManualClock extends Clock {
  /** Moves time on, firing what falls due, in order. */
  advance(ms: number): void;
  /** Timers that have not fired and were not cancelled. */
  pending(): number;
}

/** Makes a clock at 0 monotonic milliseconds and a fixed wall time. */
export function manualClock(wallStartMs = Date.UTC(2026, 0, 1)): ManualClock {
  let now = 0;
  const timers = new Set<{ readonly atMs: number; readonly fire: () => void }>();
  return {
    nowMs: () => now,
    wallMs: () => wallStartMs + now,
    after: (delayMs, fire): Timer => {
      const timer = { atMs: now + delayMs, fire };
      timers.add(timer);
      return { cancel: () => void timers.delete(timer) };
    },
    pending: () => timers.size,
    advance: (ms) => {
      const end = now + ms;
      for (;;) {
        const due = [...timers].filter((timer) => timer.atMs <= end).toSorted((a, b) => a.atMs - b.atMs)[0];
        if (due === undefined) break;
        timers.delete(due);
        now = due.atMs;
        due.fire();
      }
      now = end;
    },
  };
}
