// Listener and clusters of outlier detection: a cluster a case, as nothing makes a host's record empty again.
import { address, header, listener, manager, prefix, v3 } from "../builders.ts";
import type { Origins } from "../origins.ts";
import type { BootstrapPart } from "./part.ts";

const never = { enforcing_success_rate: 0 };
/** Sweeps of these clusters come once while a case runs, at most. */
const rated = {
  interval: "2s",
  base_ejection_time: "60s",
  max_ejection_percent: 100,
  consecutive_5xx: 0,
  consecutive_gateway_failure: 0,
};
const ratePolicy = { success_rate_minimum_hosts: 3, success_rate_request_volume: 1, success_rate_stdev_factor: 1000 };
const percentagePolicy = {
  failure_percentage_minimum_hosts: 2,
  failure_percentage_request_volume: 1,
  failure_percentage_threshold: 50,
  enforcing_failure_percentage: 100,
  enforcing_failure_percentage_local_origin: 100,
  ...never,
  enforcing_local_origin_success_rate: 0,
};

/** Settings by the name of the case's cluster. */
const settings: Readonly<
  Record<string, { readonly detection: object; readonly more?: object; readonly dead?: boolean; readonly strict?: boolean }>
> = {
  row: { detection: { consecutive_5xx: 3, max_ejection_percent: 100 } },
  "row-broken": { detection: { consecutive_5xx: 3, max_ejection_percent: 100 } },
  defaults: { detection: {} },
  gateway: {
    detection: { consecutive_gateway_failure: 2, enforcing_consecutive_gateway_failure: 100, max_ejection_percent: 100 },
  },
  "gateway-500": {
    detection: { consecutive_gateway_failure: 2, enforcing_consecutive_gateway_failure: 100, max_ejection_percent: 100 },
  },
  "gateway-unenforced": { detection: { consecutive_gateway_failure: 2, max_ejection_percent: 100 } },
  "gateway-and-row": {
    detection: {
      consecutive_gateway_failure: 2,
      consecutive_5xx: 2,
      enforcing_consecutive_gateway_failure: 100,
      max_ejection_percent: 100,
    },
  },
  unenforced: { detection: { consecutive_5xx: 2, enforcing_consecutive_5xx: 0, max_ejection_percent: 100 } },
  half: { detection: { consecutive_5xx: 1, max_ejection_percent: 50 } },
  none: { detection: { consecutive_5xx: 1, max_ejection_percent: 0 } },
  one: { detection: { consecutive_5xx: 1, max_ejection_percent: 0, always_eject_one_host: true } },
  all: { detection: { consecutive_5xx: 1, max_ejection_percent: 100 } },
  "all-strict": {
    detection: { consecutive_5xx: 1, max_ejection_percent: 100 },
    strict: true,
  },
  closes: { detection: { consecutive_5xx: 2, max_ejection_percent: 100 } },
  "closes-split": {
    detection: {
      consecutive_5xx: 2,
      consecutive_local_origin_failure: 2,
      split_external_local_origin_errors: true,
      max_ejection_percent: 100,
    },
  },
  "hangs-split": {
    detection: {
      consecutive_5xx: 2,
      consecutive_local_origin_failure: 2,
      split_external_local_origin_errors: true,
      max_ejection_percent: 100,
    },
  },
  hangs: { detection: { consecutive_5xx: 2, max_ejection_percent: 100 } },
  "row-split": {
    detection: {
      consecutive_5xx: 2,
      consecutive_local_origin_failure: 2,
      split_external_local_origin_errors: true,
      max_ejection_percent: 100,
    },
  },
  dead: { detection: { consecutive_5xx: 2, max_ejection_percent: 100 }, dead: true },
  "dead-local": {
    detection: {
      consecutive_5xx: 2,
      consecutive_local_origin_failure: 2,
      split_external_local_origin_errors: true,
      max_ejection_percent: 100,
    },
    dead: true,
  },
  "dead-unenforced": {
    detection: {
      consecutive_local_origin_failure: 2,
      split_external_local_origin_errors: true,
      enforcing_consecutive_local_origin_failure: 0,
      max_ejection_percent: 100,
    },
    dead: true,
  },
  grpc: { detection: { consecutive_5xx: 2, max_ejection_percent: 100 } },
  back: { detection: { consecutive_5xx: 1, max_ejection_percent: 100, interval: "0.1s", base_ejection_time: "0.3s" } },
  "grows-to": {
    detection: { consecutive_5xx: 1, max_ejection_percent: 100, interval: "0.1s", base_ejection_time: "0.3s", max_ejection_time: "0.3s" },
  },
  decays: { detection: { consecutive_5xx: 1, max_ejection_percent: 100, interval: "0.1s", base_ejection_time: "0.3s" } },
  rate: { detection: { ...rated, ...ratePolicy } },
  "rate-unenforced": { detection: { ...rated, ...ratePolicy, enforcing_success_rate: 0 } },
  "rate-few": { detection: { ...rated, ...ratePolicy, success_rate_minimum_hosts: 5 } },
  percentage: { detection: { ...rated, ...percentagePolicy } },
  "percentage-unenforced": { detection: { ...rated, ...percentagePolicy, enforcing_failure_percentage: 0 } },
  "rate-local": { detection: { ...rated, ...ratePolicy, split_external_local_origin_errors: true, consecutive_local_origin_failure: 0 } },
  "percentage-local": {
    detection: { ...rated, ...percentagePolicy, split_external_local_origin_errors: true, consecutive_local_origin_failure: 0 },
  },
  checked: {
    detection: { consecutive_5xx: 1, max_ejection_percent: 100, base_ejection_time: "60s" },
    more: { health_checks: [checkBy("/e")] },
  },
  "checked-kept": {
    detection: {
      consecutive_5xx: 1,
      max_ejection_percent: 100,
      base_ejection_time: "60s",
      successful_active_health_check_uneject_host: false,
    },
    more: { health_checks: [checkBy("/e")] },
  },
};

