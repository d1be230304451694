// Decoders of whole configurations: a bootstrap, or lists of resources. Each resource is accepted or refused by itself, so that
// one bad listener does not take the good ones with it.
import type { Issue } from "../error.ts";
import { decodeIpSocketAddress } from "./address.ts";
import type { Bootstrap, Node, Resources } from "./bootstrap.ts";
import { decodeCluster } from "./cluster/cluster-decoder.ts";
import { Cursor, type DecodeContext, type Decoder, describe, isObject } from "./decode/cursor.ts";
import { emptyMessage, type Fields, message } from "./decode/message.ts";
import { withLocalZone } from "./local-zone.ts";
import { decodeEntries, remembered } from "./decode/remembered.ts";
import { list, nonEmpty, struct, text } from "./decode/scalars.ts";
import { decodeClusterLoadAssignment, decodeLocality, noLocality } from "./cluster/endpoint.ts";
import type { Listener } from "./listener/listener.ts";
import { decodeListener } from "./listener/listener-decoder.ts";
import { decodeRouteConfiguration } from "./route/route-decoder.ts";
import { decodeSecret } from "./tls/tls-decoder.ts";

/** Which list of resources. */
export type ResourceKind = keyof Resources;

/** A resource that was refused; the last good version of it may go on serving. */
export interface RejectedResource {
  readonly kind: ResourceKind;
  readonly name: string;
}

/** Resources after decoding, and what was wrong with those that are missing. */
export interface DecodedResources {
  readonly resources: Resources;
  readonly rejected: readonly RejectedResource[];
  readonly issues: readonly Issue[];
}

/** A bootstrap after decoding. `sound` is false when something outside its resources is wrong: then it is not to be used at all. */
export interface DecodedBootstrap {
  readonly bootstrap: Bootstrap;
  readonly rejected: readonly RejectedResource[];
  readonly issues: readonly Issue[];
  readonly sound: boolean;
}

const resourceDecoders = {
  listeners: remembered(decodeListener),
  clusters: remembered(decodeCluster),
  routes: remembered(decodeRouteConfiguration),
  endpoints: remembered(decodeClusterLoadAssignment),
  secrets: decodeSecret,
} as const;

// What was refused so far, and how many errors belong to it.
interface Refusals {
  readonly rejected: RejectedResource[];
  errors: number;
}

// A list that keeps the good entries and notes the others.
function accepting<T>(kind: ResourceKind, decoder: Decoder<T>, refusals: Refusals): Decoder<readonly T[]> {
  return (json, at) => {
    if (!Array.isArray(json)) {
      at.error(`expected a list, got ${describe(json)}`);
      return [];
    }
    const before = at.errors;
    const { values, refused } = decodeEntries(decoder, json, at);
    if (refused.size === 0) return values;
    for (const index of refused) refusals.rejected.push({ kind, name: nameOf(json[index]) });
    refusals.errors += at.errors - before;
    return values.filter((_value, index) => !refused.has(index));
  };
}

function nameOf(json: unknown): string {
  if (!isObject(json)) return "";
  const name = json["name"] ?? json["cluster_name"] ?? json["clusterName"];
  return typeof name === "string" ? name : "";
}

/** Decodes lists of resources as JSON; issue paths start with the kind and the index. */
export function decodeResources(
  json: Partial<Readonly<Record<ResourceKind, readonly unknown[]>>>,
  context: DecodeContext,
  path: readonly (string | number)[] = [],
): DecodedResources {
  const at = new Cursor(context, path);
  const refusals: Refusals = { rejected: [], errors: 0 };
  const all = <T>(kind: ResourceKind, decoder: Decoder<T>): readonly T[] =>
    at.in(kind, accepting(kind, decoder, refusals), json[kind] ?? []);
  const resources: Resources = {
    listeners: all("listeners", resourceDecoders.listeners),
    clusters: all("clusters", resourceDecoders.clusters),
    routes: all("routes", resourceDecoders.routes),
    endpoints: all("endpoints", resourceDecoders.endpoints),
    secrets: all("secrets", resourceDecoders.secrets),
  };
  return { resources, rejected: refusals.rejected, issues: at.issues };
}

/** core.v3.Node. */
const decodeNode: Decoder<Node> = message("envoy.config.core.v3.Node", (m) => {
  m.accept(
    "user_agent_name",
    "user_agent_version",
    "user_agent_build_version",
    "extensions",
    "client_features",
    "dynamic_parameters",
    "listening_addresses",
  );
  return {
    id: m.field("id", text, ""),
    cluster: m.field("cluster", text, ""),
    locality: m.field("locality", decodeLocality, noLocality),
    metadata: m.field("metadata", struct, {}),
  };
});

const noNode: Node = { id: "", cluster: "", locality: noLocality, metadata: {} };

const decodeAdmin = message("envoy.config.bootstrap.v3.Admin", (m) => {
  m.accept("profile_path", "ignore_global_conn_limit");
  return { address: m.required("address", decodeIpSocketAddress) };
});

