// The pieces that bootstraps of live cases are made of.
import { accessLogPath } from "../../support/proxy.ts";

/** Where the types of Envoy are. */
export const v3 = "type.googleapis.com/envoy";
/** The last filter. */
export const router = { name: "envoy.filters.http.router", typed_config: { "@type": `${v3}.extensions.filters.http.router.v3.Router` } };

/** Fields of an access-log record, in the order they are compared in. */
const logFormat =
  "%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% %REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL% in=%BYTES_RECEIVED% out=%BYTES_SENT% %ROUTE_NAME% %UPSTREAM_CLUSTER%\n";

/** Records in the common format. */
export const accessLog = [
  {
    name: "envoy.access_loggers.file",
    typed_config: {
      "@type": `${v3}.extensions.access_loggers.file.v3.FileAccessLog`,
      path: accessLogPath,
      log_format: { text_format_source: { inline_string: logFormat } },
    },
  },
];

/** A fraction of 100. */
export const percent = (numerator: number): object => ({ numerator, denominator: "HUNDRED" });
/** Answered by the proxy. */
export const direct = (body: string, status = 200): object => ({ direct_response: { status, body: { inline_string: body } } });
/** Routed to a cluster. */
export const to = (cluster: string, more: object = {}): object => ({ route: { cluster, timeout: "5s", ...more } });

/** A route by prefix; its name is the prefix. */
export function prefix(path: string, action: object, match: object = {}): object {
  return { name: path, match: { prefix: path, ...match }, ...action };
}

/** An HTTP filter. */
export function filter(name: string, config: object): object {
  return { name: `envoy.filters.http.${name}`, typed_config: config };
}

/** A header to add. */
export const header = (key: string, value: string, append_action = "APPEND_IF_EXISTS_OR_ADD", more: object = {}): object => ({
  header: { key, value },
  append_action,
  ...more,
});

/** A chain with a connection manager. */
export function manager(name: string, routes: object, options: object = {}): object {
  return {
    filters: [
      {
        name: "envoy.filters.network.http_connection_manager",
        typed_config: {
          "@type": `${v3}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager`,
          stat_prefix: name,
          // A refused connection is closed this much later: the default of 1 s would only make cases slow.
          delayed_close_timeout: "0.15s",
          access_log: accessLog,
          normalize_path: true,
          http_filters: [router],
          route_config: { name, validate_clusters: false, virtual_hosts: routes },
          ...options,
        },
      },
    ],
  };
}

/** A chain with a TCP proxy. */
export function tcp(name: string, cluster: string, options: object = {}, before: readonly object[] = []): object {
  const typed = { "@type": `${v3}.extensions.filters.network.tcp_proxy.v3.TcpProxy`, stat_prefix: name, cluster, access_log: accessLog };
  return { filters: [...before, { name: "envoy.filters.network.tcp_proxy", typed_config: { ...typed, ...options } }] };
}

/** A listener on a free port. */
export const listener = (name: string, chain: object, more: object = {}): object => ({
  name,
  address: { socket_address: { address: "127.0.0.1", port_value: 0 } },
  filter_chains: [chain],
  ...more,
});

/** A route action's retry policy, with the prefix taken off. */
export const retry = (retry_on: string, num_retries: number, more: object = {}): object => ({
  prefix_rewrite: "/",
  retry_policy: { retry_on, num_retries, retry_back_off: { base_interval: "0.005s", max_interval: "0.01s" }, ...more },
});

/** A match by one header. */
export const exactHeader = (name: string, matcher: object): object => ({ headers: [{ name, ...matcher }] });

/** One virtual host with one route. */
export const everything = (action: object = to("http")): readonly object[] => [
  { name: "all", domains: ["*"], routes: [prefix("/", action)] },
];

/** A policy of RBAC. */
export const policy = (permission: object, principal: object = { any: true }): object => ({
  p: { permissions: [permission], principals: [principal] },
});
/** RBAC of a route. */
export const perRouteRbac = (action: string, policies: object): object => ({
  typed_per_filter_config: {
    "envoy.filters.http.rbac": { "@type": `${v3}.extensions.filters.http.rbac.v3.RBACPerRoute`, rbac: { rules: { action, policies } } },
  },
});
/** The fault filter. */
export const fault = (config: object): object => ({ "@type": `${v3}.extensions.filters.http.fault.v3.HTTPFault`, ...config });
/** The local rate limit. */
export const limit = (config: object): object => ({
  "@type": `${v3}.extensions.filters.http.local_ratelimit.v3.LocalRateLimit`,
  stat_prefix: "l",
  ...config,
});
/** All requests. */
export const always = { default_value: percent(100) };
/** The CORS policy of a route. */
export const cors = (config: object): object => ({ "@type": `${v3}.extensions.filters.http.cors.v3.CorsPolicy`, ...config });
/** A filter's configuration of a route. */
export const routeFilter = (name: string, config: object): object => ({
  typed_per_filter_config: { [`envoy.filters.http.${name}`]: config },
});

/** An endpoint. */
export const address = (port: number, ip = "127.0.0.1"): object => ({
  endpoint: { address: { socket_address: { address: ip, port_value: port } } },
});

/** A static cluster. */
export function cluster(name: string, port: number | undefined, more: object = {}): object {
  const endpoints = port === undefined ? [] : [{ lb_endpoints: [address(port)] }];
  return { name, type: "STATIC", connect_timeout: "1s", load_assignment: { cluster_name: name, endpoints }, ...more };
}

/** A cluster's protocol HTTP/2. */
export const http2Upstream = {
  typed_extension_protocol_options: {
    "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
      "@type": `${v3}.extensions.upstreams.http.v3.HttpProtocolOptions`,
      explicit_http_config: { http2_protocol_options: {} },
    },
  },
};
