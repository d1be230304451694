// The clusters every sidecar has, whatever services there are.
import type { Json } from "../envoy-json.ts";
import type { NodeView } from "../node-view.ts";
import { connectionPoolFields } from "../policy/connection-pool.ts";
import { downstreamProtocol, httpProtocolOptions } from "./cluster-fields.ts";

/** Where connections go that must go nowhere. */
export const blackHoleCluster = (view: NodeView): Json => ({
  name: "BlackHoleCluster",
  alt_stat_name: "BlackHoleCluster;",
  type: "STATIC",
  connect_timeout: view.mesh.config.connectTimeout,
});

/** Where connections go that no service claims: on to their own destination. */
export const passthroughCluster = (view: NodeView): Json => ({
  name: "PassthroughCluster",
  alt_stat_name: "PassthroughCluster;",
  type: "ORIGINAL_DST",
  ...connectionPoolFields(view.mesh.config),
  lb_policy: "CLUSTER_PROVIDED",
  typed_extension_protocol_options: passthroughHttpOptions,
});

/** HTTP over a passthrough cluster: the caller's version, idle connections given up after five minutes. */
export const passthroughHttpOptions: Json = httpProtocolOptions({
  common_http_protocol_options: { idle_timeout: "300s" },
  ...downstreamProtocol,
});
