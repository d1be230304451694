// A token bucket that fills continuously, as Envoy's does: tokens_per_fill spread over fill_interval. One worker's own.
import type { Clock } from "../../../clock.ts";
import type { TokenBucket as TokenBucketModel } from "../../../envoy/http-filter/local-ratelimit.ts";

/** A token bucket, full at first. */
export class TokenBucket {
  readonly maxTokens: number;
  /** How fast it fills. */
  readonly tokensPerMs: number;
  readonly #clock: Clock;
  #tokens: number;
  #atMs: number;

  constructor(model: TokenBucketModel, clock: Clock) {
    this.maxTokens = model.maxTokens;
    this.tokensPerMs = model.tokensPerFill / model.fillIntervalMs;
    this.#clock = clock;
    this.#tokens = model.maxTokens;
    this.#atMs = clock.nowMs();
  }

  /** Takes a token; false when there is none. */
  take(): boolean {
    this.#fill();
    if (this.#tokens < 1) return false;
    this.#tokens--;
    return true;
  }

  /** Whole tokens left. */
  get remaining(): number {
    this.#fill();
    return Math.floor(this.#tokens);
  }

  /** Seconds until there is a token again, rounded up; 0 when there is one. */
  get resetSeconds(): number {
    this.#fill();
    return this.#tokens >= 1 ? 0 : Math.ceil((1 - this.#tokens) / this.tokensPerMs / 1000);
  }

  #fill(): void {
    const now = this.#clock.nowMs();
    this.#tokens = Math.min(this.maxTokens, this.#tokens + (now - this.#atMs) * this.tokensPerMs);
    this.#atMs = now;
  }
}
