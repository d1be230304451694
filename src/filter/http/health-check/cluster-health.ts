// Whether enough hosts of the clusters behind this proxy are healthy for its own health checks to pass.
import type { HealthCheckConfig } from "../../../envoy/http-filter/health-check.ts";
import type { ClusterLookup } from "../../../upstream/cluster.ts";

/** Status, details and counter, as Envoy has them. */
export interface ClusterVerdict {
  readonly status: 200 | 503;
  readonly details: string;
  readonly reason: string;
}

const healthy: ClusterVerdict = { status: 200, details: "health_check_ok_cluster_healthy", reason: "" };
const notFound = { status: 503, details: "health_check_failed_no_cluster_found", reason: "failed_cluster_not_found" } as const;
const empty = { status: 503, details: "health_check_failed_cluster_empty", reason: "failed_cluster_empty" } as const;
const unhealthy = { status: 503, details: "health_check_failed_cluster_unhealthy", reason: "failed_cluster_unhealthy" } as const;

/** The first cluster that fails decides. */
export function judgeClusters(wanted: HealthCheckConfig["clusterMinHealthyPercentages"], clusters: ClusterLookup): ClusterVerdict {
  for (const { cluster: name, percentage } of wanted) {
    const hosts = clusters.get(name)?.hosts();
    if (hosts === undefined) return notFound;
    if (hosts.length === 0 && percentage > 0) return empty;
    if (100 * hosts.filter((host) => host.healthy).length < hosts.length * percentage) return unhealthy;
  }
  return healthy;
}
