// envoy.filters.http.fault: delays and aborts a share of the requests, and slows responses down, to see how callers take it.
import type { Timer } from "../../../clock.ts";
import { type AbortStatus, type FaultConfig, isInertFault } from "../../../envoy/http-filter/fault.ts";
import type { WrittenPercent } from "../../../envoy/percent.ts";
import type { HttpFilter, HttpFilterContext, HttpFilterSpec } from "../../../http/filter.ts";
import type { LocalReply } from "../../../http/local-reply.ts";
import { ResponseThrottle } from "../../../http/response-throttle.ts";
import { perRoute } from "../../../http/route/per-route.ts";
import type { HttpStream } from "../../../http/stream.ts";
import { compileAllHeaders } from "../../../match/header-matcher.ts";
import { flag } from "../../../telemetry/response-flag.ts";
import { askedAbort, askedDelayMs, askedKibPerSecond, askedShare } from "./asked-fault.ts";

/** The fault filter. */
export const fault: HttpFilterSpec = {
  extension: "envoy.filters.http.fault",
  create: (config, context) => new FaultFilter(config as FaultConfig, context),
};

/** A compiled fault. */
interface Fault {
  readonly model: FaultConfig;
  applies(stream: HttpStream): boolean;
  readonly abort: LocalReply | undefined;
  /** There is nothing to inject. */
  readonly idle: boolean;
}

/** What a stream with an active fault holds. */
interface Active {
  timer: Timer | undefined;
}

class FaultFilter implements HttpFilter {
  readonly #context: HttpFilterContext;
  readonly #own: Fault;
  readonly #override: (stream: HttpStream) => Fault | undefined;
  readonly #stats;
  #active = 0;

  constructor(config: FaultConfig, context: HttpFilterContext) {
    this.#context = context;
    this.#own = compileFault(config);
    this.#override = perRoute(context.filterName, compileFault);
    const scope = context.scope.scope("fault");
    this.#stats = {
      delays: scope.counter("delays_injected"),
      aborts: scope.counter("aborts_injected"),
      overflow: scope.counter("faults_overflow"),
      active: scope.gauge("active_faults"),
      throttled: scope.counter("response_rl_injected"),
    };
  }

  onRequestHeaders(stream: HttpStream, _endStream: boolean, index: number): "continue" | "stop" {
    const configured = this.#override(stream) ?? this.#own;
    if (configured.idle || !configured.applies(stream)) return "continue";
    if (configured.model.responseRate !== undefined) this.#throttle(stream, index, configured);
    const delayMs = this.#delayOf(stream, configured);
    const active = delayMs === undefined ? undefined : this.#begin(stream, index, configured);
    if (delayMs === undefined || active === undefined) return this.#abort(stream, index, configured) ? "stop" : "continue";
    this.#stats.delays.inc();
    stream.info.flags |= flag.DI;
    active.timer = this.#context.clock.after(delayMs, () => {
      // A delayed request may be aborted as well.
      if (stream.done || this.#abort(stream, index, configured)) return;
      // A response that is slowed down stays a fault until it is over.
      if (stream.responseThrottle === undefined) this.#end(stream, index);
      stream.continueRequest();
    });
    return "stop";
  }

  onComplete(stream: HttpStream, index: number): void {
    this.#end(stream, index);
  }

  #abort(stream: HttpStream, index: number, fault: Fault): boolean {
    const { abort } = fault.model;
    if (abort === undefined) return false;
    const asked = abort.status === undefined;
    const reply = asked ? abortReply(askedAbort(stream.headers)) : fault.abort;
    const share = asked ? askedShare(stream.headers, "x-envoy-fault-abort-request-percentage", abort.share) : abort.share;
    if (reply === undefined || !this.#draw(share)) return false;
    if (this.#begin(stream, index, fault) === undefined) return false;
    this.#stats.aborts.inc();
    stream.sendLocalReply(reply);
    return true;
  }

  /** How long the request waits; undefined: not at all. */
  #delayOf({ headers }: HttpStream, { model: { delay } }: Fault): number | undefined {
    if (delay === undefined) return undefined;
    const { fixedDelayMs, share } = delay;
    if (fixedDelayMs !== undefined) return this.#draw(share) ? fixedDelayMs : undefined;
    const askedMs = askedDelayMs(headers);
    if (askedMs === undefined || askedMs === 0) return undefined;
    return this.#draw(askedShare(headers, "x-envoy-fault-delay-request-percentage", share)) ? askedMs : undefined;
  }

  #throttle(stream: HttpStream, index: number, fault: Fault): void {
    const { kibPerSecond, share } = fault.model.responseRate!;
    const { headers } = stream;
    const rate = kibPerSecond ?? askedKibPerSecond(headers);
    if (rate === undefined || rate === 0) return;
    const asked = kibPerSecond === undefined ? askedShare(headers, "x-envoy-fault-throughput-response-percentage", share) : share;
    if (!this.#draw(asked) || this.#begin(stream, index, fault) === undefined) return;
    this.#stats.throttled.inc();
    stream.responseThrottle = new ResponseThrottle(this.#context.clock, rate, stream.manager.bufferLimitBytes, stream);
  }

  #draw({ numerator, denominator }: WrittenPercent): boolean {
    const fraction = numerator / denominator;
    return fraction >= 1 || (fraction > 0 && this.#context.random() < fraction);
  }

  // A stream counts as one active fault however many it suffers; undefined when there are as many as there may be.
  #begin(stream: HttpStream, index: number, { model }: Fault): Active | undefined {
    const begun = stateOf(stream, index);
    if (begun !== undefined) return begun;
    if (this.#active >= (model.maxActiveFaults ?? Infinity)) {
      this.#stats.overflow.inc();
      return undefined;
    }
    this.#active++;
    this.#stats.active.inc();
    const active: Active = { timer: undefined };
    (stream.filterState ??= [])[index] = active;
    return active;
  }

  #end(stream: HttpStream, index: number): void {
    const active = stateOf(stream, index);
    if (active === undefined) return;
    active.timer?.cancel();
    stream.filterState![index] = undefined;
    this.#active--;
    this.#stats.active.dec();
  }
}

function stateOf(stream: HttpStream, index: number): Active | undefined {
  return stream.filterState?.[index] as Active | undefined;
}

function compileFault(model: FaultConfig): Fault {
  const headers = compileAllHeaders(model.headers);
  const nodes = new Set(model.downstreamNodes);
  return {
    model,
    abort: abortReply(model.abort?.status),
    idle: isInertFault(model),
    applies: (stream) => {
      if (model.upstreamCluster !== "" && clusterOf(stream) !== model.upstreamCluster) return false;
      if (nodes.size > 0 && !nodes.has(stream.headers.get("x-envoy-downstream-service-node") ?? "")) return false;
      return headers === undefined || headers(stream);
    },
  };
}

// A gRPC status is told to other clients as a 200 with the text, as Envoy does.
function abortReply(status: AbortStatus | undefined): LocalReply | undefined {
  if (status === undefined) return undefined;
  const reply: LocalReply = { status: 200, body: "fault filter abort", details: "fault_filter_abort", flags: flag.FI };
  return status.kind === "http" ? { ...reply, status: status.code } : { ...reply, grpcStatus: status.code };
}

function clusterOf(stream: HttpStream): string | undefined {
  const action = stream.route?.action;
  return action?.kind === "route" ? action.pickCluster(stream, 0).name : undefined;
}
