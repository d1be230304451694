// What scripts say, a few lines a second at most: one that fails for every request must not fill the log.
import type { Clock } from "../../../clock.ts";
import type { Logger } from "../../../telemetry/logger.ts";

const windowMs = 1_000;
const linesPerWindow = 10;
const maxChars = 2_000;

/** A log that leaves out what comes too often, and says how much. */
export class QuietLog {
  readonly #clock: Clock;
  readonly #logger: Logger;
  #windowMs = -Infinity;
  #lines = 0;
  #left = 0;

  constructor(clock: Clock, logger: Logger) {
    this.#clock = clock;
    this.#logger = logger;
  }

  warn(message: string, problem: string): void {
    if (this.#admits()) this.#logger.warn(message, { problem: problem.slice(0, maxChars), ...this.#leftOut() });
  }

  info(message: string, text: string): void {
    for (const line of text.slice(0, maxChars).split("\n"))
      if (line !== "" && this.#admits()) this.#logger.info(message, { text: line, ...this.#leftOut() });
  }

  #admits(): boolean {
    const nowMs = this.#clock.nowMs();
    if (nowMs - this.#windowMs >= windowMs) {
      this.#windowMs = nowMs;
      this.#lines = 0;
    }
    if (this.#lines++ < linesPerWindow) return true;
    this.#left++;
    return false;
  }

  #leftOut(): { readonly leftOut?: number } {
    const left = this.#left;
    this.#left = 0;
    return left === 0 ? {} : { leftOut: left };
  }
}
