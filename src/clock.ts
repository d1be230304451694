// Time as an argument: everything that waits or stamps takes a Clock, so that tests advance it by hand.

/** A pending timer; `cancel` is idempotent. */
export interface Timer {
  cancel(): void;
}

/** The only source of time on the data path. */
export interface Clock {
  /** Monotonic milliseconds (fractional), for durations and deadlines. */
  nowMs(): number;
  /** Milliseconds since the epoch, for log stamps and `date` headers. */
  wallMs(): number;
  /** Calls `fire` once, `delayMs` from now. The timer does not keep the process alive. */
  after(delayMs: number, fire: () => void): Timer;
}

class NodeTimer implements Timer {
  readonly #timeout: NodeJS.Timeout;
  constructor(delayMs: number, fire: () => void) {
    // setTimeout turns delays past 2^31-1 ms into 1 ms; a deadline that far away is "never" for a proxy.
    this.#timeout = setTimeout(fire, Math.min(delayMs, 0x7fffffff)).unref();
  }
  cancel(): void {
    clearTimeout(this.#timeout);
  }
}

/** The real clock. */
export const systemClock: Clock = {
  nowMs: () => performance.now(),
  wallMs: () => Date.now(),
  after: (delayMs, fire) => new NodeTimer(delayMs, fire),
};
