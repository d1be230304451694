// `/clusters`: the hosts of each cluster with their state, in Envoy's text and JSON.
import type { CircuitBreakerThresholds } from "../envoy/cluster/cluster.ts";
import type { ClusterDescription, HostDescription } from "../upstream/cluster-description.ts";

type Fields = readonly (readonly [string, string | number | boolean])[];

/** Envoy's text: `cluster::key::value` and `cluster::host::key::value` lines. */
export function clustersText(clusters: readonly ClusterDescription[], addedViaApi: boolean): string {
  const out: string[] = [];
  for (const cluster of clusters) {
    const line = (text: string): void => void out.push(`${cluster.name}::${text}`);
    line(`observability_name::${cluster.name}`);
    for (const priority of ["default", "high"] as const) {
      for (const [name, value] of limits(cluster.circuitBreakers[priority])) line(`${priority}_priority::${name}::${value}`);
    }
    line(`added_via_api::${addedViaApi}`);
    for (const host of cluster.hosts) for (const [name, value] of hostFields(host)) line(`${host.address}::${name}::${value}`);
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

function hostCounts(host: HostDescription): readonly (readonly [string, "COUNTER" | "GAUGE", number])[] {
  return [
    ["cx_active", "GAUGE", host.cxActive],
    ["cx_connect_fail", "COUNTER", host.cxConnectFail],
    ["cx_total", "COUNTER", host.cxTotal],
    ["rq_active", "GAUGE", host.rqActive],
  ];
}

function hostFields(host: HostDescription): Fields {
  return [
    ...hostCounts(host).map(([name, , value]) => [name, value] as const),
    ["hostname", host.hostname],
    ["health_flags", healthFlags(host)],
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

// Envoy's order: that of the flags' bits.
function healthFlags(host: HostDescription): string {
  const { activeHealth } = host;
  const flags: readonly (readonly [boolean | undefined, string])[] = [
    [activeHealth?.failed, "/failed_active_hc"],
    [host.failedOutlierCheck, "/failed_outlier_check"],
    [host.health === "unhealthy", "/failed_eds_health"],
    [activeHealth?.degraded, "/degraded_active_hc"],
    [host.health === "degraded", "/degraded_eds_health"],
    [host.pendingRemoval, "/pending_dynamic_removal"],
    [activeHealth?.pending, "/pending_active_hc"],
    [activeHealth?.excluded, "/excluded_via_immediate_hc_fail"],
    [activeHealth?.timedOut, "/active_hc_timeout"],
  ];
  return flags.map(([set, flag]) => (set === true ? flag : "")).join("") || "healthy";
}

function healthStatusJson({ activeHealth, failedOutlierCheck, pendingRemoval, health }: HostDescription): unknown {
  return {
    ...(activeHealth?.failed ? { failed_active_health_check: true } : {}),
    ...(failedOutlierCheck ? { failed_outlier_check: true } : {}),
    eds_health_status: health.toUpperCase(),
    ...(activeHealth?.degraded ? { failed_active_degraded_check: true } : {}),
    ...(pendingRemoval ? { pending_dynamic_removal: true } : {}),
    ...(activeHealth?.pending ? { pending_active_hc: true } : {}),
    ...(activeHealth?.excluded ? { excluded_via_immediate_hc_fail: true } : {}),
    ...(activeHealth?.timedOut ? { active_hc_timeout: true } : {}),
  };
}

/** Envoy's admin.v3.Clusters. */
export function clustersJson(clusters: readonly ClusterDescription[], addedViaApi: boolean): unknown {
  return {
    cluster_statuses: clusters.map((cluster) => ({
      name: cluster.name,
      added_via_api: addedViaApi,
      host_statuses: cluster.hosts.map((host) => ({
        address: addressJson(host.address),
        stats: hostCounts(host).map(([name, type, value]) => ({ type, name, value: String(value) })),
        health_status: healthStatusJson(host),
        weight: host.weight,
        hostname: host.hostname,
        priority: host.priority,
        locality: { region: host.locality.region, zone: host.locality.zone, sub_zone: host.locality.subZone },
      })),
      circuit_breakers: {
        thresholds: (["default", "high"] as const).map((priority) => ({
          ...(priority === "high" ? { priority: "HIGH" } : {}),
          ...Object.fromEntries(limits(cluster.circuitBreakers[priority])),
        })),
      },
      observability_name: cluster.name,
    })),
  };
}

// `ip:port`, `[ip]:port`, or the path of a Unix socket.
function addressJson(text: string): unknown {
  const colon = text.lastIndexOf(":");
  if (colon < 0 || text.startsWith("/")) return { pipe: { path: text } };
  return { socket_address: { address: text.slice(0, colon).replace(/^\[|\]$/g, ""), port_value: Number(text.slice(colon + 1)) } };
}
