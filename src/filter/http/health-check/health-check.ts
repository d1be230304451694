// envoy.filters.http.health_check: answers the health checks of whoever sends requests here, itself or with what the upstream
// said a moment ago, and fails them while this proxy drains or was told to.
import type { HealthCheckConfig } from "../../../envoy/http-filter/health-check.ts";
import type { HttpFilter, HttpFilterContext, HttpFilterSpec } from "../../../http/filter.ts";
import type { LocalReply } from "../../../http/local-reply.ts";
import type { HttpStream } from "../../../http/stream.ts";
import { compileAllHeaders } from "../../../match/header-matcher.ts";
import { flag } from "../../../telemetry/response-flag.ts";
import type { Counter } from "../../../telemetry/stats.ts";
import { judgeClusters } from "./cluster-health.ts";

/** The filter that answers health checks. */
export const healthCheck: HttpFilterSpec = {
  extension: "envoy.filters.http.health_check",
  create: (config, context) => new HealthCheckFilter(config as HealthCheckConfig, context),
};

/** What the upstream said last. */
interface Cached {
  readonly status: number;
  readonly degraded: boolean;
  readonly untilMs: number;
}

class HealthCheckFilter implements HttpFilter {
  readonly #config: HealthCheckConfig;
  readonly #context: HttpFilterContext;
  readonly #isCheck: (stream: HttpStream) => boolean;
  readonly #stats: Readonly<Record<string, Counter>>;
  #cached: Cached | undefined = undefined;

  constructor(config: HealthCheckConfig, context: HttpFilterContext) {
    this.#config = config;
    this.#context = context;
    this.#isCheck = compileAllHeaders(config.headers) ?? (() => true);
    const scope = context.scope.scope("health_check");
    const names = ["request_total", "ok", "failed", "cached_response", "degraded"];
    const reasons = ["failed_cluster_not_found", "failed_cluster_empty", "failed_cluster_unhealthy"];
    this.#stats = Object.fromEntries([...names, ...reasons].map((name) => [name, scope.counter(name)]));
  }

  onRequestHeaders(stream: HttpStream, endStream: boolean, index: number): "continue" | "stop" {
    if (!this.#isCheck(stream)) return "continue";
    (stream.filterState ??= [])[index] = true;
    stream.info.healthCheck = true;
    const handling = !this.#config.passThroughMode || this.#context.drain.draining || this.#fresh() !== undefined;
    if (!handling) return "continue";
    if (endStream || stream.requestComplete) this.#answer(stream);
    else {
      stream.onHeldBody = () => {
        if (!stream.requestComplete) return;
        stream.onHeldBody = undefined;
        this.#answer(stream);
      };
    }
    return "stop";
  }

  onResponseHeaders(stream: HttpStream, _endStream: boolean, index: number): "continue" {
    const headers = stream.responseHeaders!;
    const { drain, node, clock } = this.#context;
    if (stream.filterState?.[index] !== true) {
      if (drain.draining) headers.set("x-envoy-immediate-health-check-fail", "true");
      return "continue";
    }
    const { cacheTimeMs } = this.#config;
    if (cacheTimeMs > 0 && this.#fresh() === undefined) {
      const untilMs = clock.nowMs() + cacheTimeMs;
      this.#cached = { status: stream.info.responseCode, degraded: headers.has("x-envoy-degraded"), untilMs };
    }
    headers.set("x-envoy-upstream-healthchecked-cluster", node.cluster);
    return "continue";
  }

  #fresh(): Cached | undefined {
    return this.#cached !== undefined && this.#context.clock.nowMs() < this.#cached.untilMs ? this.#cached : undefined;
  }

  #answer(stream: HttpStream): void {
    const { degraded = false, reason, ...verdict } = this.#judge();
    const ok = verdict.status >= 200 && verdict.status < 300;
    const reply: LocalReply = { ...verdict, body: "", flags: ok ? 0 : flag.LH };
    for (const name of ["request_total", ok ? "ok" : "failed", reason, degraded ? "degraded" : ""]) this.#stats[name]?.inc();
    stream.sendLocalReply(degraded ? { ...reply, headers: [["x-envoy-degraded", ""]] } : reply);
  }

  #judge(): { readonly status: number; readonly details: string; readonly reason: string; readonly degraded?: boolean } {
    if (this.#context.drain.draining) return { status: 503, details: "health_check_failed", reason: "" };
    const cached = this.#fresh();
    if (cached !== undefined)
      return { status: cached.status, degraded: cached.degraded, details: "health_check_cached", reason: "cached_response" };
    const wanted = this.#config.clusterMinHealthyPercentages;
    if (wanted.length === 0) return { status: 200, details: "health_check_ok", reason: "" };
    return judgeClusters(wanted, this.#context.clusters);
  }
}
