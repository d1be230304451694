// `/clusters`: the hosts of each cluster with their state, in Envoy's text and JSON.
import type { CircuitBreakerThresholds } from "../envoy/cluster.ts";
import type { ClusterView, HostView } from "../telemetry/views.ts";

/** Envoy's text: `cluster::key::value` and `cluster::host::key::value` lines. */
export function clustersText(clusters: readonly ClusterView[], addedViaApi: boolean): string {
  const out: string[] = [];
  for (const cluster of clusters) {
    const line = (text: string): void => void out.push(`${cluster.name}::${text}`);
    line(`observability_name::${cluster.observabilityName}`);
    for (const priority of ["default", "high"] as const) {
      for (const [name, value] of limits(cluster.thresholds[priority])) line(`${priority}_priority::${name}::${value}`);
    }
    line(`added_via_api::${addedViaApi}`);
    for (const host of cluster.hosts) for (const [name, value] of hostFields(host)) line(`${host.addressText}::${name}::${value}`);
  }
  return out.length === 0 ? "" : `${out.join("\n")}\n`;
}

function limits(thresholds: CircuitBreakerThresholds): readonly (readonly [string, number])[] {
  return [
    ["max_connections", thresholds.maxConnections],
    ["max_pending_requests", thresholds.maxPendingRequests],
    ["max_requests", thresholds.maxRequests],
    ["max_retries", thresholds.maxRetries],
  ];
}

function hostFields(host: HostView): readonly (readonly [string, string | number | boolean])[] {
  return [
    ["rq_active", host.active],
    ["hostname", host.hostname],
    ["health_flags", host.healthy ? "healthy" : "/failed_eds_health"],
    ["weight", host.weight],
    ["region", host.locality.region],
    ["zone", host.locality.zone],
    ["sub_zone", host.locality.subZone],
    ["canary", false],
    ["priority", host.priority],
    // Envoy's value for "no outlier detection figures".
    ["success_rate", -1],
    ["local_origin_success_rate", -1],
  ];
}

/** Envoy's admin.v3.Clusters. */
export function clustersJson(clusters: readonly ClusterView[], addedViaApi: boolean): unknown {
  return {
    cluster_statuses: clusters.map((cluster) => ({
      name: cluster.name,
      added_via_api: addedViaApi,
      host_statuses: cluster.hosts.map((host) => ({
        address:
          "pipe" in host.address
            ? { pipe: { path: host.address.pipe } }
            : { socket_address: { address: host.address.address, port_value: host.address.port } },
        stats: [{ type: "GAUGE", name: "rq_active", value: String(host.active) }],
        health_status: { eds_health_status: host.healthy ? "HEALTHY" : "UNHEALTHY" },
        weight: host.weight,
        hostname: host.hostname,
        priority: host.priority,
        locality: { region: host.locality.region, zone: host.locality.zone, sub_zone: host.locality.subZone },
      })),
      circuit_breakers: {
        thresholds: (["default", "high"] as const).map((priority) => ({
          ...(priority === "high" ? { priority: "HIGH" } : {}),
          ...Object.fromEntries(limits(cluster.thresholds[priority])),
        })),
      },
      observability_name: cluster.observabilityName,
    })),
  };
}
