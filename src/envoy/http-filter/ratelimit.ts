// Envoy extensions.filters.http.ratelimit.v3.RateLimit and its per-route form: a service that is asked whether a request is one too many.
import type { Decoder } from "../decode/cursor.ts";
import { message } from "../decode/message.ts";
import { bool, duration, enumeration, list, nonEmpty, text, uint32 } from "../decode/scalars.ts";
import { type GrpcService, grpcService } from "../grpc-service.ts";
import { decodeHttpStatus } from "../http-status.ts";
import { decodeRuntimeShare } from "../percent.ts";
import { decodeHeaderValueOption } from "../route/header-mutations.ts";
import { decodeRateLimitPolicies, type RateLimitPolicy } from "../route/rate-limit.ts";
import type { HeaderValueOption } from "../route/route.ts";

/** RateLimit. */
export interface RateLimitConfig {
  readonly domain: string;
  /** Rate limits of this stage count. */
  readonly stage: number;
  readonly requestType: "internal" | "external" | "both";
  readonly service: GrpcService;
  /** Requests are refused when the service gives no answer. */
  readonly failureModeDeny: boolean;
  readonly asResourceExhausted: boolean;
  /** enable_x_ratelimit_headers is DRAFT_VERSION_03. */
  readonly xRateLimitHeaders: boolean;
  readonly xEnvoyRateLimited: boolean;
  /** Status of limited requests, default 429. */
  readonly status: number;
  /** Of refused requests. */
  readonly responseHeadersToAdd: readonly HeaderValueOption[];
  /** Status where the service gives no answer, default 500. */
  readonly statusOnError: number;
  /** Empty: no part of the names of statistics. */
  readonly statPrefix: string;
  /** Instead of those of routes. */
  readonly rateLimits: readonly RateLimitPolicy[];
  /** Share of requests that are asked about, 0..1; default 1. */
  readonly enabledFraction: number;
  /** Share of limited requests that are refused, 0..1; default 1. */
  readonly enforcedFraction: number;
}

/** RateLimitPerRoute. */
export interface RateLimitPerRoute {
  /** What becomes of the virtual host's rate limits where the route has its own. */
  readonly virtualHost: "override" | "include" | "ignore";
  /** Instead of those of route and virtual host. */
  readonly rateLimits: readonly RateLimitPolicy[];
  /** Empty: the filter's. */
  readonly domain: string;
}

const strict = { unhandled: "error" } as const;

// Envoy's, where the filter gives none.
const defaultTimeoutMs = 20;

const decodeService: Decoder<GrpcService> = message(
  "envoy.config.ratelimit.v3.RateLimitServiceConfig",
  (m) => {
    m.accept("transport_api_version");
    return m.required("grpc_service", grpcService(-1));
  },
  strict,
);

const xHeaders = enumeration({ OFF: 0, DRAFT_VERSION_03: 1 });

/** RateLimit. */
export const decodeRateLimit: Decoder<RateLimitConfig> = message(
  "envoy.extensions.filters.http.ratelimit.v3.RateLimit",
  (m) => {
    m.refuse("denying a share of the requests only", "failure_mode_deny_percent");
    const requestType = m.field("request_type", text, "");
    if (requestType !== "" && requestType !== "both" && requestType !== "internal" && requestType !== "external")
      m.at.error("expected internal, external or both", "request_type");
    const stage = m.field("stage", uint32, 0);
    if (stage > 10) m.at.error("the last stage is 10", "stage");
    const timeoutMs = m.field("timeout", duration, undefined);
    const service = m.required("rate_limit_service", decodeService);
    const status = m.field("rate_limited_status", decodeHttpStatus, 429);
    const statusOnError = m.field("status_on_error", decodeHttpStatus, 500);
    return {
      domain: m.required("domain", nonEmpty),
      stage,
      requestType: requestType === "internal" || requestType === "external" ? requestType : "both",
      // The filter's own timeout is what calls of Envoy's have.
      service: { ...service, timeoutMs: timeoutMs ?? defaultTimeoutMs },
      failureModeDeny: m.field("failure_mode_deny", bool, false),
      asResourceExhausted: m.field("rate_limited_as_resource_exhausted", bool, false),
      xRateLimitHeaders: m.field("enable_x_ratelimit_headers", xHeaders, "OFF") === "DRAFT_VERSION_03",
      xEnvoyRateLimited: !m.field("disable_x_envoy_ratelimited_header", bool, false),
      // Envoy turns statuses that are not errors into the default.
      status: status < 400 ? 429 : status,
      responseHeadersToAdd: m.field("response_headers_to_add", list(decodeHeaderValueOption, { max: 10 }), []),
      statusOnError: statusOnError < 400 ? 500 : statusOnError,
      statPrefix: m.field("stat_prefix", text, ""),
      rateLimits: m.field("rate_limits", decodeRateLimitPolicies, []),
      enabledFraction: m.field("filter_enabled", decodeRuntimeShare, 1),
      enforcedFraction: m.field("filter_enforced", decodeRuntimeShare, 1),
    };
  },
  strict,
);

const vhOptions = enumeration({ OVERRIDE: 0, INCLUDE: 1, IGNORE: 2 });
const overrideOptions = enumeration({ DEFAULT: 0, OVERRIDE_POLICY: 1, INCLUDE_POLICY: 2, IGNORE_POLICY: 3 });
const byVhOption = { OVERRIDE: "override", INCLUDE: "include", IGNORE: "ignore" } as const;
const byOverride = { DEFAULT: undefined, OVERRIDE_POLICY: "override", INCLUDE_POLICY: "include", IGNORE_POLICY: "ignore" } as const;

/** RateLimitPerRoute. */
export const decodeRateLimitPerRoute: Decoder<RateLimitPerRoute> = message(
  "envoy.extensions.filters.http.ratelimit.v3.RateLimitPerRoute",
  (m) => {
    const option = byOverride[m.field("override_option", overrideOptions, "DEFAULT")];
    const older = byVhOption[m.field("vh_rate_limits", vhOptions, "OVERRIDE")];
    return {
      virtualHost: option ?? older,
      rateLimits: m.field("rate_limits", decodeRateLimitPolicies, []),
      domain: m.field("domain", text, ""),
    };
  },
  strict,
);
