// The policies of a route: retries, faults, CORS, shares.
import { extension, type Json } from "../envoy-json.ts";
import type { CorsRules, FaultInjection, Percentage, Retries } from "../istio/route/http-policy.ts";
import { parseDurationSeconds } from "../object/duration.ts";
import { stringMatcher } from "./route-match.ts";

const previousHosts = extension(
  "envoy.retry_host_predicates.previous_hosts",
  "envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate",
);

const avoidPreviousHosts: Json = { retry_host_predicate: [previousHosts] };

/** What is retried unless MeshConfig or a VirtualService says otherwise. */
const defaultRetryPolicy: Json = {
  retry_on: "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes",
  num_retries: 2,
  ...avoidPreviousHosts,
  host_selection_retry_max_attempts: "5",
};

/** What is retried of requests that are hashed to one host: the same, and there. */
const hashedRetryPolicy: Json = Object.fromEntries(Object.entries(defaultRetryPolicy).filter(([key]) => key !== "retry_host_predicate"));

/** The `retry_policy` field of a route, or no field when nothing is retried. `hashed`: all its requests are hashed by one policy. */
export function retryField(retries: Retries | undefined, hashed: boolean): Json {
  if (retries === undefined) return { retry_policy: hashed ? hashedRetryPolicy : defaultRetryPolicy };
  if (retries.attempts === 0) return {};
  return {
    retry_policy: {
      retry_on: defaultRetryPolicy["retry_on"],
      ...retryConditions(retries.retryOn),
      num_retries: retries.attempts,
      ...((retries.ignorePreviousHosts ?? !hashed) ? avoidPreviousHosts : {}),
      host_selection_retry_max_attempts: defaultRetryPolicy["host_selection_retry_max_attempts"],
      ...(retries.perTryTimeout === undefined ? {} : { per_try_timeout: retries.perTryTimeout }),
      ...(retries.backoff === undefined ? {} : { retry_back_off: { base_interval: retries.backoff } }),
      ...(retries.remoteLocalities ? { retry_priority: previousPriorities } : {}),
    },
  };
}

const previousPriorities = extension(
  "envoy.retry_priorities.previous_priorities",
  "envoy.extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig",
  { update_frequency: 2 },
);

/** Words are Envoy's own; numbers are statuses that are retried too. */
function retryConditions(retryOn: string): Json {
  const parts = retryOn
    .split(",")
    .map((part) => part.trim())
    .filter((part) => part !== "");
  if (parts.length === 0) return {};
  const codes = parts.filter((part) => /^\d+$/.test(part)).map(Number);
  const words = parts.filter((part) => !/^\d+$/.test(part));
  if (codes.length > 0 && !words.includes("retriable-status-codes")) words.push("retriable-status-codes");
  return { retry_on: words.join(","), ...(codes.length === 0 ? {} : { retriable_status_codes: codes }) };
}

/** type.v3.FractionalPercent. */
export function fractionalPercent({ kind, value }: Percentage): Json {
  const numerator = kind === "whole" ? value : Math.trunc(value * 10_000);
  return { ...(numerator === 0 ? {} : { numerator }), ...(kind === "whole" ? {} : { denominator: "MILLION" }) };
}

/** The `typed_per_filter_config` field of a route, or no field. */
export function filterOverrides(fault: FaultInjection | undefined, cors: CorsRules | undefined): Json {
  if (fault === undefined && cors === undefined) return {};
  return {
    typed_per_filter_config: {
      ...(fault === undefined ? {} : { "envoy.filters.http.fault": faultConfig(fault) }),
      ...(cors === undefined ? {} : { "envoy.filters.http.cors": corsConfig(cors) }),
    },
  };
}

function faultConfig({ delay, abort }: FaultInjection): Json {
  return {
    "@type": "type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault",
    ...(delay === undefined ? {} : { delay: { fixed_delay: delay.fixedDelay, percentage: fractionalPercent(delay.percentage) } }),
    ...(abort === undefined
      ? {}
      : {
          abort: {
            ...(abort.status.kind === "http" ? { http_status: abort.status.code } : { grpc_status: abort.status.code }),
            ...(abort.percentage === undefined ? {} : { percentage: fractionalPercent(abort.percentage) }),
          },
        }),
  };
}

function corsConfig(cors: CorsRules): Json {
  const origins = cors.allowOrigins.flatMap((origin) => (origin.kind === "present" ? [] : [stringMatcher(origin)]));
  const text = (key: string, words: readonly string[]): Json => (words.length === 0 ? {} : { [key]: words.join(",") });
  return {
    "@type": "type.googleapis.com/envoy.extensions.filters.http.cors.v3.CorsPolicy",
    ...(origins.length === 0 ? {} : { allow_origin_string_match: origins }),
    ...text("allow_methods", cors.allowMethods),
    ...text("allow_headers", cors.allowHeaders),
    ...text("expose_headers", cors.exposeHeaders),
    ...(cors.maxAge === undefined ? {} : { max_age: String(Math.trunc(parseDurationSeconds(cors.maxAge) ?? 0)) }),
    ...(cors.allowCredentials === undefined ? {} : { allow_credentials: cors.allowCredentials }),
    filter_enabled: { default_value: { numerator: 100 } },
    forward_not_matching_preflights: cors.forwardUnmatchedPreflights,
  };
}
