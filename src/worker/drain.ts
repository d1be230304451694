// Whether this worker is going away, as filters see it.
import type { DrainState } from "../filter/filter.ts";

/** The drain state of one worker; it starts once and does not end. */
export class WorkerDrain implements DrainState {
  readonly #listeners = new Set<() => void>();
  #draining = false;

  get draining(): boolean {
    return this.#draining;
  }

  onDrain(listener: () => void): () => void {
    if (this.#draining) {
      listener();
      return () => undefined;
    }
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Starts draining; later calls do nothing. */
  start(): void {
    if (this.#draining) return;
    this.#draining = true;
    for (const listener of this.#listeners) listener();
    this.#listeners.clear();
  }
}
