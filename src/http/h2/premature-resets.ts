// Notices a client that opens streams only to reset them (CVE-2023-44487), by Envoy's rule: half or more of its streams.

// Envoy's defaults of overload.premature_reset_total_stream_count and overload.premature_reset_min_stream_lifetime_seconds.
const judgedFrom = 500;
const shortMs = 1000;

/** The streams of one connection. */
export class PrematureResets {
  #closed = 0;
  #premature = 0;

  /**
   * A stream is over.
   * @param unansweredMs how long it was open when its client reset it before any answer; undefined: it ended otherwise
   * @returns true when the connection should end
   */
  onClosed(unansweredMs: number | undefined): boolean {
    this.#closed++;
    if (unansweredMs !== undefined && unansweredMs < shortMs) this.#premature++;
    return this.#premature * 2 >= Math.max(judgedFrom, this.#closed);
  }
}
