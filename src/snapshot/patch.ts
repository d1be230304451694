// A snapshot made from the one before when few resources differ, at the cost of those: what stayed the same object was found sound
// then, and what it refers to is still there. Whenever there is anything to report, the whole is checked as if it were new.
import { isDeepStrictEqual } from "node:util";
import type { Resources } from "../envoy/bootstrap.ts";
import type { Cluster } from "../envoy/cluster/cluster.ts";
import type { ClusterLoadAssignment } from "../envoy/cluster/endpoint.ts";
import type { Listener } from "../envoy/listener/listener.ts";
import type { RouteConfiguration, VirtualHost } from "../envoy/route/route.ts";
import type { Secret } from "../envoy/tls/tls.ts";
import { alignLists, KeptIndex } from "../kept-list.ts";
import { checkFilters } from "./filter-support.ts";
import { checkListenerFormats, checkRouteFormats } from "./formats.ts";
import { checkAddresses, checkChains } from "./listener-checks.ts";
import { checkClusterReferences, checkListenerReferences, checkRoutes, type KnownNames } from "./references.ts";
import { type ResourceIssue, ResourceIssues } from "./resource-issue.ts";
import { ResourceTable } from "./resource-table.ts";
import type { Snapshot, SnapshotOptions, SnapshotResult } from "./snapshot.ts";
import type { Versioned } from "./update.ts";

/** The number of the snapshot that comes after. */
export const nextVersion = (previous: Snapshot | undefined): number => (previous?.version ?? 0) + 1;

/** Indexes that are carried from snapshot to snapshot, as only the newest is built upon. */
interface Indexes {
  readonly clusters: KeptIndex<Cluster, string>;
  readonly endpoints: KeptIndex<ClusterLoadAssignment, string>;
  readonly routes: KeptIndex<RouteConfiguration, string>;
  readonly listeners: KeptIndex<Listener, string>;
}

/** A snapshot with nothing wrong but secrets that are not there yet, and what it was made of. */
interface Sound {
  /** One for each missing secret. */
  readonly issues: readonly ResourceIssue[];
  readonly missingSecrets: ReadonlySet<string>;
  readonly resources: Resources;
  readonly indexes: Indexes;
  /** Every EDS cluster asks for the endpoints of its own name, so that names tell who misses some. */
  readonly ownEndpoints: boolean;
  readonly supported: readonly unknown[];
}

const sound = new WeakMap<Snapshot, Sound>();

const supportedBy = (options: SnapshotOptions): readonly unknown[] => [
  options.supportedHttpFilters,
  options.supportedListenerFilters,
  options.supportedNetworkFilters,
];

const asksForOwn = (cluster: Cluster): boolean => cluster.type !== "EDS" || cluster.edsServiceName === cluster.name;

/** Notes that a snapshot was made of all of `resources` with no issue but missing secrets, so that the next one may be a patch of it. */
export function noteSound(
  { snapshot, issues }: SnapshotResult,
  missingSecrets: ReadonlySet<string>,
  resources: Resources,
  options: SnapshotOptions,
): void {
  if ((options.rejected ?? []).length > 0 || options.externalSecret !== undefined) return;
  sound.set(snapshot, {
    issues,
    missingSecrets,
    resources,
    indexes: {
      clusters: new KeptIndex((cluster) => cluster.name),
      endpoints: new KeptIndex((assignment) => assignment.clusterName),
      routes: new KeptIndex((config) => config.name),
      listeners: new KeptIndex((listener) => listener.name),
    },
    ownEndpoints: resources.clusters.every(asksForOwn),
    supported: supportedBy(options),
  });
}

/** What differs in one type of resources. */
interface Change<T> {
  readonly removed: readonly Versioned<T>[];
  readonly added: readonly Versioned<T>[];
  readonly table: ResourceTable<T>;
}

// Beyond this many a whole check costs no more.
const mostAdded = 2000;

function changeOf<T extends object>(
  before: ResourceTable<T>,
  values: readonly T[],
  nextValues: readonly T[],
  nameOf: (value: T) => string,
  version: string,
): Change<T> | undefined {
  const { start, end } = alignLists(values, nextValues);
  const replaced = before.list.slice(start, before.list.length - end);
  const middle = nextValues.slice(start, nextValues.length - end);
  if (replaced.length === 0 && middle.length === 0) return { removed: [], added: [], table: before };
  if (middle.length > mostAdded) return undefined;
  const known = new Map(replaced.map((resource) => [resource.name, resource]));
  const placed = middle.map((value): Versioned<T> => {
    const name = nameOf(value);
    const same = known.get(name);
    return same !== undefined && isDeepStrictEqual(same.value, value) ? same : { name, version, value };
  });
  const list = before.list.slice(0, start).concat(placed, before.list.slice(before.list.length - end));
  // What says the same in a new object is neither.
  const stayed = new Set(placed.filter((resource) => known.get(resource.name) === resource));
  return {
    removed: replaced.filter((resource) => !stayed.has(resource)),
    added: placed.filter((resource) => !stayed.has(resource)),
    table: new ResourceTable(list),
  };
}

