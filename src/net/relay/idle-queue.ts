// Which connection may be idle for too long next: a binary heap by deadline that is corrected lazily, so that traffic on a
// connection costs it nothing but writing its own stamp.

/** Something that can idle. */
export interface Idler {
  /** When the last byte moved. */
  activeMs: number;
  /** 0 = may idle for ever. */
  readonly idleTimeoutMs: number;
  /** True once it is over; it then leaves the queue by itself. */
  readonly ended: boolean;
}

interface Entry {
  deadlineMs: number;
  readonly idler: Idler;
}

/** A queue of idlers. */
export class IdleQueue<T extends Idler> {
  readonly #heap: Entry[] = [];

  /** Watches an idler until it has ended. */
  add(idler: T): void {
    if (idler.idleTimeoutMs > 0) this.#push({ deadlineMs: idler.activeMs + idler.idleTimeoutMs, idler });
  }

  /** Milliseconds until `expired` may have something to say, at most `limitMs`. */
  waitMs(nowMs: number, limitMs: number): number {
    const first = this.#heap[0];
    return first ? Math.max(0, Math.min(limitMs, first.deadlineMs - nowMs)) : limitMs;
  }

  /** Takes out and returns one idler whose time is up, or undefined. */
  expired(nowMs: number): T | undefined {
    for (let first = this.#heap[0]; first && first.deadlineMs <= nowMs; first = this.#heap[0]) {
      const { idler } = first;
      this.#pop();
      if (idler.ended) continue;
      const deadlineMs = idler.activeMs + idler.idleTimeoutMs;
      if (deadlineMs <= nowMs) return idler as T;
      this.#push({ deadlineMs, idler });
    }
    return undefined;
  }

  #push(entry: Entry): void {
    let at = this.#heap.length;
    this.#heap.push(entry);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = this.#heap[parent] as Entry;
      if (above.deadlineMs <= entry.deadlineMs) break;
      this.#heap[at] = above;
      at = parent;
    }
    this.#heap[at] = entry;
  }

  #pop(): void {
    const last = this.#heap.pop() as Entry;
    const size = this.#heap.length;
    if (size === 0) return;
    let at = 0;
    for (let child = 1; child < size; child = 2 * at + 1) {
      const right = child + 1;
      const least = right < size && (this.#heap[right] as Entry).deadlineMs < (this.#heap[child] as Entry).deadlineMs ? right : child;
      if ((this.#heap[least] as Entry).deadlineMs >= last.deadlineMs) break;
      this.#heap[at] = this.#heap[least] as Entry;
      at = least;
    }
    this.#heap[at] = last;
  }
}
