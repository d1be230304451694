// Whether this worker is going away, as filters see it.
import type { DrainState } from "../filter/filter.ts";

/** The drain state of one worker. Draining starts once and does not end; failing health checks, which looks the same to clients, may. */
export class WorkerDrain implements DrainState {
  readonly #listeners = new Set<() => void>();
  #draining = false;
  #failing = false;

  get draining(): boolean {
    return this.#draining || this.#failing;
  }

  /** Health checks fail from now on, or no more, and connections are told to close meanwhile. */
  failHealthChecks(failing: boolean): void {
    this.#failing = failing;
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
