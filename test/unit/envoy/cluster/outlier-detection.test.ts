import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { decodeCluster } from "../../../../src/envoy/cluster/cluster-decoder.ts";
import { decodeOutlierDetection } from "../../../../src/envoy/cluster/outlier-detection.ts";
import { accepted, issuesOf, staticCluster } from "../decoding.ts";

suite("decodeOutlierDetection", () => {
  test("a cluster without it has none, an empty one means Envoy's defaults", () => {
    assert.equal("outlierDetection" in accepted(decodeCluster, staticCluster("a")), false);
    assert.deepEqual(accepted(decodeCluster, staticCluster("a", { outlier_detection: {} })).outlierDetection, {
      healthCheckUnejects: true,
      consecutive5xx: 5,
      consecutiveGatewayFailure: 5,
      consecutiveLocalOriginFailure: 5,
      splitExternalLocalOriginErrors: false,
      intervalMs: 10_000,
      baseEjectionTimeMs: 30_000,
      maxEjectionTimeMs: 300_000,
      maxEjectionTimeJitterMs: 0,
      maxEjectionPercent: 10,
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
    });
  });

  test("reads every field, zero as zero", () => {
    const value = accepted(decodeOutlierDetection, {
      consecutive_5xx: 0,
      consecutive_gateway_failure: 2,
      consecutive_local_origin_failure: 3,
      split_external_local_origin_errors: true,
      interval: "0.5s",
      base_ejection_time: "1s",
      max_ejection_time: "2s",
      max_ejection_time_jitter: "0.1s",
      max_ejection_percent: 0,
      always_eject_one_host: true,
      successful_active_health_check_uneject_host: true,
      enforcing_consecutive_5xx: 1,
      enforcing_consecutive_gateway_failure: 2,
      enforcing_consecutive_local_origin_failure: 3,
      enforcing_success_rate: 4,
      enforcing_local_origin_success_rate: 5,
      enforcing_failure_percentage: 6,
      enforcing_failure_percentage_local_origin: 7,
      success_rate_minimum_hosts: 8,
      success_rate_request_volume: 9,
      success_rate_stdev_factor: 1000,
      failure_percentage_minimum_hosts: 11,
      failure_percentage_request_volume: 12,
      failure_percentage_threshold: 13,
    });
    assert.deepEqual(value, {
      healthCheckUnejects: true,
      consecutive5xx: 0,
      consecutiveGatewayFailure: 2,
      consecutiveLocalOriginFailure: 3,
      splitExternalLocalOriginErrors: true,
      intervalMs: 500,
      baseEjectionTimeMs: 1_000,
      maxEjectionTimeMs: 2_000,
      maxEjectionTimeJitterMs: 100,
      maxEjectionPercent: 0,
      alwaysEjectOneHost: true,
      enforcing: {
        consecutive_5xx: 1,
        consecutive_gateway_failure: 2,
        consecutive_local_origin_failure: 3,
        success_rate: 4,
        local_origin_success_rate: 5,
        failure_percentage: 6,
        local_origin_failure_percentage: 7,
      },
      successRate: { minimumHosts: 8, requestVolume: 9, stdevFactor: 1 },
      failurePercentage: { minimumHosts: 11, requestVolume: 12, threshold: 13 },
    });
  });

  test("the longest ejection is at least the base time unless it is given", () => {
    assert.equal(accepted(decodeOutlierDetection, { base_ejection_time: "600s" }).maxEjectionTimeMs, 600_000);
  });

  for (const [title, json, expected] of [
    [
      "a longest ejection below the base time",
      { base_ejection_time: "5s", max_ejection_time: "4s" },
      ["error max_ejection_time: must not be shorter than base_ejection_time"],
    ],
    ["more than the whole", { max_ejection_percent: 101 }, ["error max_ejection_percent: expected a number from 0 to 100, got 101"]],
    ["no interval", { interval: "0s" }, ["error interval: must be longer than 0s"]],
    [
      "what is not honoured, as warnings",
      { monitors: [{ name: "x" }], detect_degraded_hosts: true },
      ["warning monitors: is not honoured", "warning detect_degraded_hosts: is not honoured"],
    ],
  ] as const) {
    test(`reports ${title}`, () => assert.deepEqual(issuesOf(decodeOutlierDetection, json), expected));
  }
});
