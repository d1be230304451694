// Settings of health checks for tests of the upstream room.
import { decodeHealthCheck, type HealthCheck } from "../../src/envoy/cluster/health-check.ts";
import { accepted } from "../unit/envoy/decoding.ts";

/** A check by connecting, every 10 s for at most 1 s, thresholds 2, as an Envoy configuration. */
export function healthCheckJson(over: object = { tcp_health_check: {} }): object {
  return { timeout: "1s", interval: "10s", no_traffic_interval: "60s", unhealthy_threshold: 2, healthy_threshold: 2, ...over };
}

/** The same, decoded. */
export function healthCheck(over?: object): HealthCheck {
  return accepted(decodeHealthCheck, healthCheckJson(over));
}