/** The snapshot of `resources`; undefined when the one before was not sound, or there is something new to report. */
export function patchSnapshot(resources: Resources, options: SnapshotOptions): SnapshotResult | undefined {
  const { previous } = options;
  const before = previous && sound.get(previous);
  if (previous === undefined || before === undefined || (options.rejected ?? []).length > 0 || options.externalSecret !== undefined)
    return undefined;
  if (!supportedBy(options).every((set, index) => set === before.supported[index])) return undefined;
  const { indexes } = before;
  const unique =
    indexes.clusters.isUnique(resources.clusters) &&
    indexes.endpoints.isUnique(resources.endpoints) &&
    indexes.routes.isUnique(resources.routes) &&
    indexes.listeners.isUnique(resources.listeners);
  const secrets = secretsOf(previous.secrets, resources.secrets, String(nextVersion(previous)));
  if (!unique || secrets === undefined) return undefined;
  const version = String(nextVersion(previous));
  const was = before.resources;
  const clusters = changeOf(previous.clusters, was.clusters, resources.clusters, (cluster) => cluster.name, version);
  const endpoints = changeOf(previous.endpoints, was.endpoints, resources.endpoints, (each) => each.clusterName, version);
  const routes = changeOf(previous.routes, was.routes, resources.routes, (config) => config.name, version);
  const listeners = changeOf(previous.listeners, was.listeners, resources.listeners, (listener) => listener.name, version);
  if (clusters === undefined || endpoints === undefined || routes === undefined || listeners === undefined) return undefined;
  const ownEndpoints = before.ownEndpoints && clusters.added.every(({ value }) => asksForOwn(value));
  const patch: Patch = { before, resources, clusters, endpoints, routes, listeners, secrets };
  if (!ownEndpoints || losesReporter(patch) || !isSound(patch, options)) return undefined;
  const snapshot: Snapshot = {
    version: nextVersion(previous),
    listeners: listeners.table,
    clusters: clusters.table,
    routes: routes.table,
    endpoints: endpoints.table,
    secrets,
  };
  sound.set(snapshot, { ...before, resources, ownEndpoints });
  return { snapshot, issues: before.issues };
}

/** True when the resource that a missing secret was reported for is no longer as it was. */
function losesReporter({ before, clusters, listeners }: Patch): boolean {
  return before.issues.some(({ kind, name }) =>
    (kind === "clusters" ? clusters : listeners).removed.some((resource) => resource.name === name),
  );
}

/** Secrets are few: those of before by name, or undefined when the names are others. */
function secretsOf(before: ResourceTable<Secret>, secrets: readonly Secret[], version: string): ResourceTable<Secret> | undefined {
  if (secrets.length !== before.size || secrets.some(({ name }, index) => before.list[index]?.name !== name)) return undefined;
  const list = secrets.map((value, index): Versioned<Secret> => {
    const same = before.list[index];
    return same !== undefined && isDeepStrictEqual(same.value, value) ? same : { name: value.name, version, value };
  });
  return list.every((secret, index) => secret === before.list[index]) ? before : new ResourceTable(list);
}

interface Patch {
  readonly before: Sound;
  readonly resources: Resources;
  readonly clusters: Change<Cluster>;
  readonly endpoints: Change<ClusterLoadAssignment>;
  readonly routes: Change<RouteConfiguration>;
  readonly listeners: Change<Listener>;
  readonly secrets: ResourceTable<Secret>;
}

/** True when a whole check would find nothing. */
function isSound({ before, resources, clusters, endpoints, routes, listeners, secrets }: Patch, options: SnapshotOptions): boolean {
  const { indexes } = before;
  const names = {
    clusters: (name: string): boolean => indexes.clusters.get(resources.clusters, name) !== undefined,
    endpoints: (name: string): boolean => indexes.endpoints.get(resources.endpoints, name) !== undefined,
    routes: (name: string): boolean => indexes.routes.get(resources.routes, name) !== undefined,
  };
  const known: KnownNames = {
    clusters: { has: names.clusters },
    refusedClusters: { has: () => false },
    routes: { has: names.routes },
    endpoints: { has: names.endpoints },
    secrets: (name) => secrets.has(name),
    missingSecrets: new Set(before.missingSecrets),
    meantAbsent: options.meantAbsent ?? (() => false),
  };
  const issues = new ResourceIssues("clusters", "");
  for (const { value } of clusters.added) checkClusterReferences(value, known, issues);
  for (const { name } of endpoints.removed) {
    if (!names.endpoints(name) && indexes.clusters.get(resources.clusters, name)?.type === "EDS") return false;
  }
  const lostClusters = clusters.removed.some(({ name }) => !names.clusters(name));
  const lostRoutes = routes.removed.some(({ name }) => !names.routes(name));
  for (const { value } of lostClusters ? routes.table.list : routes.added) {
    const earlier = lostClusters ? undefined : routes.removed.find(({ name }) => name === value.name)?.value;
    const news = { ...value, virtualHosts: newHosts(earlier, value) };
    checkRoutes(news, known, issues, () => []);
    checkRouteFormats(news, [], (issue) => issues.add(issue));
  }
  for (const { value } of lostClusters || lostRoutes ? listeners.table.list : listeners.added)
    checkListenerReferences(value, known, issues);
  for (const { value } of listeners.added) {
    checkFilters(value, options, (name) => indexes.routes.get(resources.routes, name), issues);
    checkListenerFormats(value, (issue) => issues.add(issue));
    checkChains(value, issues);
  }
  const taken = new Map<string, string>();
  if (listeners.added.length > 0) for (const listener of resources.listeners) checkAddresses(listener, taken, issues);
  return issues.issues.length === 0;
}

function newHosts(before: RouteConfiguration | undefined, after: RouteConfiguration): readonly VirtualHost[] {
  if (before === undefined || before.validateClusters !== after.validateClusters) return after.virtualHosts;
  const { start, end } = alignLists(before.virtualHosts, after.virtualHosts);
  return after.virtualHosts.slice(start, after.virtualHosts.length - end);
}
