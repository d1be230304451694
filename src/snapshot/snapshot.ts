// Turns decoded resources into a snapshot: checks them together, drops what is wrong with a reason, gives each a version.
// A resource that is refused keeps its last good version when there is one. Nothing here has effects.
import { isDeepStrictEqual } from "node:util";
import type { RejectedResource, ResourceKind } from "../envoy/bootstrap-decoder.ts";
import type { Resources } from "../envoy/bootstrap.ts";
import type { Cluster } from "../envoy/cluster/cluster.ts";
import type { ClusterLoadAssignment } from "../envoy/cluster/endpoint.ts";
import type { Listener } from "../envoy/listener/listener.ts";
import type { RouteConfiguration } from "../envoy/route/route.ts";
import type { Secret } from "../envoy/tls/tls.ts";
import { checkListenerFormats, checkRouteFormats } from "./formats.ts";
import { checkFilters, type SupportedFilters } from "./filter-support.ts";
import { checkClusterReferences, checkListenerReferences, checkRoutes, type KnownNames } from "./references.ts";
import { checkAddresses, checkChains } from "./listener-checks.ts";
import { nextVersion, noteSound, patchSnapshot } from "./patch.ts";
import { type ResourceIssue, ResourceIssues } from "./resource-issue.ts";
import { ResourceTable } from "./resource-table.ts";
import type { Versioned } from "./update.ts";

/** An immutable view of everything configured. */
export interface Snapshot {
  /** Grows by one with each snapshot built on the one before. */
  readonly version: number;
  readonly listeners: ResourceTable<Listener>;
  readonly clusters: ResourceTable<Cluster>;
  readonly routes: ResourceTable<RouteConfiguration>;
  readonly endpoints: ResourceTable<ClusterLoadAssignment>;
  readonly secrets: ResourceTable<Secret>;
}

/** What a snapshot is built with. */
export interface SnapshotOptions extends SupportedFilters {
  /** Gives refused resources their last good version. */
  readonly previous?: Snapshot;
  /** Resources refused before, by the decoders. */
  readonly rejected?: readonly RejectedResource[];
  /** Secrets that come from elsewhere, e.g. the workload's own certificate. Default: none. */
  readonly externalSecret?: (name: string) => boolean;
  /** Clusters that routes may name though there are none, which is no news to anybody. Default: none. */
  readonly meantAbsent?: (cluster: string) => boolean;
}

/** A snapshot and everything found wrong on the way to it. */
export interface SnapshotResult {
  readonly snapshot: Snapshot;
  readonly issues: readonly ResourceIssue[];
}

interface Candidate<T> {
  readonly value: T;
  readonly issues: ResourceIssues;
}

const kindWords: Readonly<Record<ResourceKind, string>> = {
  listeners: "listener",
  clusters: "cluster",
  routes: "route configuration",
  endpoints: "load assignment",
  secrets: "secret",
};

// Resources by name in the order given; the second of a name is refused.
function byName<T>(
  kind: ResourceKind,
  values: readonly T[],
  nameOf: (value: T) => string,
  all: ResourceIssues[],
): Map<string, Candidate<T>> {
  const candidates = new Map<string, Candidate<T>>();
  const seen = new Map<string, number>();
  for (const value of values) {
    const name = nameOf(value);
    const occurrence = seen.get(name) ?? 0;
    seen.set(name, occurrence + 1);
    const issues = new ResourceIssues(kind, name, occurrence);
    all.push(issues);
    if (occurrence === 0) candidates.set(name, { value, issues });
    else issues.error(`a ${kindWords[kind]} named ${name} is already there`);
  }
  return candidates;
}

// What becomes of the candidates of one type, with last good versions for those refused.
function settle<T>(
  kind: ResourceKind,
  candidates: ReadonlyMap<string, Candidate<T>>,
  options: SnapshotOptions,
  previous: ResourceTable<T> | undefined,
): ResourceTable<T> {
  const version = String(nextVersion(options.previous));
  const settled = new Map<string, Versioned<T>>();
  for (const [name, { value, issues }] of candidates) {
    const before = previous?.get(name);
    // Mostly it is the same object, where the source remembers what it decoded; comparing stops at those.
    const kept = issues.failed || (before && isDeepStrictEqual(before.value, value)) ? before : { name, version, value };
    if (kept) settled.set(name, kept);
  }
  for (const refused of options.rejected ?? []) {
    const kept = refused.kind === kind && !settled.has(refused.name) ? previous?.get(refused.name) : undefined;
    if (kept) settled.set(refused.name, kept);
  }
  return new ResourceTable([...settled.values()]);
}

