// Envoy extensions.filters.http.local_ratelimit.v3.LocalRateLimit: token buckets of a filter or route, and of what requests count as.
import type { Decoder } from "../decode/cursor.ts";
import { message } from "../decode/message.ts";
import { bool, enumeration, integer, list, nonEmpty, positiveDuration, text, uint32 } from "../decode/scalars.ts";
import { decodeHeaderValueOption } from "../route/header-mutations.ts";
import { decodeRateLimitPolicies, type RateLimitPolicy } from "../route/rate-limit.ts";
import { decodeRuntimeShare } from "../percent.ts";
import type { HeaderValueOption } from "../route/route.ts";

/** type.v3.TokenBucket. */
export interface TokenBucket {
  readonly maxTokens: number;
  readonly tokensPerFill: number;
  readonly fillIntervalMs: number;
}

/** extensions.common.ratelimit.v3.LocalRateLimitDescriptor. */
export interface LocalDescriptor {
  /** An empty value stands for any, each with a bucket of its own. */
  readonly entries: readonly { readonly key: string; readonly value: string }[];
  readonly tokenBucket: TokenBucket;
}

/** LocalRateLimit; also its per-route form. */
export interface LocalRateLimitConfig {
  readonly statPrefix: string;
  /** Status of limited requests, default 429. */
  readonly status: number;
  /** Absent: nothing is limited. */
  readonly tokenBucket?: TokenBucket;
  /** Buckets of their own for what requests count as. */
  readonly descriptors: readonly LocalDescriptor[];
  /** What requests count as, instead of what their routes say. */
  readonly rateLimits: readonly RateLimitPolicy[];
  /** Rate limits of this stage count. */
  readonly stage: number;
  /** What becomes of the virtual host's rate limits where the route has its own. */
  readonly virtualHost: "override" | "include" | "ignore";
  /** Requests with a descriptor take a token of the filter's bucket, too. */
  readonly alwaysConsumeDefault: boolean;
  /** Values that are told apart by one descriptor with an open value; the one longest unused goes. Default 20. */
  readonly maxDynamicDescriptors: number;
  /** Share of requests that are counted, 0..1; default 0. */
  readonly enabledFraction: number;
  /** Share of counted requests that are refused when over the limit, 0..1; default 0. */
  readonly enforcedFraction: number;
  readonly requestHeadersToAddWhenNotEnforced: readonly HeaderValueOption[];
  readonly responseHeadersToAdd: readonly HeaderValueOption[];
  /** enable_x_ratelimit_headers is DRAFT_VERSION_03. */
  readonly xRateLimitHeaders: boolean;
  /** A bucket for each connection and not one for all. */
  readonly perConnection: boolean;
  /** Limited gRPC requests end with RESOURCE_EXHAUSTED and not UNAVAILABLE. */
  readonly asResourceExhausted: boolean;
}

const strict = { unhandled: "error" } as const;

// Envoy fills at most every 50 ms.
const minFillIntervalMs = 50;

/** type.v3.TokenBucket. */
const decodeTokenBucket: Decoder<TokenBucket> = message("envoy.type.v3.TokenBucket", (m) => {
  const fillIntervalMs = m.required("fill_interval", positiveDuration);
  if (m.has("fill_interval") && fillIntervalMs < minFillIntervalMs) m.at.error("Envoy's shortest fill interval is 0.050s", "fill_interval");
  return {
    maxTokens: m.required("max_tokens", integer(1, 0xffff_ffff)),
    tokensPerFill: m.field("tokens_per_fill", integer(1, 0xffff_ffff), 1),
    fillIntervalMs,
  };
});

const decodeStatus = message("envoy.type.v3.HttpStatus", (m) => {
  const code = m.required("code", (json, at) => statusCode(statusNames.get(json) ?? json, at));
  // Envoy turns statuses that are not errors into 429.
  return code < 400 ? 429 : code;
});
// The enum's names that make sense for a limit; others are given as numbers.
const statusNames = new Map<unknown, number>([
  ["TooManyRequests", 429],
  ["ServiceUnavailable", 503],
  ["Forbidden", 403],
  ["BadRequest", 400],
]);
const statusCode = integer(100, 599);
const xHeaders = enumeration({ OFF: 0, DRAFT_VERSION_03: 1 });
const limitedHeaders = list(decodeHeaderValueOption, { max: 10 });

