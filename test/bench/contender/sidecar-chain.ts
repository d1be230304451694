// What an HTTP/1.1 request passes in a sidecar of Istio, as far as an Envoy without Istio's own extensions can do it: RBAC, fault,
// CORS and router, 20 virtual hosts of 5 routes with retries, a cluster each, and Istio's JSON access log in a file.
import path from "node:path";
import { istioJson } from "../../../src/source/mesh/chain/access-log.ts";
import { chainHosts } from "../load/payload.ts";
import type { PortPair } from "./contender.ts";

const extension = "type.googleapis.com/envoy.extensions";

/** The connection manager; its access log is written to `folder`. */
export function sidecarConnectionManager(folder: string): unknown {
  return {
    name: "envoy.filters.network.http_connection_manager",
    typed_config: {
      "@type": `${extension}.filters.network.http_connection_manager.v3.HttpConnectionManager`,
      stat_prefix: "outbound_0.0.0.0_80",
      codec_type: "HTTP1",
      normalize_path: true,
      path_with_escaped_slashes_action: "KEEP_UNCHANGED",
      proxy_100_continue: true,
      stream_idle_timeout: "0s",
      use_remote_address: false,
      upgrade_configs: [{ upgrade_type: "websocket" }],
      route_config: {
        name: "80",
        ignore_port_in_host_matching: true,
        validate_clusters: false,
        virtual_hosts: chainHosts.map((host) => virtualHost(host)),
      },
      http_filters: [
        { name: "envoy.filters.http.rbac", typed_config: { "@type": `${extension}.filters.http.rbac.v3.RBAC`, rules } },
        { name: "envoy.filters.http.fault", typed_config: { "@type": `${extension}.filters.http.fault.v3.HTTPFault` } },
        { name: "envoy.filters.http.cors", typed_config: { "@type": `${extension}.filters.http.cors.v3.Cors` } },
        { name: "envoy.filters.http.router", typed_config: { "@type": `${extension}.filters.http.router.v3.Router` } },
      ],
      access_log: [
        {
          name: "envoy.access_loggers.file",
          typed_config: {
            "@type": `${extension}.access_loggers.file.v3.FileAccessLog`,
            path: path.join(folder, "access.log"),
            log_format: { json_format: istioJson },
          },
        },
      ],
    },
  };
}

/** A cluster for each virtual host, so that stats and pools are as many as in a mesh. */
export function sidecarClusters({ upstream }: PortPair): unknown[] {
  return chainHosts.map((host) => ({
    name: clusterOf(host),
    type: "STATIC",
    connect_timeout: "10s",
    circuit_breakers: { thresholds: [{ max_connections: 4096, max_pending_requests: 4096, max_requests: 4096, max_retries: 4096 }] },
    load_assignment: {
      cluster_name: clusterOf(host),
      endpoints: [{ lb_endpoints: [{ endpoint: { address: { socket_address: { address: "127.0.0.1", port_value: upstream } } } }] }],
    },
  }));
}

function clusterOf(host: string): string {
  return `outbound|80||${host}`;
}

// A rule of an AuthorizationPolicy that lets all of the load pass, behind one that does not match.
const rules = {
  action: "ALLOW",
  policies: {
    "ns[bench]-policy[admin]-rule[0]": {
      permissions: [{ and_rules: { rules: [{ or_rules: { rules: [{ url_path: { path: { prefix: "/admin" } } }] } }] } }],
      principals: [{ and_ids: { ids: [{ or_ids: { ids: [{ header: { name: "x-role", string_match: { exact: "admin" } } }] } }] } }],
    },
    "ns[bench]-policy[read]-rule[0]": {
      permissions: [
        {
          and_rules: {
            rules: [
              { or_rules: { rules: ["GET", "HEAD"].map((exact) => ({ header: { name: ":method", string_match: { exact } } })) } },
              { or_rules: { rules: ["/api", "/assets"].map((prefix) => ({ url_path: { path: { prefix } } })) } },
            ],
          },
        },
      ],
      principals: [{ and_ids: { ids: [{ or_ids: { ids: [{ direct_remote_ip: { address_prefix: "127.0.0.0", prefix_len: 8 } }] } }] } }],
    },
  },
};

function virtualHost(host: string): unknown {
  const [service = "", namespace = ""] = host.split(".");
  const cors = {
    "envoy.filters.http.cors": {
      "@type": `${extension}.filters.http.cors.v3.CorsPolicy`,
      allow_origin_string_match: [{ exact: "https://example.com" }],
      allow_methods: "GET,POST",
      filter_enabled: { default_value: { numerator: 100 } },
    },
  };
  const fault = {
    "envoy.filters.http.fault": {
      "@type": `${extension}.filters.http.fault.v3.HTTPFault`,
      abort: { http_status: 503, percentage: { numerator: 100 } },
      headers: [{ name: "x-fail", string_match: { exact: "yes" } }],
    },
  };
  return {
    name: `${host}:80`,
    domains: [host, `${service}.${namespace}.svc`, `${service}.${namespace}`, service],
    include_request_attempt_count: true,
    routes: [
      route(host, "canary", { prefix: "/api", headers: [{ name: "x-canary", string_match: { exact: "yes" } }] }),
      route(host, "orders", { prefix: "/api/orders" }, { typed_per_filter_config: fault }),
      route(host, "items", { safe_regex: { regex: "/api/items/[0-9]+" } }, { typed_per_filter_config: cors }),
      route(host, "users", { path: "/api/users/me" }),
      route(host, "default", { prefix: "/" }),
    ],
  };
}

function route(host: string, name: string, match: object, more: object = {}): unknown {
  return {
    name,
    match,
    ...more,
    route: {
      cluster: clusterOf(host),
      timeout: "0s",
      retry_policy: {
        retry_on: "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes",
        num_retries: 2,
        retriable_status_codes: [503],
        host_selection_retry_max_attempts: "5",
        retry_host_predicate: [
          {
            name: "envoy.retry_host_predicates.previous_hosts",
            typed_config: { "@type": `${extension}.retry.host.previous_hosts.v3.PreviousHostsPredicate` },
          },
        ],
      },
    },
  };
}
