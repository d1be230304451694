// envoy.filters.http.local_ratelimit: refuses requests over a token bucket's rate. Buckets belong to one worker: with several
// workers each lets the configured rate pass.
import type { LocalRateLimitConfig } from "../../../envoy/http-filter/local-ratelimit.ts";
import type { HttpFilter, HttpFilterContext, HttpFilterSpec } from "../../../http/filter.ts";
import type { HeaderMutator } from "../../../http/route/route-table.ts";
import { compileLevel } from "../../../http/route/header-mutator.ts";
import { perRoute } from "../../../http/route/per-route.ts";
import { type Descriptor, DescriptorSource } from "../../../http/route/rate-limit.ts";
import type { HttpStream } from "../../../http/stream.ts";
import { compileFormat } from "../../../telemetry/format.ts";
import { flag } from "../../../telemetry/response-flag.ts";
import type { Counter } from "../../../telemetry/stats.ts";
import type { ConnectionInfo } from "../../../telemetry/stream-info.ts";
import { HeaderMap } from "../../../wire/header-map.ts";
import { LocalLimiter, type Taken } from "./local-limiter.ts";
import type { TokenBucket } from "./token-bucket.ts";

/** The local rate limit filter. */
export const localRateLimit: HttpFilterSpec = {
  extension: "envoy.filters.http.local_ratelimit",
  create: (config, context) => createLocalRateLimit(config as LocalRateLimitConfig, context),
};

/** A compiled limit. */
interface Limit {
  readonly model: LocalRateLimitConfig;
  take(stream: HttpStream): Taken;
  readonly responseHeaders: HeaderMutator | undefined;
  readonly requestHeaders: HeaderMutator | undefined;
  readonly stats: { readonly enabled: Counter; readonly ok: Counter; readonly rateLimited: Counter; readonly enforced: Counter };
}

function createLocalRateLimit(config: LocalRateLimitConfig, context: HttpFilterContext): HttpFilter {
  const own = compileLimit(config, context);
  const override = perRoute(context.filterName, (model: LocalRateLimitConfig) => ({ limit: compileLimit(model, context) }));
  const { random } = context;
  const draw = (fraction: number): boolean => fraction >= 1 || (fraction > 0 && random() < fraction);
  return {
    onRequestHeaders: (stream, _endStream, index) => {
      const route = override(stream);
      const limit = route === undefined ? own : route.limit;
      if (limit === undefined || !draw(limit.model.enabledFraction)) return "continue";
      limit.stats.enabled.inc();
      const { allowed, bucket } = limit.take(stream);
      if (limit.model.xRateLimitHeaders) (stream.filterState ??= [])[index] = bucket;
      if (allowed) {
        limit.stats.ok.inc();
        return "continue";
      }
      limit.stats.rateLimited.inc();
      if (!draw(limit.model.enforcedFraction)) {
        limit.requestHeaders?.apply(stream.headers, stream.info);
        return "continue";
      }
      limit.stats.enforced.inc();
      refuse(stream, limit);
      return "stop";
    },
    onResponseHeaders: (stream, _endStream, index) => {
      const bucket = stream.filterState?.[index] as TokenBucket | undefined;
      if (bucket === undefined) return "continue";
      const headers = stream.responseHeaders!;
      headers.set("x-ratelimit-limit", String(bucket.maxTokens));
      headers.set("x-ratelimit-remaining", String(bucket.remaining));
      headers.set("x-ratelimit-reset", String(bucket.resetSeconds));
      return "continue";
    },
  };
}

function refuse(stream: HttpStream, { model, responseHeaders }: Limit): void {
  const headers = new HeaderMap();
  responseHeaders?.apply(headers, stream.info);
  stream.sendLocalReply({
    status: model.status,
    body: "local_rate_limited",
    details: "local_rate_limited",
    flags: flag.RL,
    headers: headers.names.map((name, i) => [name, headers.values[i]!] as const),
    // UNAVAILABLE unless told otherwise, whatever the HTTP status.
    grpcStatus: model.asResourceExhausted ? 8 : 14,
  });
}

// Undefined: nothing is limited.
function compileLimit(model: LocalRateLimitConfig, context: HttpFilterContext): Limit | undefined {
  if (model.tokenBucket === undefined && model.descriptors.length === 0) return undefined;
  const scope = context.stats.scope(`${model.statPrefix}.http_local_rate_limit`);
  const changes = {
    requestAdd: model.requestHeadersToAddWhenNotEnforced,
    requestRemove: [],
    responseAdd: model.responseHeadersToAdd,
    responseRemove: [],
  };
  // Formats were checked when the configuration was decoded.
  const { request, response } = compileLevel(changes, (text) => compileFormat(text, { missing: "" }), [], []);
  const { clock } = context;
  const shared = new LocalLimiter(model, clock);
  const byConnection = new WeakMap<ConnectionInfo, LocalLimiter>();
  const limiterOf = ({ info: { connection } }: HttpStream): LocalLimiter => {
    if (!model.perConnection) return shared;
    let limiter = byConnection.get(connection);
    if (limiter === undefined) byConnection.set(connection, (limiter = new LocalLimiter(model, clock)));
    return limiter;
  };
  const source = new DescriptorSource(model.stage, context.node, true);
  const descriptorsOf = (stream: HttpStream): readonly Descriptor[] => {
    if (model.descriptors.length === 0) return [];
    return model.rateLimits.length > 0 ? source.by(model.rateLimits, stream) : source.ofRoute(stream, model.virtualHost);
  };
  return {
    model,
    requestHeaders: request,
    responseHeaders: response,
    stats: {
      enabled: scope.counter("enabled"),
      ok: scope.counter("ok"),
      rateLimited: scope.counter("rate_limited"),
      enforced: scope.counter("enforced"),
    },
    take: (stream) => limiterOf(stream).take(descriptorsOf(stream)),
  };
}
