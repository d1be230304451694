// The stats of active health checks under Envoy's names.
import type { Counter, Gauge, StatsScope } from "../../telemetry/stats.ts";

/** `cluster.NAME.health_check.*`. */
export interface HealthStats {
  readonly attempt: Counter;
  readonly success: Counter;
  readonly failure: Counter;
  /** Failed by x-envoy-immediate-health-check-fail of an ordinary response. */
  readonly passiveFailure: Counter;
  readonly networkFailure: Counter;
  /** Answers whose service name was compared. */
  readonly verifyCluster: Counter;
  readonly healthy: Gauge;
  readonly degraded: Gauge;
}

/** Makes them below the cluster's scope. */
export function createHealthStats(cluster: StatsScope): HealthStats {
  const scope = cluster.scope("health_check");
  return {
    attempt: scope.counter("attempt"),
    success: scope.counter("success"),
    failure: scope.counter("failure"),
    passiveFailure: scope.counter("passive_failure"),
    networkFailure: scope.counter("network_failure"),
    verifyCluster: scope.counter("verify_cluster"),
    healthy: scope.gauge("healthy"),
    degraded: scope.gauge("degraded"),
  };
}
