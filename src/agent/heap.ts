// Collects the garbage of a small configuration. The main thread's heap starts with room for a big one (scripts/isthmus), which V8 would let
// a small one fill with what years of changes left behind.
import type { Clock } from "../clock.ts";

/** A heap that may be collected. */
export interface Heap {
  /** Bytes in use, garbage included. */
  used(): number;
  /** Collects all of it, while everything else of this thread waits. */
  collect(): void;
}

const lookMs = 30_000;
/** Above this V8 goes by itself: a collection at once would hold probes and admin requests up for more than some tens of milliseconds. */
const smallBytes = 64 * 2 ** 20;
/** What may have gathered before it is worth it. */
const garbageBytes = 64 * 2 ** 20;

/** Looks twice a minute; ends with the process. Does nothing in one that was started without `--expose-gc`. */
export function keepHeapSmall(clock: Clock, heap: Heap | undefined = ownHeap()): void {
  if (heap === undefined || heap.used() > smallBytes + garbageBytes) return;
  heap.collect();
  let live = heap.used();
  const look = (): void => {
    if (live > smallBytes) return;
    if (heap.used() > live + garbageBytes) {
      heap.collect();
      live = heap.used();
    }
    clock.after(lookMs, look);
  };
  look();
}

function ownHeap(): Heap | undefined {
  const { gc } = globalThis;
  return gc === undefined ? undefined : { used: () => process.memoryUsage().heapUsed, collect: () => gc() };
}
