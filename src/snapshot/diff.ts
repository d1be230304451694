// What changed from one snapshot to the next, as the workers get it.
import { isDeepStrictEqual } from "node:util";
import type { RouteConfiguration } from "../envoy/route/route.ts";
import { alignLists } from "../kept-list.ts";
import type { ResourceTable } from "./resource-table.ts";
import type { Snapshot } from "./snapshot.ts";
import type { ResourceUpdate, RoutePatch, RouteUpdate, SnapshotUpdate, Versioned } from "./update.ts";

function diff<T>(previous: ResourceTable<T> | undefined, next: ResourceTable<T>): ResourceUpdate<T> {
  const before = previous?.list ?? [];
  const { start, end } = alignLists(before, next.list);
  const gone = new Map(before.slice(start, before.length - end).map((resource) => [resource.name, resource]));
  const come = next.list.slice(start, next.list.length - end);
  const set = come.filter((resource) => gone.get(resource.name)?.version !== resource.version);
  for (const { name } of come) gone.delete(name);
  return { set, removed: [...gone.keys()] };
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

function diffRoutes(previous: ResourceTable<RouteConfiguration> | undefined, next: ResourceTable<RouteConfiguration>): RouteUpdate {
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

// Most virtual hosts are the same objects as before, where the source remembers what it decoded. Their names differ, as the decoder
// refuses a table in which two are the same.
function patchOf(before: Versioned<RouteConfiguration>, after: Versioned<RouteConfiguration>): RoutePatch | undefined {
  const { virtualHosts: hostsBefore, ...levelBefore } = before.value;
  const { virtualHosts: hosts, ...level } = after.value;
  if (!isDeepStrictEqual(levelBefore, level)) return undefined;
  const { start, end } = alignLists(hostsBefore, hosts);
  const gone = new Map(hostsBefore.slice(start, hostsBefore.length - end).map((host) => [host.name, host]));
  const come = hosts.slice(start, hosts.length - end);
  const set = come.filter((host) => {
    const same = gone.get(host.name);
    return same === undefined || !isDeepStrictEqual(same, host);
  });
  if (set.length > hosts.length / 2) return undefined;
  for (const { name } of come) gone.delete(name);
  return { name: after.name, version: after.version, set, removed: [...gone.keys()] };
}

/** True when nothing changed. */
export function isEmptyUpdate(update: SnapshotUpdate): boolean {
  const { secrets, endpoints, clusters, routes, listeners } = update;
  return (
    routes.patched.length === 0 &&
    [secrets, endpoints, clusters, routes, listeners].every(({ set, removed }) => set.length === 0 && removed.length === 0)
  );
}
