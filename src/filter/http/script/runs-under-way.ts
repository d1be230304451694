// The runs that one thread was given and is not done with, and what the memory it shares says of them even while it does nothing else:
// which have been begun, which of them has the thread to itself, and for how long.
import { begunSlot, maxUnderWay, type RunBoard, runningSlot } from "./messages.ts";
import type { Run } from "./run.ts";

// As large as shared integers are.
const maxId = 0x7fff_ffff;

/** The runs of a thread, by id. */
export class RunsUnderWay {
  readonly #board: RunBoard;
  readonly #runs = new Map<number, Run>();
  #lastId = 0;

  constructor(board: RunBoard) {
    this.#board = board;
  }

  /** How many there are. */
  get size(): number {
    return this.#runs.size;
  }

  /** True while there may be more. */
  get takes(): boolean {
    return this.#runs.size < maxUnderWay;
  }

  /** The id of the run that was begun last: another one means that the thread gets on. */
  get lastBegun(): number {
    return Atomics.load(this.#board.numbers, begunSlot);
  }

  /** The run that has the thread to itself right now. */
  get running(): number | undefined {
    const id = Atomics.load(this.#board.numbers, runningSlot);
    return this.#runs.has(id) ? id : undefined;
  }

  /** Adds a run under the next id. */
  add(run: Run): number {
    const id = (this.#lastId = (this.#lastId % maxId) + 1);
    this.#runs.set(id, run);
    return id;
  }

  /** A run. */
  get(id: number): Run | undefined {
    return this.#runs.get(id);
  }

  /** Takes a run out. */
  remove(id: number): Run | undefined {
    const run = this.#runs.get(id);
    this.#runs.delete(id);
    return run;
  }

  /** Forgets all of them. */
  clear(): void {
    this.#runs.clear();
  }

  /** Milliseconds since a run was begun. */
  ageOf(id: number, nowMs: number): number {
    return nowMs - this.#board.starts[id % maxUnderWay]!;
  }

  /** Those begun at least `ageMs` ago. */
  begunBefore(nowMs: number, ageMs: number): readonly number[] {
    return [...this.#runs.keys()].filter((id) => this.#isBegun(id) && this.ageOf(id, nowMs) >= ageMs);
  }

  /** Those not begun yet. */
  notBegun(): readonly number[] {
    return [...this.#runs.keys()].filter((id) => !this.#isBegun(id));
  }

  /** Those somebody still waits for, but for `guilty`: begun, and not begun. */
  split(guilty: Run | undefined): { readonly begun: readonly Run[]; readonly waiting: readonly Run[] } {
    const begun: Run[] = [];
    const waiting: Run[] = [];
    for (const [id, run] of this.#runs) {
      if (run !== guilty && !run.cancelled) (this.#isBegun(id) ? begun : waiting).push(run);
    }
    return { begun, waiting };
  }

  // Ids begin again after a while; those under way lie close together.
  #isBegun(id: number): boolean {
    const begun = this.lastBegun;
    return id <= begun ? begun - id < maxId / 2 : id - begun > maxId / 2;
  }
}