const decodeEntry = message(
  "envoy.extensions.common.ratelimit.v3.RateLimitDescriptor.Entry",
  (m) => ({ key: m.required("key", nonEmpty), value: m.field("value", text, "") }),
  strict,
);
const decodeDescriptor: Decoder<LocalDescriptor> = message(
  "envoy.extensions.common.ratelimit.v3.LocalRateLimitDescriptor",
  (m) => ({ entries: m.required("entries", list(decodeEntry, { min: 1 })), tokenBucket: m.required("token_bucket", decodeTokenBucket) }),
  strict,
);
const decodeDescriptors: Decoder<readonly LocalDescriptor[]> = (json, at) => {
  const descriptors = list(decodeDescriptor)(json, at);
  const seen = new Set<string>();
  descriptors.forEach(({ entries }, index) => {
    const key = JSON.stringify(entries);
    if (seen.has(key)) at.error("the same descriptor is already there", index);
    seen.add(key);
  });
  return descriptors;
};
const vhOptions = enumeration({ OVERRIDE: 0, INCLUDE: 1, IGNORE: 2 });
const byOption = { OVERRIDE: "override", INCLUDE: "include", IGNORE: "ignore" } as const;
const positive = integer(1, 0xffff_ffff);

/** LocalRateLimit. */
export const decodeLocalRateLimit: Decoder<LocalRateLimitConfig> = message(
  "envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit",
  (m) => {
    const stage = m.field("stage", uint32, 0);
    if (stage > 10) m.at.error("the last stage is 10", "stage");
    m.refuse("sharing a limit among proxies", "local_cluster_rate_limit");
    return {
      statPrefix: m.required("stat_prefix", nonEmpty),
      status: m.field("status", decodeStatus, 429),
      ...m.maybe("tokenBucket", "token_bucket", decodeTokenBucket),
      descriptors: m.field("descriptors", decodeDescriptors, []),
      rateLimits: m.field("rate_limits", decodeRateLimitPolicies, []),
      stage,
      virtualHost: byOption[m.field("vh_rate_limits", vhOptions, "OVERRIDE")],
      alwaysConsumeDefault: m.field("always_consume_default_token_bucket", bool, true),
      maxDynamicDescriptors: m.field("max_dynamic_descriptors", positive, 20),
      enabledFraction: m.field("filter_enabled", decodeRuntimeShare, 0),
      enforcedFraction: m.field("filter_enforced", decodeRuntimeShare, 0),
      requestHeadersToAddWhenNotEnforced: m.field("request_headers_to_add_when_not_enforced", limitedHeaders, []),
      responseHeadersToAdd: m.field("response_headers_to_add", limitedHeaders, []),
      xRateLimitHeaders: m.field("enable_x_ratelimit_headers", xHeaders, "OFF") === "DRAFT_VERSION_03",
      perConnection: m.field("local_rate_limit_per_downstream_connection", bool, false),
      asResourceExhausted: m.field("rate_limited_as_resource_exhausted", bool, false),
    };
  },
  { unhandled: "error" },
);

/** LocalRateLimit as a route's own, which Envoy takes with a token bucket only. */
export const decodeLocalRateLimitPerRoute: Decoder<LocalRateLimitConfig> = (json, at) => {
  const limit = decodeLocalRateLimit(json, at);
  if (limit.tokenBucket === undefined)
    at.error("required where a route limits: to limit nothing, disable the filter there", "token_bucket");
  return limit;
};

/** True when this configuration limits nothing. */
export function isInertLocalRateLimit(config: unknown): boolean {
  const limit = config as LocalRateLimitConfig;
  return (limit.tokenBucket === undefined && limit.descriptors.length === 0) || limit.enabledFraction === 0;
}