const decodeClusterManager = message("envoy.config.bootstrap.v3.ClusterManager", (m) => {
  m.accept("enable_deferred_cluster_creation");
  return m.field("local_cluster_name", text, "");
});

type RuntimeValues = Readonly<Record<string, unknown>>;
const decodeAdminLayer = emptyMessage("envoy.config.bootstrap.v3.RuntimeLayer.AdminLayer");

const notHonoured: Decoder<RuntimeValues> = (_json, at) => {
  at.warn("is not honoured");
  return {};
};

// Runtime keys are written flat (`a.b: 1`) or as nested objects; Envoy reads both as `a.b`.
function flatten(values: RuntimeValues, prefix: string, into: Record<string, unknown>, depth: number): void {
  for (const [key, value] of Object.entries(values)) {
    const name = prefix === "" ? key : `${prefix}.${key}`;
    const fraction = isObject(value) && ("numerator" in value || "denominator" in value);
    if (isObject(value) && !fraction && depth < 20) flatten(value, name, into, depth + 1);
    else into[name] = value;
  }
}

const decodeLayer = message("envoy.config.bootstrap.v3.RuntimeLayer", (m): RuntimeValues => {
  m.required("name", nonEmpty);
  const values = m.requiredOneof<RuntimeValues>(
    {
      static_layer: struct,
      admin_layer: (json, at) => (decodeAdminLayer(json, at), {}),
      disk_layer: notHonoured,
      rtds_layer: notHonoured,
    },
    {},
  );
  const flat: Record<string, unknown> = {};
  flatten(values, "", flat, 0);
  return flat;
});

const decodeRuntime = message("envoy.config.bootstrap.v3.LayeredRuntime", (m): RuntimeValues =>
  Object.fromEntries(m.field("layers", list(decodeLayer), []).flatMap((layer) => Object.entries(layer))),
);

function bootstrapDecoder(refusals: Refusals): Decoder<Bootstrap> {
  const decodeStatic = message("envoy.config.bootstrap.v3.Bootstrap.StaticResources", (m): Resources => ({
    listeners: m.field("listeners", accepting("listeners", resourceDecoders.listeners, refusals), []),
    clusters: m.field("clusters", accepting("clusters", resourceDecoders.clusters, refusals), []),
    secrets: m.field("secrets", accepting("secrets", resourceDecoders.secrets, refusals), []),
    routes: [],
    endpoints: [],
  }));
  return message("envoy.config.bootstrap.v3.Bootstrap", (m) => {
    for (const name of ["dynamic_resources", "hds_config", "xds_delegate_extension", "xds_config_tracker_extension"]) refuseXds(m, name);
    // Names and intervals of Envoy's own threads and stats.
    m.accept(
      "watchdog",
      "watchdogs",
      "stats_flush_interval",
      "stats_flush_on_admin",
      "enable_dispatcher_stats",
      "deferred_stat_options",
      "node_context_params",
    );
    m.accept("memory_allocator_manager", "grpc_async_client_manager_config", "listener_manager");
    const runtime = m.field("layered_runtime", decodeRuntime, {});
    const node = m.field("node", decodeNode, noNode);
    const admin = m.maybe("admin", "admin", decodeAdmin);
    const resources = m.field("static_resources", decodeStatic, { listeners: [], clusters: [], secrets: [], routes: [], endpoints: [] });
    const listeners = resources.listeners.map((listener) => withConnectionLimit(listener, runtime, m));
    const clusters = withLocalZone(resources.clusters, m.field("cluster_manager", decodeClusterManager, ""), node.locality, runtime, m);
    return { node, ...admin, resources: { ...resources, listeners, clusters }, runtime };
  });
}

function refuseXds(m: Fields, name: string): void {
  if (m.has(name)) m.at.error("xDS is not supported by this source", name);
}

// Envoy has no field for this: the limit is the runtime value envoy.resource_limits.listener.NAME.connection_limit.
function withConnectionLimit(listener: Listener, runtime: RuntimeValues, m: Fields): Listener {
  const key = `envoy.resource_limits.listener.${listener.name}.connection_limit`;
  const limit = runtime[key];
  if (limit === undefined) return listener;
  if (typeof limit === "number" && Number.isInteger(limit) && limit >= 0) return { ...listener, maxConnections: limit };
  m.at.error(`${key}: expected a whole number, got ${describe(limit)}`, "layered_runtime");
  return listener;
}

/** Decodes a bootstrap.v3.Bootstrap. */
export function decodeBootstrap(json: unknown, context: DecodeContext): DecodedBootstrap {
  const at = new Cursor(context);
  const refusals: Refusals = { rejected: [], errors: 0 };
  const bootstrap = bootstrapDecoder(refusals)(json, at);
  return { bootstrap, rejected: refusals.rejected, issues: at.issues, sound: at.errors === refusals.errors };
}
