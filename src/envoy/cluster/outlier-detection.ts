// Envoy cluster.v3.OutlierDetection with its decoder: when hosts are taken out of balancing by how they answer.
import type { Decoder } from "../decode/cursor.ts";
import { message } from "../decode/message.ts";
import { bool, duration, integer, positiveDuration, uint32 } from "../decode/scalars.ts";

/** Why a host is ejected, as Envoy's stats spell it. The `local_origin` ones exist only when origins are told apart. */
export type EjectionKind =
  | "consecutive_5xx"
  | "consecutive_gateway_failure"
  | "consecutive_local_origin_failure"
  | "success_rate"
  | "local_origin_success_rate"
  | "failure_percentage"
  | "local_origin_failure_percentage";

/** cluster.v3.OutlierDetection. */
export interface OutlierDetection {
  /** A host that passes an active health check is readmitted; default true. */
  readonly healthCheckUnejects: boolean;
  /** 5xx (or, unless origins are split, failures to reach the host) in a row; default 5. 0 = never. */
  readonly consecutive5xx: number;
  /** 502, 503, 504 in a row; default 5. 0 = never. */
  readonly consecutiveGatewayFailure: number;
  /** Failures to reach the host in a row, when origins are split; default 5. 0 = never. */
  readonly consecutiveLocalOriginFailure: number;
  /** Tell what the host answered from what kept its answer away; default false. */
  readonly splitExternalLocalOriginErrors: boolean;
  /** Time between sweeps, which readmit hosts and compare success rates; default 10 s. */
  readonly intervalMs: number;
  /** The first ejection's length, added again for each further one; default 30 s. */
  readonly baseEjectionTimeMs: number;
  /** Longest ejection; default 300 s, or the base time if that is longer. */
  readonly maxEjectionTimeMs: number;
  /** At most this much is added at random to each ejection; default 0. */
  readonly maxEjectionTimeJitterMs: number;
  /** Share of the cluster's hosts that may be ejected at a time, percent; default 10. */
  readonly maxEjectionPercent: number;
  /** One host may be ejected whatever the percentage; default false. */
  readonly alwaysEjectOneHost: boolean;
  /** Chance in percent that a detected outlier is ejected; default 100, but 0 for gateway failures and failure percentages. */
  readonly enforcing: Readonly<Record<EjectionKind, number>>;
  /** Defaults 5 hosts of 100 requests an interval; a host is out below mean - factor x deviation, factor 1.9. */
  readonly successRate: { readonly minimumHosts: number; readonly requestVolume: number; readonly stdevFactor: number };
  /** Defaults 5 hosts of 50 requests an interval; a host is out from 85 percent failures on. */
  readonly failurePercentage: { readonly minimumHosts: number; readonly requestVolume: number; readonly threshold: number };
}

const percent = integer(0, 100);

/** cluster.v3.OutlierDetection. */
export const decodeOutlierDetection: Decoder<OutlierDetection> = message("envoy.config.cluster.v3.OutlierDetection", (m) => {
  const baseEjectionTimeMs = m.field("base_ejection_time", positiveDuration, 30_000);
  const maxEjectionTimeMs = m.field("max_ejection_time", positiveDuration, Math.max(300_000, baseEjectionTimeMs));
  if (maxEjectionTimeMs < baseEjectionTimeMs) m.at.error("must not be shorter than base_ejection_time", "max_ejection_time");
  return {
    healthCheckUnejects: m.field("successful_active_health_check_uneject_host", bool, true),
    consecutive5xx: m.field("consecutive_5xx", uint32, 5),
    consecutiveGatewayFailure: m.field("consecutive_gateway_failure", uint32, 5),
    consecutiveLocalOriginFailure: m.field("consecutive_local_origin_failure", uint32, 5),
    splitExternalLocalOriginErrors: m.field("split_external_local_origin_errors", bool, false),
    intervalMs: m.field("interval", positiveDuration, 10_000),
    baseEjectionTimeMs,
    maxEjectionTimeMs,
    maxEjectionTimeJitterMs: m.field("max_ejection_time_jitter", duration, 0),
    maxEjectionPercent: m.field("max_ejection_percent", percent, 10),
    alwaysEjectOneHost: m.field("always_eject_one_host", bool, false),
    enforcing: {
      consecutive_5xx: m.field("enforcing_consecutive_5xx", percent, 100),
      consecutive_gateway_failure: m.field("enforcing_consecutive_gateway_failure", percent, 0),
      consecutive_local_origin_failure: m.field("enforcing_consecutive_local_origin_failure", percent, 100),
      success_rate: m.field("enforcing_success_rate", percent, 100),
      local_origin_success_rate: m.field("enforcing_local_origin_success_rate", percent, 100),
      failure_percentage: m.field("enforcing_failure_percentage", percent, 0),
      local_origin_failure_percentage: m.field("enforcing_failure_percentage_local_origin", percent, 0),
    },
    successRate: {
      minimumHosts: m.field("success_rate_minimum_hosts", uint32, 5),
      requestVolume: m.field("success_rate_request_volume", uint32, 100),
      stdevFactor: m.field("success_rate_stdev_factor", uint32, 1900) / 1000,
    },
    failurePercentage: {
      minimumHosts: m.field("failure_percentage_minimum_hosts", uint32, 5),
      requestVolume: m.field("failure_percentage_request_volume", uint32, 50),
      threshold: m.field("failure_percentage_threshold", percent, 85),
    },
  };
});
