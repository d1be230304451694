// A deadline that moves on every request without touching a timer: setting a later one or clearing it only writes a number,
// and the one underlying timer finds out when it fires.
import type { Clock, Timer } from "../clock.ts";

/** Calls back once when the deadline set last has passed; see the file comment for why it is cheap. */
export class LazyDeadline {
  readonly #clock: Clock;
  readonly #onExpired: () => void;
  // Infinity: no deadline.
  #deadlineMs = Infinity;
  #timer: Timer | undefined;
  #firesMs = Infinity;
  readonly #fire = (): void => this.#onTimer();

  constructor(clock: Clock, onExpired: () => void) {
    this.#clock = clock;
    this.#onExpired = onExpired;
  }

  /** True while a deadline is pending. */
  get armed(): boolean {
    return this.#deadlineMs !== Infinity;
  }

  /**
   * Moves the deadline to `delayMs` from now.
   * @param nowMs the clock's time, from a caller that has just asked for it
   */
  set(delayMs: number, nowMs: number = this.#clock.nowMs()): void {
    const deadlineMs = nowMs + delayMs;
    this.#deadlineMs = deadlineMs;
    if (deadlineMs >= this.#firesMs) return;
    this.#timer?.cancel();
    this.#arm(delayMs, deadlineMs);
  }

  /** Takes the deadline away; a timer may stay behind and does nothing. */
  clear(): void {
    this.#deadlineMs = Infinity;
  }

  /** Takes deadline and timer away, so that nothing keeps the owner in memory. For the end of the owner's life. */
  dispose(): void {
    this.clear();
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#firesMs = Infinity;
  }

  #arm(delayMs: number, firesMs: number): void {
    this.#firesMs = firesMs;
    this.#timer = this.#clock.after(delayMs, this.#fire);
  }

  #onTimer(): void {
    this.#timer = undefined;
    this.#firesMs = Infinity;
    if (this.#deadlineMs === Infinity) return;
    // Timers may fire a fraction of a millisecond early against the monotonic clock; half a millisecond is not worth another round.
    const leftMs = this.#deadlineMs - this.#clock.nowMs();
    if (leftMs > 0.5) {
      this.#arm(leftMs, this.#deadlineMs);
      return;
    }
    this.#deadlineMs = Infinity;
    this.#onExpired();
  }
}
