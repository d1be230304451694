// Listener filters at work: reads the first bytes of a connection, shows them to each filter in turn, and gives up at the
// deadline. What was read goes on with the connection.
import type { Socket } from "node:net";
import type { Clock, Timer } from "../clock.ts";
import type { Listener, ListenerFilterConfig, ListenerFilterPredicate } from "../envoy/listener/listener.ts";
import type { ListenerFilter, ListenerFilterContext } from "../filter/filter.ts";
import { socketFd } from "../net/descriptor.ts";
import type { ConnectionInfo } from "../telemetry/stream-info.ts";
import type { ListenerManagerDeps } from "./listener-manager.ts";
import type { ListenerStats } from "./listener-stats.ts";

/** The listener filters of a listener, compiled. */
export interface InspectionPlan {
  readonly filters: readonly { readonly filter: ListenerFilter; readonly disabled: ((info: ConnectionInfo) => boolean) | undefined }[];
  /** 0 = wait for ever. */
  readonly timeoutMs: number;
  readonly continueOnTimeout: boolean;
}

/** Outcome of an inspection; exactly one is called, once. */
export interface InspectionHandler {
  /** `read`: bytes for the next reader; the socket is paused. */
  onInspected(read: Buffer | undefined): void;
  /** A filter refused, the deadline passed, or the client left. `details` is empty for the last two, which Envoy does not name. */
  onRefused(cause: InspectionRefusal, details: string, read: Buffer | undefined): void;
}

/** Who or what ended an inspection. */
export type InspectionRefusal = "filter" | "timeout" | "client";

/** Compiles a listener's filters. */
export function createInspectionPlan(
  model: Listener,
  deps: Pick<ListenerManagerDeps, "listenerFilters" | "stats" | "logger">,
): InspectionPlan {
  const context: ListenerFilterContext = { stats: deps.stats, logger: deps.logger, transparent: model.transparent };
  return {
    filters: withOriginalDst(model).flatMap((config) => {
      const filter = deps.listenerFilters.get(config.extension)?.create(config.config, context);
      return filter === undefined ? [] : [{ filter, disabled: config.filterDisabled && compilePredicate(config.filterDisabled) }];
    }),
    timeoutMs: model.listenerFiltersTimeoutMs,
    continueOnTimeout: model.continueOnListenerFiltersTimeout,
  };
}

const originalDst = "envoy.filters.listener.original_dst";

/** use_original_dst implies the filter that finds the destination out. */
function withOriginalDst(model: Listener): readonly ListenerFilterConfig[] {
  const { listenerFilters, useOriginalDst } = model;
  if (!useOriginalDst || listenerFilters.some(({ extension }) => extension === originalDst)) return listenerFilters;
  return [{ name: originalDst, extension: originalDst, config: {}, disabled: false }, ...listenerFilters];
}

/** Runs the filters over a connection. */
export function inspectConnection(
  plan: InspectionPlan,
  stats: ListenerStats,
  clock: Clock,
  socket: Socket,
  info: ConnectionInfo,
  bytes: Buffer | undefined,
  handler: InspectionHandler,
): void {
  if (plan.filters.length === 0) handler.onInspected(bytes);
  else new Inspection(plan, stats, clock, socket, info, bytes, handler).start();
}

const nothing = Buffer.alloc(0);

class Inspection {
  readonly #plan: InspectionPlan;
  readonly #stats: ListenerStats;
  readonly #clock: Clock;
  readonly #socket: Socket;
  readonly #info: ConnectionInfo;
  readonly #handler: InspectionHandler;
  #bytes: Buffer;
  #next = 0;
  #timer: Timer | undefined;
  #reading = false;
  #done = false;
  readonly #onData = (chunk: Buffer): void => {
    this.#bytes = this.#bytes.length === 0 ? chunk : Buffer.concat([this.#bytes, chunk]);
    this.#run();
  };
  readonly #onEnd = (): void => this.#left();

  constructor(
    plan: InspectionPlan,
    stats: ListenerStats,
    clock: Clock,
    socket: Socket,
    info: ConnectionInfo,
    bytes: Buffer | undefined,
    handler: InspectionHandler,
  ) {
    this.#plan = plan;
    this.#stats = stats;
    this.#clock = clock;
    this.#socket = socket;
    this.#info = info;
    this.#bytes = bytes ?? nothing;
    this.#handler = handler;
  }

  start(): void {
    this.#stats.downstreamPreCxActive.inc();
    this.#run();
  }

  #run(): void {
    const { filters } = this.#plan;
    for (; this.#next < filters.length; this.#next++) {
      const { filter, disabled } = filters[this.#next]!;
      if (disabled?.(this.#info)) continue;
      if (filter.needsBytes && this.#bytes.length === 0) return this.#read();
      const verdict = filter.inspect(this.#info, this.#bytes, socketFd(this.#socket));
      if (verdict.kind === "close") {
        this.#stats.downstreamListenerFilterError.inc();
        this.#finish();
        this.#handler.onRefused("filter", verdict.details, this.#bytes);
        return;
      }
      if (verdict.kind === "needMore") {
        if (this.#bytes.length < filter.maxBytes) return this.#read();
        // The filter has had all the bytes it may have: what it did not find is not there.
        continue;
      }
      if (verdict.consumed > 0) this.#bytes = this.#bytes.subarray(verdict.consumed);
    }
    this.#inspected();
  }

  #inspected(): void {
    this.#finish();
    this.#handler.onInspected(this.#bytes.length === 0 ? undefined : this.#bytes);
  }

  #read(): void {
    if (this.#reading) return;
    this.#reading = true;
    const { timeoutMs } = this.#plan;
    if (timeoutMs > 0) this.#timer = this.#clock.after(timeoutMs, () => this.#onTimeout());
    this.#socket.on("data", this.#onData);
    this.#socket.on("end", this.#onEnd);
    this.#socket.on("close", this.#onEnd);
    this.#socket.resume();
  }

  #onTimeout(): void {
    this.#stats.downstreamPreCxTimeout.inc();
    if (this.#plan.continueOnTimeout) {
      this.#inspected();
      return;
    }
    this.#finish();
    this.#handler.onRefused("timeout", "", this.#bytes);
  }

  /** The client closed before enough was seen. */
  #left(): void {
    if (this.#done) return;
    this.#stats.downstreamListenerFilterRemoteClose.inc();
    this.#finish();
    this.#handler.onRefused("client", "", this.#bytes);
  }

  #finish(): void {
    if (this.#done) return;
    this.#done = true;
    this.#stats.downstreamPreCxActive.dec();
    this.#timer?.cancel();
    if (!this.#reading) return;
    this.#socket.pause();
    this.#socket.off("data", this.#onData);
    this.#socket.off("end", this.#onEnd);
    this.#socket.off("close", this.#onEnd);
  }
}

function compilePredicate(model: ListenerFilterPredicate): (info: ConnectionInfo) => boolean {
  switch (model.kind) {
    case "any":
      return () => true;
    case "not": {
      const rule = compilePredicate(model.rule);
      return (info) => !rule(info);
    }
    case "or":
    case "and": {
      const rules = model.rules.map(compilePredicate);
      return model.kind === "or" ? (info) => rules.some((rule) => rule(info)) : (info) => rules.every((rule) => rule(info));
    }
    case "destinationPortRange":
      return ({ local }) => local.port >= model.start && local.port < model.end;
    default:
      return model satisfies never;
  }
}