/** Builds a snapshot of `resources`. Issues come in the order clusters, endpoints, secrets, routes, listeners. */
export function buildSnapshot(resources: Resources, options: SnapshotOptions): SnapshotResult {
  const patched = patchSnapshot(resources, options);
  if (patched !== undefined) return patched;
  const missingSecrets = new Set<string>();
  const result = buildWhole(resources, options, missingSecrets);
  if (result.issues.length === missingSecrets.size) noteSound(result, missingSecrets, resources, options);
  return result;
}

function buildWhole(resources: Resources, options: SnapshotOptions, missingSecrets: Set<string>): SnapshotResult {
  const { previous } = options;
  const all: ResourceIssues[] = [];
  const clusters = byName("clusters", resources.clusters, (cluster) => cluster.name, all);
  const endpoints = byName("endpoints", resources.endpoints, (assignment) => assignment.clusterName, all);
  const secrets = byName("secrets", resources.secrets, (secret) => secret.name, all);
  const routes = byName("routes", resources.routes, (config) => config.name, all);
  const listeners = byName("listeners", resources.listeners, (listener) => listener.name, all);

  const settledEndpoints = settle("endpoints", endpoints, options, previous?.endpoints);
  const settledSecrets = settle("secrets", secrets, options, previous?.secrets);
  const settledClusters = settle("clusters", clusters, options, previous?.clusters);
  const refused = (options.rejected ?? []).filter((entry) => entry.kind === "clusters" && !settledClusters.has(entry.name));
  const known: KnownNames = {
    clusters: new Set(settledClusters.keys()),
    refusedClusters: new Set(refused.map((entry) => entry.name)),
    routes: new Set([...routes.keys(), ...namesKept("routes", options)]),
    endpoints: new Set(settledEndpoints.keys()),
    missingSecrets,
    secrets: (name) => settledSecrets.has(name) || options.externalSecret?.(name) === true,
    meantAbsent: options.meantAbsent ?? (() => false),
  };
  for (const { value, issues } of clusters.values()) checkClusterReferences(value, known, issues);
  for (const { value, issues } of routes.values()) {
    checkRoutes(value, known, issues, (host, route) => ["virtual_hosts", host, "routes", route]);
    checkRouteFormats(value, [], (issue) => issues.add(issue));
  }
  const settledRoutes = settle("routes", routes, options, previous?.routes);
  const checked = checkListeners(listeners, options, known, settledRoutes);
  const snapshot: Snapshot = {
    version: nextVersion(previous),
    listeners: settle("listeners", checked, options, previous?.listeners),
    clusters: settledClusters,
    routes: settledRoutes,
    endpoints: settledEndpoints,
    secrets: settledSecrets,
  };
  return { snapshot, issues: all.flatMap((entry) => entry.issues) };
}

function namesKept(kind: "routes", options: SnapshotOptions): readonly string[] {
  return (options.rejected ?? [])
    .filter((entry) => entry.kind === kind && options.previous?.[kind].has(entry.name))
    .map((entry) => entry.name);
}

function checkListeners(
  listeners: ReadonlyMap<string, Candidate<Listener>>,
  options: SnapshotOptions,
  known: KnownNames,
  routes: ResourceTable<RouteConfiguration>,
): ReadonlyMap<string, Candidate<Listener>> {
  const addresses = new Map<string, string>();
  const checked = new Map<string, Candidate<Listener>>();
  for (const [name, { value, issues }] of listeners) {
    const listener = checkFilters(value, options, (route) => routes.get(route)?.value, issues);
    checkListenerReferences(listener, known, issues);
    checkListenerFormats(listener, (issue) => issues.add(issue));
    checkChains(value, issues);
    checkAddresses(value, addresses, issues);
    checked.set(name, { value: listener, issues });
  }
  return checked;
}
