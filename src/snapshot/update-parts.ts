// Splits a big publish: a thread reads and makes the first clusters while the others are still being written for it, and serves its
// connections in between instead of holding them for the second that ten thousand clusters take.
import type { ResourceUpdate, SnapshotUpdate } from "./update.ts";

/** What may come before the rest: nothing leads to a cluster that is new, and one that changes may do so at once. */
export type UpdateAhead = Pick<SnapshotUpdate, "secrets" | "endpoints" | "clusters">;

/** A publish in the order in which its parts are to be applied. */
export interface UpdateParts {
  readonly ahead: readonly UpdateAhead[];
  /** Routes, listeners, and whatever goes. */
  readonly rest: SnapshotUpdate;
}

const none: ResourceUpdate<never> = { set: [], removed: [] };

/**
 * Splits what an update sets.
 * @param size resources a part; an update of fewer stays in one piece
 */
export function splitUpdate(update: SnapshotUpdate, size: number): UpdateParts {
  if (update.endpoints.set.length + update.clusters.set.length <= size) return { ahead: [], rest: update };
  const { secrets, endpoints, clusters } = update;
  const ahead: UpdateAhead[] = [
    // A new secret may be waited for by a cluster that stays; one that goes is still used by a cluster of before.
    { secrets: additions(secrets), endpoints: none, clusters: none },
    // Assignments first, so that a new cluster finds its endpoints.
    ...slices(endpoints, size).map((part) => ({ secrets: none, endpoints: part, clusters: none })),
    ...slices(clusters, size).map((part) => ({ secrets: none, endpoints: none, clusters: part })),
  ];
  return { ahead, rest: { ...update, secrets: removals(secrets), endpoints: removals(endpoints), clusters: removals(clusters) } };
}

function slices<T>({ set }: ResourceUpdate<T>, size: number): ResourceUpdate<T>[] {
  return Array.from({ length: Math.ceil(set.length / size) }, (_, index) => ({
    set: set.slice(index * size, (index + 1) * size),
    removed: [],
  }));
}

/** What an update adds or replaces. */
export const additions = <T>({ set }: ResourceUpdate<T>): ResourceUpdate<T> => ({ set, removed: [] });

/** What it takes away. */
export const removals = <T>({ removed }: ResourceUpdate<T>): ResourceUpdate<T> => ({ set: [], removed });
