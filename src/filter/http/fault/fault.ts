// envoy.filters.http.fault: delays and aborts a share of the requests, to see how callers take it.
import type { Timer } from "../../../clock.ts";
import type { FaultConfig } from "../../../envoy/http-filter/fault.ts";
import type { HttpFilter, HttpFilterContext, HttpFilterSpec } from "../../../http/filter.ts";
import type { LocalReply } from "../../../http/local-reply.ts";
import { perRoute } from "../../../http/route/per-route.ts";
import type { HttpStream } from "../../../http/stream.ts";
import { compileAllHeaders } from "../../../match/header-matcher.ts";
import { flag } from "../../../telemetry/response-flag.ts";

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
    };
  }

  onRequestHeaders(stream: HttpStream, _endStream: boolean, index: number): "continue" | "stop" {
    const configured = this.#override(stream) ?? this.#own;
    const { delay, abort } = configured.model;
    if ((delay === undefined && abort === undefined) || !configured.applies(stream)) return "continue";
    const active = delay !== undefined && this.#draw(delay.fraction) ? this.#begin(stream, index, configured) : undefined;
    if (delay === undefined || active === undefined) return this.#abort(stream, index, configured) ? "stop" : "continue";
    this.#stats.delays.inc();
    stream.info.flags |= flag.DI;
    active.timer = this.#context.clock.after(delay.fixedDelayMs, () => {
      // A delayed request may be aborted as well.
      if (stream.done || this.#abort(stream, index, configured)) return;
      this.#end(stream, index);
      stream.continueRequest();
    });
    return "stop";
  }

  onComplete(stream: HttpStream, index: number): void {
    this.#end(stream, index);
  }

  #abort(stream: HttpStream, index: number, fault: Fault): boolean {
    const { model, abort } = fault;
    if (abort === undefined || model.abort === undefined || !this.#draw(model.abort.fraction)) return false;
    if (this.#begin(stream, index, fault) === undefined) return false;
    this.#stats.aborts.inc();
    stream.sendLocalReply(abort);
    return true;
  }

  #draw(fraction: number): boolean {
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
    abort: model.abort && abortReply(model.abort.status),
    applies: (stream) => {
      if (model.upstreamCluster !== "" && clusterOf(stream) !== model.upstreamCluster) return false;
      if (nodes.size > 0 && !nodes.has(stream.headers.get("x-envoy-downstream-service-node") ?? "")) return false;
      return headers === undefined || headers(stream);
    },
  };
}

// A gRPC status is told to other clients as a 200 with the text, as Envoy does.
function abortReply(status: NonNullable<FaultConfig["abort"]>["status"]): LocalReply {
  const reply: LocalReply = { status: 200, body: "fault filter abort", details: "fault_filter_abort", flags: flag.FI };
  return status.kind === "http" ? { ...reply, status: status.code } : { ...reply, grpcStatus: status.code };
}

function clusterOf(stream: HttpStream): string | undefined {
  const action = stream.route?.action;
  return action?.kind === "route" ? action.pickCluster(stream, 0).name : undefined;
}
