// Earliest-deadline-first: a schedule in which an entry of weight w comes up w times as often as one of weight 1, evenly
// spread. A heap on flat arrays, so that a pick allocates nothing.

/** Schedules the indices 0..n-1. */
export class EdfSchedule {
  readonly #weightOf: (index: number) => number;
  readonly #deadlines: Float64Array;
  readonly #heap: Int32Array;

  /**
   * @param weightOf the weight an index has now; asked again each time it is rescheduled; at least a tiny positive number
   * @param random spreads the first deadlines, so that many proxies do not start with the same host
   */
  constructor(size: number, weightOf: (index: number) => number, random: () => number) {
    this.#weightOf = weightOf;
    this.#deadlines = new Float64Array(size);
    this.#heap = new Int32Array(size);
    for (let i = 0; i < size; i++) {
      this.#deadlines[i] = random() / weightOf(i);
      this.#heap[i] = i;
    }
    for (let at = (size >> 1) - 1; at >= 0; at--) this.#sink(at);
  }

  /** The index whose turn it is; it goes back into the schedule. Only for a schedule that is not empty. */
  next(): number {
    const index = this.#heap[0] as number;
    this.#deadlines[index] = (this.#deadlines[index] as number) + 1 / this.#weightOf(index);
    this.#sink(0);
    return index;
  }

  #sink(start: number): void {
    const heap = this.#heap;
    const deadlines = this.#deadlines;
    const moving = heap[start] as number;
    const deadline = deadlines[moving] as number;
    let at = start;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && (deadlines[heap[child + 1] as number] as number) < (deadlines[heap[child] as number] as number))
        child++;
      const candidate = heap[child] as number;
      if ((deadlines[candidate] as number) >= deadline) break;
      heap[at] = candidate;
      at = child;
    }
    heap[at] = moving;
  }
}
