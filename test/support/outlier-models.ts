// Settings of outlier detection for tests of the upstream room.
import type { OutlierDetection } from "../../src/envoy/cluster/outlier-detection.ts";

/** Envoy's defaults, changed by `over`; unlike them any number of hosts may be ejected. */
export function outlierDetection(over: Partial<OutlierDetection> = {}): OutlierDetection {
  return {
    consecutive5xx: 5,
    consecutiveGatewayFailure: 5,
    consecutiveLocalOriginFailure: 5,
    splitExternalLocalOriginErrors: false,
    intervalMs: 10_000,
    baseEjectionTimeMs: 30_000,
    maxEjectionTimeMs: 300_000,
    maxEjectionTimeJitterMs: 0,
    maxEjectionPercent: 100,
    alwaysEjectOneHost: false,
    enforcing: {
      consecutive_5xx: 100,
      consecutive_gateway_failure: 0,
      consecutive_local_origin_failure: 100,
      success_rate: 100,
      local_origin_success_rate: 100,
      failure_percentage: 0,
      local_origin_failure_percentage: 0,
    },
    successRate: { minimumHosts: 5, requestVolume: 100, stdevFactor: 1.9 },
    failurePercentage: { minimumHosts: 5, requestVolume: 50, threshold: 85 },
    ...over,
  };
}
