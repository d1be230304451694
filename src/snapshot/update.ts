// What crosses the worker boundary: decoded resources with a version, as plain data.
import type { Cluster } from "../envoy/cluster/cluster.ts";
import type { ClusterLoadAssignment } from "../envoy/cluster/endpoint.ts";
import type { Listener } from "../envoy/listener/listener.ts";
import type { RouteConfiguration, VirtualHost } from "../envoy/route/route.ts";
import type { Secret } from "../envoy/tls/tls.ts";

/** A resource and the number of the snapshot in which it became what it is; equal versions mean nothing changed. */
export interface Versioned<T> {
  readonly name: string;
  readonly version: string;
  readonly value: T;
}

/** Resources of one type to add or replace, and names to remove. */
export interface ResourceUpdate<T> {
  readonly set: readonly Versioned<T>[];
  readonly removed: readonly string[];
}

/** A route configuration of which only some virtual hosts changed. */
export interface RoutePatch {
  readonly name: string;
  /** The version that it leads to. */
  readonly version: string;
  /** Virtual hosts to add, or to replace by name. */
  readonly set: readonly VirtualHost[];
  readonly removed: readonly string[];
}

/** Route configurations, whole and in part. */
export interface RouteUpdate extends ResourceUpdate<RouteConfiguration> {
  readonly patched: readonly RoutePatch[];
}

/** One publish: the difference to the snapshot published before. Applied in the order secrets, endpoints, clusters, routes, listeners; routes and clusters that go, go last. */
export interface SnapshotUpdate {
  readonly version: number;
  readonly secrets: ResourceUpdate<Secret>;
  readonly endpoints: ResourceUpdate<ClusterLoadAssignment>;
  readonly clusters: ResourceUpdate<Cluster>;
  readonly routes: RouteUpdate;
  readonly listeners: ResourceUpdate<Listener>;
}
