// Outlier detection of a cluster as Envoy's message.
import type { Json } from "../envoy-json.ts";
import type { OutlierDetection } from "../istio/outlier-detection.ts";

/** `outlier_detection`. Ejection by success rate is off, as Istio has no setting for it. */
export function outlierDetectionFields(detection: OutlierDetection | undefined): Json {
  if (detection === undefined) return {};
  const {
    consecutive5xxErrors: errors,
    consecutiveGatewayErrors: gatewayErrors,
    consecutiveLocalOriginFailures: localFailures,
  } = detection;
  return {
    outlier_detection: {
      enforcing_success_rate: 0,
      ...(errors === undefined ? {} : { consecutive_5xx: errors, enforcing_consecutive_5xx: enforcing(errors) }),
      ...(gatewayErrors === undefined
        ? {}
        : { consecutive_gateway_failure: gatewayErrors, enforcing_consecutive_gateway_failure: enforcing(gatewayErrors) }),
      ...(detection.interval === undefined ? {} : { interval: detection.interval }),
      ...(detection.baseEjectionTime === undefined ? {} : { base_ejection_time: detection.baseEjectionTime }),
      ...(detection.maxEjectionPercent === 0 ? {} : { max_ejection_percent: detection.maxEjectionPercent }),
      ...(detection.splitLocalOriginErrors
        ? {
            split_external_local_origin_errors: true,
            ...(localFailures === 0
              ? {}
              : { consecutive_local_origin_failure: localFailures, enforcing_consecutive_local_origin_failure: enforcing(localFailures) }),
            enforcing_local_origin_success_rate: 0,
          }
        : {}),
    },
  };
}

/** Percent of the ejections that happen: zero errors to eject is how a kind of error is switched off. */
const enforcing = (errors: number): number => (errors > 0 ? 100 : 0);
