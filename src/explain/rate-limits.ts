// What a request counts as for the rate limit filters on its way, and which of their limits that meets. What has been counted so far,
// here or by a service, is a running proxy's to know.
import type { LocalDescriptor, LocalRateLimitConfig, TokenBucket } from "../envoy/http-filter/local-ratelimit.ts";
import type { RateLimitConfig, RateLimitPerRoute } from "../envoy/http-filter/ratelimit.ts";
import type { FilterConfig } from "../envoy/listener/listener.ts";
import { isOfDescriptor } from "../filter/http/local-ratelimit/local-limiter.ts";
import { type CountedRequest, type Descriptor, DescriptorSource } from "../http/route/rate-limit.ts";
import { percent } from "./describe.ts";

/** What one filter makes of a request. */
export interface RateLimitFinding {
  /** The filter's name in the chain. */
  readonly filter: string;
  readonly text: string;
  /** What the request counts as, `key=value` an entry. */
  readonly descriptors: readonly string[];
  /** Local buckets that a token is taken of. */
  readonly buckets: readonly TokenBucket[];
  /** What may refuse the request by what it has counted; undefined: nothing there can. */
  readonly undecided: string | undefined;
}

// A proxy's own name is no part of a configuration.
const node = { cluster: "(the proxy's own)" };

/** What rate limit filters that are switched on make of a request, in the order of the chain. */
export function findRateLimits(filters: readonly FilterConfig[], request: CountedRequest): readonly RateLimitFinding[] {
  return filters.flatMap((filter) => {
    const override = request.route?.filterConfig(filter.name);
    if (override?.disabled ?? filter.disabled) return [];
    switch (filter.extension) {
      case "envoy.filters.http.local_ratelimit":
        return [localLimit(filter.name, (override?.config ?? filter.config) as LocalRateLimitConfig, request)];
      case "envoy.filters.http.ratelimit":
        return [globalLimit(filter.name, filter.config as RateLimitConfig, override?.config as RateLimitPerRoute | undefined, request)];
      default:
        return [];
    }
  });
}

function localLimit(filter: string, model: LocalRateLimitConfig, request: CountedRequest): RateLimitFinding {
  const { tokenBucket, descriptors: limits, rateLimits, enabledFraction, enforcedFraction } = model;
  const title = `local rate limit ${model.statPrefix}`;
  if (enabledFraction === 0) return uncounted(filter, `${title} is switched off: filter_enabled is 0%`);
  const source = new DescriptorSource(model.stage, node, true);
  const counted =
    limits.length === 0 ? [] : rateLimits.length > 0 ? source.by(rateLimits, request) : source.ofRoute(request, model.virtualHost);
  const met = counted.flatMap((descriptor) => {
    const limit = limitOf(limits, descriptor);
    return limit === undefined ? [] : [{ limit, text: describe(descriptor) }];
  });
  const shared = tokenBucket !== undefined && (met.length === 0 || model.alwaysConsumeDefault) ? tokenBucket : undefined;
  const parts = met.map(({ limit, text }) => `${text} has ${describeBucket(limit.tokenBucket)}`);
  const others = counted.map(describe).filter((text) => met.every((each) => each.text !== text));
  if (others.length > 0) parts.push(`no descriptor of it is for ${others.join(" or ")}`);
  if (shared !== undefined) parts.push(`${met.length === 0 ? "" : "also "}the bucket of all requests has ${describeBucket(shared)}`);
  const buckets = [...met.map(({ limit }) => limit.tokenBucket), ...(shared === undefined ? [] : [shared])];
  return {
    filter,
    text: `${title}: ${parts.length === 0 ? "the request counts as nothing that is limited" : parts.join("; ")}${shares(enabledFraction, enforcedFraction)}`,
    descriptors: counted.map(describe),
    buckets,
    undecided: buckets.length > 0 && enforcedFraction > 0 ? title : undefined,
  };
}

// As the limiter looks for it: those that say every value come first.
function limitOf(limits: readonly LocalDescriptor[], { entries }: Descriptor): LocalDescriptor | undefined {
  const fitting = limits.filter((limit) => isOfDescriptor(limit.entries, entries));
  return fitting.find((limit) => limit.entries.every(({ value }) => value !== "")) ?? fitting[0];
}

function globalLimit(
  filter: string,
  config: RateLimitConfig,
  override: RateLimitPerRoute | undefined,
  request: CountedRequest,
): RateLimitFinding {
  const { service, requestType, enabledFraction, enforcedFraction } = config;
  const title = `rate limit service ${service.cluster}`;
  if (enabledFraction === 0) return uncounted(filter, `${title} is not asked: filter_enabled is 0%`);
  if (requestType !== "both" && (requestType === "internal") !== request.internal)
    return uncounted(filter, `${title} is not asked: the filter is for ${requestType} requests`);
  if (request.target === undefined) return uncounted(filter, `${title} is not asked: the request is not forwarded`);
  const source = new DescriptorSource(config.stage, node);
  const own = [override?.rateLimits ?? [], config.rateLimits].find((policies) => policies.length > 0);
  const counted = own === undefined ? source.ofRoute(request, override?.virtualHost ?? "override") : source.by(own, request);
  if (counted.length === 0)
    return uncounted(filter, `${title} is not asked: the request counts as nothing, as no rate limit of its route applies`);
  const descriptors = counted.map(describe);
  const domain = override?.domain || config.domain;
  return {
    filter,
    text: `${title} is asked in domain ${domain} about ${descriptors.join(" and ")}${shares(enabledFraction, enforcedFraction)}`,
    descriptors,
    buckets: [],
    undecided: enforcedFraction > 0 || config.failureModeDeny ? title : undefined,
  };
}

const uncounted = (filter: string, text: string): RateLimitFinding => ({
  filter,
  text,
  descriptors: [],
  buckets: [],
  undecided: undefined,
});

const describe = ({ entries, limit }: Descriptor): string => {
  const text = `{${entries.map(({ key, value }) => `${key}=${value}`).join(", ")}}`;
  return limit === undefined ? text : `${text} (with a limit of its own: ${limit.requestsPerUnit})`;
};

const describeBucket = ({ maxTokens, tokensPerFill, fillIntervalMs }: TokenBucket): string =>
  `${maxTokens} ${maxTokens === 1 ? "token" : "tokens"}, ${tokensPerFill} more every ${fillIntervalMs / 1000} s`;

function shares(enabled: number, enforced: number): string {
  const parts = [
    ...(enabled < 1 ? [`${percent(enabled)} of requests are counted`] : []),
    ...(enforced === 0 ? ["nothing is refused"] : enforced < 1 ? [`${percent(enforced)} of those over the limit are refused`] : []),
  ];
  return parts.length === 0 ? "" : ` (${parts.join(", ")})`;
}
