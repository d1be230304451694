// Whether all upstream servers are silent at present. Knows no sockets.

/** Milliseconds after which one question waits for its whole deadline again, in case that the servers are back but slow. */
const PROBE_AFTER_MS = 10_000;

/** The silence of all servers together. */
export class Silence {
  #lastReplyMs = -Infinity;
  /** The next question from then on finds out; undefined: they are not silent. */
  #probeAtMs: number | undefined;

  /** A server replied, or there are other servers. */
  broken(nowMs: number): void {
    this.#lastReplyMs = nowMs;
    this.#probeAtMs = undefined;
  }

  /** A question had no reply until `nowMs`; it says nothing about the servers when another one had. */
  lasted(startedMs: number, nowMs: number): void {
    if (this.#lastReplyMs <= startedMs) this.#probeAtMs ??= nowMs + PROBE_AFTER_MS;
  }

  /** Whether a question that comes now is not to wait long. One that is to find out holds the others off for its `deadlineMs`. */
  holds(nowMs: number, deadlineMs: number): boolean {
    if (this.#probeAtMs === undefined) return false;
    if (nowMs < this.#probeAtMs) return true;
    this.#probeAtMs = nowMs + Math.max(deadlineMs, PROBE_AFTER_MS);
    return false;
  }
}
