// isthmus.filters.http.script: a filter that users write in TypeScript. It runs in a thread of its own (script-host.ts); a request waits for
// each hook that the module exports, and hooks that it does not export cost nothing.
import { type ScriptConfig, scriptExtension, type ScriptPerRoute } from "../../../envoy/http-filter/script.ts";
import type { FilterStatus, HttpFilter, HttpFilterContext, HttpFilterSpec } from "../../../http/filter.ts";
import { type LocalReply, replies } from "../../../http/local-reply.ts";
import { perRoute } from "../../../http/route/per-route.ts";
import type { HttpStream } from "../../../http/stream.ts";
import { flag } from "../../../telemetry/response-flag.ts";
import { HeaderMap } from "../../../wire/header-map.ts";
import { describeStream, type Direction, directionOf } from "./describe-stream.ts";
import { changeRequest, changeResponse, noteMetadata, scriptReply } from "./hook-result.ts";
import { leaseHost } from "./hosts.ts";
import type { Hook, HookResult } from "./messages.ts";
import type { Run, RunFailure, RunOutcome } from "./run.ts";
import type { ScriptHost } from "./script-host.ts";

/** The script filter. */
export const script: HttpFilterSpec = {
  extension: scriptExtension,
  create: (config, context) => new ScriptFilter(config as ScriptConfig, context),
};

/** What a stream that reached the filter holds. */
interface Active {
  readonly config: Readonly<Record<string, unknown>>;
  state: Readonly<Record<string, unknown>> | undefined;
  run: Run | undefined;
  /** The script answered by itself or failed: it is asked no more. */
  over: boolean;
}

const failureReply = (details: string): LocalReply => ({ status: 500, body: "", details, flags: flag.SE });
const failureReplies: Readonly<Record<RunFailure, LocalReply>> = {
  exception: failureReply("script_exception"),
  timeout: failureReply("script_timeout"),
  out_of_memory: failureReply("script_out_of_memory"),
  thread_ended: failureReply("script_unavailable"),
};
const responseTooLarge: LocalReply = { status: 500, body: "", details: "response_payload_too_large", flags: 0 };
const hasPerRouteConfig = (model: ScriptPerRoute): Readonly<Record<string, unknown>> | "disabled" =>
  model.kind === "disabled" ? "disabled" : model.config;

class ScriptFilter implements HttpFilter {
  readonly #config: ScriptConfig;
  readonly #lease;
  readonly #host: ScriptHost;
  readonly #override;
  readonly #stats;

