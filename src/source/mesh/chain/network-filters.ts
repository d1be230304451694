// The network filters of every chain: a TCP proxy or an HTTP connection manager, the way a sidecar sets them.
import { isIP } from "node:net";
import { extension, type Json } from "../envoy-json.ts";
import type { MeshConfig } from "../mesh-config.ts";
import type { NodeView } from "../node-view.ts";
import type { SecurityFilters } from "../security-filters.ts";
import { pluginFilters, type PluginPlace, type WasmPlugin } from "../plugin/plugin-filters.ts";
import { accessLog } from "./access-log.ts";

/** Forwards bytes to one cluster; `policy` is what a rule adds. */
export function tcpProxy(config: MeshConfig, cluster: string, policy: Json = {}): Json {
  return extension("envoy.filters.network.tcp_proxy", "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy", {
    stat_prefix: cluster,
    cluster,
    ...policy,
    ...accessLog(config),
  });
}

/** Forwards bytes to clusters by weight; `policy` is what a rule adds. */
export function weightedTcpProxy(
  config: MeshConfig,
  statPrefix: string,
  clusters: readonly { readonly name: string; readonly weight: number }[],
  policy: Json = {},
): Json {
  return extension("envoy.filters.network.tcp_proxy", "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy", {
    stat_prefix: statPrefix,
    weighted_clusters: { clusters },
    ...policy,
    ...accessLog(config),
  });
}

/** Swallows what was sent to the proxy's own port: forwarding it would make a loop. Not logged, as istiod leaves it. */
export const blackHole: Json = extension("envoy.filters.network.tcp_proxy", "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy", {
  stat_prefix: "BlackHoleCluster",
  cluster: "BlackHoleCluster",
});

const alpnFilter: Json = extension("istio.alpn", "istio.envoy.config.filter.http.alpn.v2alpha1.FilterConfig", {
  alpn_override: [
    { alpn_override: ["istio-http/1.0", "istio", "http/1.0"] },
    { upstream_protocol: "HTTP11", alpn_override: ["istio-http/1.1", "istio", "http/1.1"] },
    { upstream_protocol: "HTTP2", alpn_override: ["istio-h2", "istio", "h2"] },
  ],
});

const commonHttpFilters: readonly Json[] = [
  extension("envoy.filters.http.fault", "envoy.extensions.filters.http.fault.v3.HTTPFault"),
  extension("envoy.filters.http.cors", "envoy.extensions.filters.http.cors.v3.Cors"),
  extension("envoy.filters.http.router", "envoy.extensions.filters.http.router.v3.Router"),
];

// Connections of a mesh idle for long: Istio leaves stream idle time to the ends.
const commonSettings: Json = {
  stream_idle_timeout: "0s",
  use_remote_address: false,
  proxy_100_continue: true,
  upgrade_configs: [{ upgrade_type: "websocket" }],
  normalize_path: true,
  path_with_escaped_slashes_action: "KEEP_UNCHANGED",
};

/** What is in front of every route: the workload's own policies, and what is plugged in between. */
function guards(plugins: readonly WasmPlugin[], place: PluginPlace, security?: SecurityFilters): readonly Json[] {
  const { custom = [], authn = [], authz = [] } = security?.phases ?? {};
  const plugged = (phase: Parameters<typeof pluginFilters>[1]): readonly Json[] => pluginFilters(plugins, phase, place);
  return [...custom, ...plugged("AUTHN"), ...authn, ...plugged("AUTHZ"), ...authz, ...plugged("STATS"), ...plugged("UNSPECIFIED_PHASE")];
}

/** The node's part in a connection manager. */
export type ManagerView = Pick<NodeView, "plugins" | "security"> & { readonly mesh: Pick<NodeView["mesh"], "config" | "networks"> };

/** HTTP from the application: routes come by name, the ALPN filter marks mesh HTTP upstream. */
export function outboundHttp({ mesh: { config }, plugins }: ManagerView, port: number, statPrefix: string, routeName: string): Json {
  return connectionManager({
    stat_prefix: statPrefix,
    rds: { config_source: { ads: {}, initial_fetch_timeout: "0s", resource_api_version: "V3" }, route_config_name: routeName },
    http_filters: [...guards(plugins, { mode: "CLIENT", port }), alpnFilter, ...commonHttpFilters],
    ...commonSettings,
    ...accessLog(config),
  });
}

/** HTTP from outside the mesh: who the client is and what it presents is established here, not taken from its headers. */
export function gatewayHttp(view: ManagerView & Pick<NodeView, "proxy">, port: number, statPrefix: string, routeName: string): Json {
  const { config } = view.mesh;
  const { numTrustedProxies, forwardClientCertDetails: forwards } = view.proxy.gatewayTopology ?? config.gatewayTopology;
  return connectionManager({
    stat_prefix: statPrefix,
    rds: { config_source: { ads: {}, initial_fetch_timeout: "0s", resource_api_version: "V3" }, route_config_name: routeName },
    http_filters: [...guards(view.plugins, { mode: "CLIENT", port }, view.security), alpnFilter, ...commonHttpFilters],
    http_protocol_options: {},
    server_name: "istio-envoy",
    ...(forwards === "SANITIZE" ? {} : { forward_client_cert_details: forwards }),
    ...(forwards === "SANITIZE_SET" || forwards === "APPEND_FORWARD"
      ? { set_current_client_cert_details: { subject: true, cert: true, dns: true, uri: true } }
      : {}),
    ...commonSettings,
    use_remote_address: true,
    ...(numTrustedProxies === 0 ? {} : { xff_num_trusted_hops: numTrustedProxies }),
    ...internalAddresses(view.mesh.networks),
    ...accessLog(config),
  });
}

/** Clients on addresses of the mesh's networks are the mesh's own: their x-envoy-* headers count. */
function internalAddresses(networks: ManagerView["mesh"]["networks"]): Json {
  const ranges = [...networks.values()]
    .flatMap(({ fromCidr }) => fromCidr)
    .toSorted(byNumbers.compare)
    .flatMap(readRange);
  return ranges.length === 0 ? {} : { internal_address_config: { cidr_ranges: ranges } };
}

const byNumbers = new Intl.Collator("en", { numeric: true });

function readRange(text: string): readonly Json[] {
  const [prefix = "", length = ""] = text.split("/");
  return isIP(prefix) === 0 || !/^\d+$/.test(length) ? [] : [{ address_prefix: prefix, prefix_len: Number(length) }];
}

/** HTTP to the application: one route, the peer's identity passed on. */
export function inboundHttp(view: ManagerView, port: number | undefined, statPrefix: string, routeConfig: Json, http2: boolean): Json {
  const { config } = view.mesh;
  return connectionManager({
    stat_prefix: statPrefix,
    route_config: routeConfig,
    http_filters: [...guards(view.plugins, { mode: "SERVER", port }, view.security), ...commonHttpFilters],
    ...(http2 ? { http2_protocol_options: {} } : {}),
    server_name: "istio-envoy",
    forward_client_cert_details: "APPEND_FORWARD",
    set_current_client_cert_details: { subject: true, dns: true, uri: true },
    ...commonSettings,
    ...accessLog(config),
  });
}

function connectionManager(config: Json): Json {
  return extension(
    "envoy.filters.network.http_connection_manager",
    "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
    config,
  );
}
