// Envoy bootstrap.v3.Bootstrap, narrowed: the resources of one configuration, whatever source they came from.
import type { SocketAddress } from "./address.ts";
import type { Cluster } from "./cluster/cluster.ts";
import type { ClusterLoadAssignment, Locality } from "./cluster/endpoint.ts";
import type { Listener } from "./listener/listener.ts";
import type { RouteConfiguration } from "./route/route.ts";
import type { Secret } from "./tls/tls.ts";

/** core.v3.Node. */
export interface Node {
  readonly id: string;
  readonly cluster: string;
  readonly locality: Locality;
  readonly metadata: Readonly<Record<string, unknown>>;
}

/** Everything a worker needs to serve, decoded. */
export interface Resources {
  readonly listeners: readonly Listener[];
  readonly clusters: readonly Cluster[];
  readonly routes: readonly RouteConfiguration[];
  readonly endpoints: readonly ClusterLoadAssignment[];
  readonly secrets: readonly Secret[];
}

/** bootstrap.v3.Bootstrap. */
export interface Bootstrap {
  readonly node: Node;
  readonly admin?: { readonly address: SocketAddress };
  readonly resources: Resources;
  /** layered_runtime static layers, flattened: later layers win. */
  readonly runtime: Readonly<Record<string, unknown>>;
}