  constructor(config: ScriptConfig, context: HttpFilterContext) {
    this.#config = config;
    this.#lease = leaseHost(config, context);
    this.#host = this.#lease.host;
    this.#override = perRoute(context.filterName, hasPerRouteConfig);
    const scope = context.scope.scope(config.statPrefix === "" ? "script" : `script.${config.statPrefix}`);
    this.#stats = {
      runs: scope.counter("runs"),
      replies: scope.counter("replies"),
      failureModeAllowed: scope.counter("failure_mode_allowed"),
      exception: scope.counter("exceptions"),
      timeout: scope.counter("timeouts"),
      out_of_memory: scope.counter("out_of_memory"),
      thread_ended: scope.counter("unavailable"),
    };
  }

  onRequestHeaders(stream: HttpStream, endStream: boolean, index: number): FilterStatus {
    const override = this.#override(stream);
    if (override === "disabled") return "continue";
    const active: Active = { config: override ?? this.#config.config, state: undefined, run: undefined, over: false };
    (stream.filterState ??= [])[index] = active;
    const { hooks } = this.#host;
    if (hooks !== undefined) return this.#begin(stream, active, endStream, hooks);
    // Just started, or broken from the start.
    this.#host.whenSettled(() => this.#later(stream, () => this.#onSettled(stream, active, endStream)));
    return "stop";
  }

  onResponseHeaders(stream: HttpStream, endStream: boolean, index: number): FilterStatus {
    const active = stream.filterState?.[index] as Active | undefined;
    const { hooks } = this.#host;
    if (active === undefined || hooks === undefined) return "continue";
    if (active.run !== undefined) active.run.cancelled = true;
    active.run = undefined;
    if (active.over) return "continue";
    if (!hooks.has("onResponseHeaders"))
      return this.#wantsResponseBody(stream, endStream, hooks) ? this.#awaitResponse(stream, active) : "continue";
    this.#run(stream, active, "onResponseHeaders", undefined, (result) => {
      if (!this.#applyToResponse(stream, active, result)) return;
      if (!this.#wantsResponseBody(stream, endStream, hooks)) return stream.continueResponse();
      this.#awaitResponse(stream, active);
      stream.onBufferedResponse?.();
      stream.resumeResponse();
    });
    return "stop";
  }

  onComplete(stream: HttpStream, index: number): void {
    const active = stream.filterState?.[index] as Active | undefined;
    if (active === undefined) return;
    if (active.run !== undefined) active.run.cancelled = true;
    active.over = true;
    stream.onHeldBody = undefined;
    stream.onBufferedResponse = undefined;
  }

  destroy(): void {
    this.#lease.release();
  }

  // --- request ---------------------------------------------------------------------------------------------------------

  #later(stream: HttpStream, next: () => void): void {
    queueMicrotask(() => {
      if (!stream.done && !stream.responseStarted) next();
    });
  }

  #onSettled(stream: HttpStream, active: Active, endStream: boolean): void {
    const { hooks } = this.#host;
    if (hooks === undefined) return this.#fail(stream, active, { ok: false, failure: "thread_ended", message: "" }, "request");
    if (this.#begin(stream, active, endStream, hooks) === "continue") stream.continueRequest();
  }

  #begin(stream: HttpStream, active: Active, endStream: boolean, hooks: ReadonlySet<Hook>): FilterStatus {
    if (!hooks.has("onRequestHeaders")) return this.#awaitRequest(stream, active, endStream, hooks);
    this.#run(stream, active, "onRequestHeaders", undefined, (result) => {
      if (!this.#applyToRequest(stream, active, result)) return;
      if (this.#awaitRequest(stream, active, stream.requestComplete, hooks) === "continue") stream.continueRequest();
    });
    return "stop";
  }

  /** Waits for the body where the script wants it; `stop` as well when the script has been asked or the body is too large. */
  #awaitRequest(stream: HttpStream, active: Active, endStream: boolean, hooks: ReadonlySet<Hook>): FilterStatus {
    // A tunnel's bytes are no body.
    if (!hooks.has("onRequestBody") || stream.upgrade !== "" || (endStream && stream.heldBytes === 0)) return "continue";
    if (stream.expectContinue) {
      // The client waits for somebody to want the body, which is wanted here.
      stream.expectContinue = false;
      stream.respondInformational(100, new HeaderMap());
    }
    stream.onHeldBody = () => {
      if (this.#onHeldBody(stream, active) === "continue") stream.continueRequest();
    };
    return this.#onHeldBody(stream, active);
  }

  #onHeldBody(stream: HttpStream, active: Active): FilterStatus {
    const { heldBytes, requestComplete } = stream;
    // What exceeds the connection's limit is not read while the stream is held.
    if (heldBytes > this.#config.maxBodyBytes || (!requestComplete && heldBytes >= stream.bufferLimitBytes)) {
      stream.onHeldBody = undefined;
      active.over = true;
      stream.sendLocalReply(replies.payloadTooLarge);
      return "stop";
    }
    if (!requestComplete) return "stop";
    stream.onHeldBody = undefined;
    // Chunks that held nothing.
    if (heldBytes === 0) return "continue";
    this.#run(stream, active, "onRequestBody", new Uint8Array(stream.copyHeldBody(heldBytes)), (result) => {
      if (!this.#applyToRequest(stream, active, result)) return;
      if (result.body !== undefined)
        stream.replaceHeldBody(Buffer.from(result.body.buffer, result.body.byteOffset, result.body.byteLength));
      stream.continueRequest();
    });
    return "stop";
  }

  /** True when the request may go on. */
  #applyToRequest(stream: HttpStream, active: Active, result: HookResult): boolean {
    this.#note(stream, active, result);
    if (result.reply !== undefined) {
      this.#stats.replies.inc();
      active.over = true;
      stream.sendLocalReply(scriptReply(result.reply));
      return false;
    }
    changeRequest(stream, result);
    return true;
  }

  // --- response --------------------------------------------------------------------------------------------------------

  #wantsResponseBody(stream: HttpStream, endStream: boolean, hooks: ReadonlySet<Hook>): boolean {
    return hooks.has("onResponseBody") && !endStream && stream.upgrade === "";
  }

  #awaitResponse(stream: HttpStream, active: Active): FilterStatus {
    stream.onBufferedResponse = () => {
      const { heldResponseBytes, heldResponseComplete } = stream;
      if (heldResponseBytes > this.#config.maxBodyBytes) {
        stream.onBufferedResponse = undefined;
        active.over = true;
        stream.replaceResponse(responseTooLarge);
      } else if (heldResponseComplete) {
        stream.onBufferedResponse = undefined;
        this.#askAboutResponse(stream, active);
      }
    };
    return "stop";
  }

  #askAboutResponse(stream: HttpStream, active: Active): void {
    if (stream.heldResponseBytes === 0) return stream.continueResponse();
    this.#run(stream, active, "onResponseBody", new Uint8Array(stream.copyHeldResponse()), (result) => {
      if (!this.#applyToResponse(stream, active, result)) return;
      if (result.body !== undefined)
        stream.replaceHeldResponse(Buffer.from(result.body.buffer, result.body.byteOffset, result.body.byteLength));
      stream.continueResponse();
    });
  }

  /** True when the response may go on. */
  #applyToResponse(stream: HttpStream, active: Active, result: HookResult): boolean {
    this.#note(stream, active, result);
    if (result.reply !== undefined) {
      this.#stats.replies.inc();
      active.over = true;
      stream.replaceResponse(scriptReply(result.reply));
      return false;
    }
    changeResponse(stream, result);
    return true;
  }

  // --- both ------------------------------------------------------------------------------------------------------------

  #run(stream: HttpStream, active: Active, hook: Hook, body: Uint8Array | undefined, next: (result: HookResult) => void): void {
    this.#stats.runs.inc();
    const direction = directionOf(hook);
    active.run = this.#host.run(describeStream(stream, active.state, hook, direction, body), active.config, (outcome) => {
      active.run = undefined;
      if (stream.done || active.over) return;
      if (outcome.ok) next(outcome.result);
      else this.#fail(stream, active, outcome, direction);
    });
  }

  #note(stream: HttpStream, active: Active, result: HookResult): void {
    active.state = result.state ?? active.state;
    noteMetadata(stream, result);
  }

  #fail(stream: HttpStream, active: Active, { failure, message }: Extract<RunOutcome, { ok: false }>, direction: Direction): void {
    active.over = true;
    this.#stats[failure].inc();
    if (message !== "") this.#host.complain(message);
    if (this.#config.failOpen) {
      this.#stats.failureModeAllowed.inc();
      if (direction === "request") stream.continueRequest();
      else stream.continueResponse();
    } else if (direction === "request") stream.sendLocalReply(failureReplies[failure]);
    else stream.replaceResponse(failureReplies[failure]);
  }
}