function checkBy(path: string): object {
  return {
    timeout: "1s",
    interval: "0.2s",
    no_traffic_interval: "0.2s",
    unhealthy_threshold: 1,
    healthy_threshold: 1,
    http_health_check: { path },
  };
}

/** The hosts of each cluster are 127.0.0.2 to .5; where one is dead, it is the only one. */
export function outlierPart(origins: Origins): BootstrapPart {
  const hosts = (dead: boolean): readonly object[] =>
    dead ? [address(origins.refused)] : [2, 3, 4, 5].map((last) => address(origins.http, `127.0.0.${last}`));
  const names = Object.keys(settings);
  const route = (name: string): object => ({
    ...prefix(`/${name}/`, {
      route: {
        cluster: `od-${name}`,
        timeout: name.startsWith("hangs") ? "0.4s" : "5s",
        prefix_rewrite: "/",
        hash_policy: [{ header: { header_name: "x-key" } }],
      },
    }),
    response_headers_to_add: [header("x-host", "%UPSTREAM_HOST%")],
  });
  return {
    listeners: [listener("outlier", manager("outlier", [{ name: "all", domains: ["*"], routes: names.map(route) }]))],
    clusters: names.map((name) => {
      const { detection, more = {}, dead = false, strict = false } = settings[name]!;
      return {
        name: `od-${name}`,
        type: "STATIC",
        connect_timeout: "1s",
        lb_policy: "RING_HASH",
        load_assignment: { cluster_name: `od-${name}`, endpoints: [{ lb_endpoints: hosts(dead) }] },
        outlier_detection: detection,
        // What isthmus does: Envoy's workers learn of a second change within a second only when that is over.
        common_lb_config: { update_merge_window: "0s", ...(strict ? { healthy_panic_threshold: { value: 0 } } : {}) },
        typed_extension_protocol_options: {
          "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": `${v3}.extensions.upstreams.http.v3.HttpProtocolOptions`,
            explicit_http_config: { http_protocol_options: {} },
          },
        },
        ...more,
      };
    }),
  };
}
