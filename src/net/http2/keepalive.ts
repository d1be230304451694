// PINGs of one HTTP/2 connection (Envoy's KeepaliveSettings): at an interval, and ahead of a request on a connection that was
// silent, so that a dead peer is noticed.
import type { Clock, Timer } from "../../clock.ts";
import { LazyDeadline } from "../deadline.ts";

/** When PINGs are sent. */
export interface KeepaliveOptions {
  /** Milliseconds from an answer to the next PING, 0 = never. */
  readonly keepaliveIntervalMs: number;
  /** How long an answer may take. */
  readonly keepaliveTimeoutMs: number;
  /** Share of the interval that is added to it at most, drawn each time. */
  readonly keepaliveJitter: number;
  /** A request after this many milliseconds of silence has a PING ahead of it, 0 = never. Clients only. */
  readonly keepaliveIdleMs: number;
}

/** What a connection does for its PINGs. */
export interface KeepaliveOwner {
  sendPing(): void;
  /** No answer, nor anything else, came in time. */
  onKeepaliveTimeout(): void;
}

/** The PINGs of a connection. */
export class Keepalive {
  readonly #options: KeepaliveOptions;
  readonly #owner: KeepaliveOwner;
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #deadline: LazyDeadline;
  #timer: Timer | undefined;
  #lastReadMs: number;

  /** @param random in [0, 1) */
  constructor(options: KeepaliveOptions, owner: KeepaliveOwner, clock: Clock, random: () => number = Math.random) {
    this.#options = options;
    this.#owner = owner;
    this.#clock = clock;
    this.#random = random;
    this.#deadline = new LazyDeadline(clock, () => owner.onKeepaliveTimeout());
    this.#lastReadMs = clock.nowMs();
    this.#arm();
  }

  /** Something came: the peer is alive, whenever its answer comes. Bytes before it may have held it up. */
  onRead(): void {
    if (this.#options.keepaliveIdleMs > 0) this.#lastReadMs = this.#clock.nowMs();
    if (this.#deadline.armed) this.#deadline.set(this.#options.keepaliveTimeoutMs);
  }

  /** An answer came. */
  onAnswer(): void {
    if (!this.#deadline.armed) return;
    this.#deadline.clear();
    this.#arm();
  }

  /** A request is about to be sent. */
  onRequest(): void {
    const { keepaliveIdleMs } = this.#options;
    if (keepaliveIdleMs > 0 && this.#clock.nowMs() - this.#lastReadMs > keepaliveIdleMs) this.#ping();
  }

  /** The connection is gone. */
  stop(): void {
    this.#timer?.cancel();
    this.#deadline.dispose();
  }

  #arm(): void {
    const { keepaliveIntervalMs, keepaliveJitter } = this.#options;
    this.#timer?.cancel();
    if (keepaliveIntervalMs <= 0) return;
    this.#timer = this.#clock.after(keepaliveIntervalMs * (1 + keepaliveJitter * this.#random()), () => this.#ping());
  }

  #ping(): void {
    // One at a time: the answer to the first tells as much.
    if (this.#deadline.armed) return;
    this.#timer?.cancel();
    this.#deadline.set(this.#options.keepaliveTimeoutMs);
    this.#owner.sendPing();
  }
}
