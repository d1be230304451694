// envoy.filters.http.ratelimit: asks a rate limit service about what a request counts as, and refuses what is over the limit.
import type { RateLimitConfig, RateLimitPerRoute } from "../../../envoy/http-filter/ratelimit.ts";
import type { FilterStatus, HttpFilter, HttpFilterContext, HttpFilterSpec } from "../../../http/filter.ts";
import { isGrpc } from "../../../http/grpc.ts";
import { compileLevel } from "../../../http/route/header-mutator.ts";
import { perRoute } from "../../../http/route/per-route.ts";
import { type Descriptor, DescriptorSource } from "../../../http/route/rate-limit.ts";
import type { HeaderMutator } from "../../../http/route/route-table.ts";
import type { HttpStream } from "../../../http/stream.ts";
import { compileFormat } from "../../../telemetry/format.ts";
import { flag } from "../../../telemetry/response-flag.ts";
import type { Counter } from "../../../telemetry/stats.ts";
import { setDynamicMetadata } from "../../../telemetry/stream-info.ts";
import { type Call, type CallResult, failedCall } from "../../../upstream/call/call.ts";
import { callGrpc } from "../../../upstream/call/grpc-call.ts";
import type { UpstreamCluster } from "../../../upstream/cluster.ts";
import { HeaderMap } from "../../../wire/header-map.ts";
import {
  decodeRateLimitResponse,
  encodeRateLimitRequest,
  rateLimitHeaders,
  type RateLimitAnswer,
  type ServiceHeader,
  shouldRateLimitPath,
} from "./ratelimit-service.ts";

/** The rate limit filter. */
export const rateLimit: HttpFilterSpec = {
  extension: "envoy.filters.http.ratelimit",
  create: (config, context) => new RateLimitFilter(config as RateLimitConfig, context),
};

/** What a stream that is or was asked about holds. */
interface Asked {
  call: Call | undefined;
  answered: boolean;
  /** Put on whatever response comes. */
  responseHeaders: readonly ServiceHeader[];
}

interface LimitStats {
  readonly ok: Counter;
  readonly error: Counter;
  readonly overLimit: Counter;
  readonly failureModeAllowed: Counter;
}

class RateLimitFilter implements HttpFilter {
  readonly #config: RateLimitConfig;
  readonly #context: HttpFilterContext;
  readonly #override: (stream: HttpStream) => RateLimitPerRoute | undefined;
  readonly #stats = new WeakMap<UpstreamCluster, LimitStats>();
  readonly #source: DescriptorSource;
  readonly #refusalHeaders: HeaderMutator | undefined;

  constructor(config: RateLimitConfig, context: HttpFilterContext) {
    this.#config = config;
    this.#context = context;
    this.#source = new DescriptorSource(config.stage, context.node);
    this.#override = perRoute(context.filterName, (model: RateLimitPerRoute) => model);
    const changes = { requestAdd: [], requestRemove: [], responseAdd: config.responseHeadersToAdd, responseRemove: [] };
    // Formats were checked when the configuration was decoded.
    this.#refusalHeaders = compileLevel(changes, (text) => compileFormat(text, { missing: "" }), [], []).response;
  }

  onRequestHeaders(stream: HttpStream, _endStream: boolean, index: number): FilterStatus {
    const { requestType, enabledFraction } = this.#config;
    if (requestType !== "both" && (requestType === "internal") !== stream.internal) return "continue";
    if (!this.#draw(enabledFraction)) return "continue";
    const cluster = stream.route?.action.kind === "route" && stream.target && this.#context.clusters.get(stream.target.name);
    if (cluster === undefined || cluster === false) return "continue";
    const override = this.#override(stream);
    const descriptors = this.#descriptors(stream, override);
    if (descriptors.length === 0) return "continue";
    const asked: Asked = { call: undefined, answered: false, responseHeaders: [] };
    (stream.filterState ??= [])[index] = asked;
    return this.#ask(stream, asked, cluster, override?.domain || this.#config.domain, descriptors);
  }

  onResponseHeaders(stream: HttpStream, _endStream: boolean, index: number): FilterStatus {
    const asked = stream.filterState?.[index] as Asked | undefined;
    if (asked !== undefined) for (const [name, value] of asked.responseHeaders) stream.responseHeaders!.add(name, value);
    return "continue";
  }

  onComplete(stream: HttpStream, index: number): void {
    (stream.filterState?.[index] as Asked | undefined)?.call?.cancel();
  }

  #draw(fraction: number): boolean {
    return fraction >= 1 || (fraction > 0 && this.#context.random() < fraction);
  }

  #descriptors(stream: HttpStream, override: RateLimitPerRoute | undefined): readonly Descriptor[] {
    if (override !== undefined && override.rateLimits.length > 0) return this.#source.by(override.rateLimits, stream);
    if (this.#config.rateLimits.length > 0) return this.#source.by(this.#config.rateLimits, stream);
    return this.#source.ofRoute(stream, override?.virtualHost ?? "override");
  }

  #statsOf(cluster: UpstreamCluster): LimitStats {
    let stats = this.#stats.get(cluster);
    if (stats === undefined) {
      const { statPrefix } = this.#config;
      const scope = this.#context.stats.scope(`cluster.${cluster.name}.ratelimit${statPrefix === "" ? "" : `.${statPrefix}`}`);
      stats = {
        ok: scope.counter("ok"),
        error: scope.counter("error"),
        overLimit: scope.counter("over_limit"),
        failureModeAllowed: scope.counter("failure_mode_allowed"),
      };
      this.#stats.set(cluster, stats);
    }
    return stats;
  }

