// What changed from one snapshot to the next, as the workers get it.
import type { ResourceMap, Snapshot } from "./snapshot.ts";
import type { ResourceUpdate, SnapshotUpdate } from "./update.ts";

function diff<T>(previous: ResourceMap<T> | undefined, next: ResourceMap<T>): ResourceUpdate<T> {
  return {
    set: [...next.values()].filter((resource) => previous?.get(resource.name)?.version !== resource.version),
    removed: [...(previous?.keys() ?? [])].filter((name) => !next.has(name)),
  };
}

/** The difference; everything when there is no snapshot before. */
export function diffSnapshots(previous: Snapshot | undefined, next: Snapshot): SnapshotUpdate {
  return {
    version: next.version,
    secrets: diff(previous?.secrets, next.secrets),
    endpoints: diff(previous?.endpoints, next.endpoints),
    clusters: diff(previous?.clusters, next.clusters),
    routes: diff(previous?.routes, next.routes),
    listeners: diff(previous?.listeners, next.listeners),
  };
}

/** True when nothing changed. */
export function isEmptyUpdate(update: SnapshotUpdate): boolean {
  return [update.secrets, update.endpoints, update.clusters, update.routes, update.listeners].every(
    ({ set, removed }) => set.length === 0 && removed.length === 0,
  );
}
