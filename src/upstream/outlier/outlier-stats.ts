// The stats of outlier detection under Envoy's names, the three that Envoy calls deprecated included.
import type { EjectionKind } from "../../envoy/cluster/outlier-detection.ts";
import type { Counter, Gauge, StatsScope } from "../../telemetry/stats.ts";

/** `cluster.NAME.outlier_detection.*`. */
export interface OutlierStats {
  readonly active: Gauge;
  /** Detected, but max_ejection_percent of the hosts were out already, or it is the last way to a network. */
  readonly overflow: Counter;
  readonly enforcedTotal: Counter;
  readonly detected: Readonly<Record<EjectionKind, Counter>>;
  readonly enforced: Readonly<Record<EjectionKind, Counter>>;
  readonly oldTotal: Counter;
  readonly oldConsecutive5xx: Counter;
  readonly oldSuccessRate: Counter;
}

/** Makes them below the cluster's scope. */
export function createOutlierStats(cluster: StatsScope): OutlierStats {
  const scope = cluster.scope("outlier_detection");
  const byKind = (prefix: string): Readonly<Record<EjectionKind, Counter>> => ({
    consecutive_5xx: scope.counter(`${prefix}_consecutive_5xx`),
    consecutive_gateway_failure: scope.counter(`${prefix}_consecutive_gateway_failure`),
    consecutive_local_origin_failure: scope.counter(`${prefix}_consecutive_local_origin_failure`),
    success_rate: scope.counter(`${prefix}_success_rate`),
    local_origin_success_rate: scope.counter(`${prefix}_local_origin_success_rate`),
    failure_percentage: scope.counter(`${prefix}_failure_percentage`),
    local_origin_failure_percentage: scope.counter(`${prefix}_local_origin_failure_percentage`),
  });
  return {
    active: scope.gauge("ejections_active"),
    overflow: scope.counter("ejections_overflow"),
    enforcedTotal: scope.counter("ejections_enforced_total"),
    detected: byKind("ejections_detected"),
    enforced: byKind("ejections_enforced"),
    oldTotal: scope.counter("ejections_total"),
    oldConsecutive5xx: scope.counter("ejections_consecutive_5xx"),
    oldSuccessRate: scope.counter("ejections_success_rate"),
  };
}
