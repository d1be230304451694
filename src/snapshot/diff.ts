// What changed from one snapshot to the next, as the workers get it.
import { isDeepStrictEqual } from "node:util";
import type { RouteConfiguration } from "../envoy/route/route.ts";
import type { ResourceMap, Snapshot } from "./snapshot.ts";
import type { ResourceUpdate, RoutePatch, RouteUpdate, SnapshotUpdate, Versioned } from "./update.ts";

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
    routes: diffRoutes(previous?.routes, next.routes),
    listeners: diff(previous?.listeners, next.listeners),
  };
}

function diffRoutes(previous: ResourceMap<RouteConfiguration> | undefined, next: ResourceMap<RouteConfiguration>): RouteUpdate {
  const { set, removed } = diff(previous, next);
  const whole: Versioned<RouteConfiguration>[] = [];
  const patched: RoutePatch[] = [];
  for (const config of set) {
    const before = previous?.get(config.name);
    const patch = before && patchOf(before, config);
    if (patch === undefined) whole.push(config);
    else patched.push(patch);
  }
  return { set: whole, removed, patched };
}

// Most virtual hosts are the same objects as before, where the source remembers what it decoded.
function patchOf(before: Versioned<RouteConfiguration>, after: Versioned<RouteConfiguration>): RoutePatch | undefined {
  const { virtualHosts: hostsBefore, ...levelBefore } = before.value;
  const { virtualHosts: hosts, ...level } = after.value;
  if (!isDeepStrictEqual(levelBefore, level)) return undefined;
  const known = new Map(hostsBefore.map((host) => [host.name, host]));
  const names = new Set(hosts.map((host) => host.name));
  // Without a name of its own a host cannot be told from others.
  if (known.size !== hostsBefore.length || names.size !== hosts.length) return undefined;
  const set = hosts.filter((host) => {
    const same = known.get(host.name);
    return same === undefined || !isDeepStrictEqual(same, host);
  });
  if (set.length > hosts.length / 2) return undefined;
  const removed = [...known.keys()].filter((name) => !names.has(name));
  return { name: after.name, version: after.version, set, removed };
}

/** True when nothing changed. */
export function isEmptyUpdate(update: SnapshotUpdate): boolean {
  const { secrets, endpoints, clusters, routes, listeners } = update;
  return (
    routes.patched.length === 0 &&
    [secrets, endpoints, clusters, routes, listeners].every(({ set, removed }) => set.length === 0 && removed.length === 0)
  );
}