  #ask(stream: HttpStream, asked: Asked, cluster: UpstreamCluster, domain: string, descriptors: readonly Descriptor[]): FilterStatus {
    const { service } = this.#config;
    const server = this.#context.clusters.get(service.cluster);
    let status: FilterStatus = "stop";
    let asking = true;
    const onDone = (result: CallResult): void => {
      asked.call = undefined;
      asked.answered = true;
      if (stream.done || !this.#apply(stream, asked, cluster, result)) return;
      if (asking) status = "continue";
      else stream.continueRequest();
    };
    if (server === undefined) onDone(failedCall(`cluster ${service.cluster} does not exist`));
    else {
      const request = { authority: service.authority, path: shouldRateLimitPath, message: encodeRateLimitRequest(domain, descriptors) };
      const call = callGrpc(server, request, { clock: this.#context.clock, timeoutMs: service.timeoutMs, onDone });
      if (!asked.answered) asked.call = call;
    }
    asking = false;
    return status;
  }

  /** True when the request may go on; otherwise it was answered. */
  #apply(stream: HttpStream, asked: Asked, cluster: UpstreamCluster, result: CallResult): boolean {
    const answer = result.kind === "response" ? decodeRateLimitResponse(result.body) : undefined;
    const stats = this.#statsOf(cluster);
    if (answer === undefined) {
      const reason = result.kind === "failed" ? result.reason : "the answer is no RateLimitResponse";
      return this.#applyError(stream, stats, reason);
    }
    const { metadata, overLimit, requestHeaders } = answer;
    if (metadata !== undefined && Object.keys(metadata).length > 0) setDynamicMetadata(stream.info, rateLimit.extension, metadata);
    const { xRateLimitHeaders } = this.#config;
    const limits = xRateLimitHeaders ? rateLimitHeaders(answer.statuses) : [];
    if (!overLimit) {
      stats.ok.inc();
      asked.responseHeaders = [...answer.responseHeaders, ...limits];
      for (const [name, value] of requestHeaders) stream.headers.add(name, value);
      return true;
    }
    stats.overLimit.inc();
    cluster.stats.response(429);
    const marked: readonly ServiceHeader[] = this.#config.xEnvoyRateLimited ? [["x-envoy-ratelimited", "true"]] : [];
    const headers = [...answer.responseHeaders, ...marked, ...limits];
    if (!this.#draw(this.#config.enforcedFraction)) {
      asked.responseHeaders = headers;
      for (const [name, value] of requestHeaders) stream.headers.add(name, value);
      return true;
    }
    this.#refuse(stream, answer, headers);
    return false;
  }

  #refuse(stream: HttpStream, answer: RateLimitAnswer, headers: readonly ServiceHeader[]): void {
    const { status, asResourceExhausted } = this.#config;
    const added = new HeaderMap();
    for (const [name, value] of headers) added.add(name, value);
    this.#refusalHeaders?.apply(added, stream.info);
    // The body's type is the service's to choose, where there is a body.
    if (answer.body === "" || isGrpc(stream.headers)) added.remove("content-type");
    stream.sendLocalReply({
      status,
      body: answer.body,
      details: "request_rate_limited",
      flags: flag.RL,
      headers: added.names.map((name, i) => [name, added.values[i]!] as const),
      ...(asResourceExhausted ? { grpcStatus: 8 } : {}),
    });
  }

  #applyError(stream: HttpStream, stats: LimitStats, reason: string): boolean {
    const { failureModeDeny, statusOnError, service } = this.#config;
    stats.error.inc();
    this.#context.logger.debug("the rate limit service gave no answer", { cluster: service.cluster, reason });
    if (!failureModeDeny) {
      stats.failureModeAllowed.inc();
      return true;
    }
    stream.sendLocalReply({ status: statusOnError, body: "", details: "rate_limiter_error", flags: flag.RLSE });
    return false;
  }
}
