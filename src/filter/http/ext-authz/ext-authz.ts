// envoy.filters.http.ext_authz: holds a request until an authorization server has said whether it may go on.
import type { AuthorizationBody, CheckSettings, ExtAuthzConfig } from "../../../envoy/http-filter/ext-authz.ts";
import type { FilterStatus, HttpFilter, HttpFilterContext, HttpFilterSpec } from "../../../http/filter.ts";
import type { LocalReply } from "../../../http/local-reply.ts";
import { replies } from "../../../http/local-reply.ts";
import type { HttpStream } from "../../../http/stream.ts";
import { compileMetadataMatcher } from "../../../match/metadata-matcher.ts";
import { flag } from "../../../telemetry/response-flag.ts";
import { setDynamicMetadata } from "../../../telemetry/stream-info.ts";
import type { Call } from "../../../upstream/call/call.ts";
import { HeaderMap } from "../../../wire/header-map.ts";
import type { AnsweredHeader } from "../../auth-check.ts";
import { type Answer, type Authorizer, compileAuthorizer, type ShownBody } from "./authorizer.ts";
import { type RouteCheck, routeChecks } from "./route-check.ts";

/** The external authorization filter. */
export const extAuthz: HttpFilterSpec = {
  extension: "envoy.filters.http.ext_authz",
  create: (config, context) => new ExtAuthzFilter(config as ExtAuthzConfig, context),
};

/** What a stream that is or was asked about holds. */
interface Asked {
  call: Call | undefined;
  answered: boolean;
  responseHeaders: readonly AnsweredHeader[];
  readonly body: AuthorizationBody | undefined;
  readonly contextExtensions: CheckSettings["contextExtensions"];
}

const noExtensions: CheckSettings["contextExtensions"] = {};

class ExtAuthzFilter implements HttpFilter {
  readonly #config: ExtAuthzConfig;
  readonly #context: HttpFilterContext;
  readonly #ask: Authorizer;
  readonly #isEnabled: (stream: HttpStream) => boolean;
  readonly #override: (stream: HttpStream) => RouteCheck | undefined;
  readonly #stats;
  readonly #onError: LocalReply;

  constructor(config: ExtAuthzConfig, context: HttpFilterContext) {
    this.#config = config;
    this.#context = context;
    this.#ask = compileAuthorizer(config, context);
    const enabled = config.enabledMetadata && compileMetadataMatcher(config.enabledMetadata);
    this.#isEnabled = enabled === undefined ? () => true : (stream) => enabled(stream.info.dynamicMetadata);
    this.#override = routeChecks(context.filterName);
    const scope = context.scope.scope(config.statPrefix === "" ? "ext_authz" : `ext_authz.${config.statPrefix}`);
    this.#stats = {
      ok: scope.counter("ok"),
      denied: scope.counter("denied"),
      error: scope.counter("error"),
      timeout: scope.counter("timeout"),
      disabled: scope.counter("disabled"),
      failureModeAllowed: scope.counter("failure_mode_allowed"),
    };
    this.#onError = { status: config.statusOnError, body: "", details: "ext_authz_error", flags: flag.UAEX };
  }

  onRequestHeaders(stream: HttpStream, endStream: boolean, index: number): FilterStatus {
    const override = this.#override(stream);
    if (override?.disabled === true) return "continue";
    if (!this.#isEnabled(stream)) {
      this.#stats.disabled.inc();
      return "continue";
    }
    const body = override?.body === undefined ? this.#config.body : override.body === "none" ? undefined : override.body;
    const contextExtensions = override?.contextExtensions ?? noExtensions;
    const asked: Asked = { call: undefined, answered: false, responseHeaders: [], body, contextExtensions };
    (stream.filterState ??= [])[index] = asked;
    // A tunnel's bytes are no body.
    if (body === undefined || (endStream && stream.heldBytes === 0) || stream.upgrade !== "") return this.#start(stream, asked, undefined);
    if (stream.expectContinue) {
      // The client waits for somebody to want the body, which is wanted here.
      stream.expectContinue = false;
      stream.respondInformational(100, new HeaderMap());
    }
    // A filter before this one may have held the request, so that its body is there already.
    const status = this.#onBody(stream, asked);
    if (status === "wait")
      stream.onHeldBody = () => {
        if (this.#onBody(stream, asked) === "continue") stream.continueRequest();
      };
    return status === "continue" ? "continue" : "stop";
  }

  onResponseHeaders(stream: HttpStream, _endStream: boolean, index: number): FilterStatus {
    const asked = stream.filterState?.[index] as Asked | undefined;
    if (asked !== undefined) applyHeaders(stream.responseHeaders!, asked.responseHeaders, true);
    return "continue";
  }

  onComplete(stream: HttpStream, index: number): void {
    const asked = stream.filterState?.[index] as Asked | undefined;
    asked?.call?.cancel();
    stream.onHeldBody = undefined;
  }

  /** Asks once the body is there, or as much of it as is to be shown. */
  #onBody(stream: HttpStream, asked: Asked): FilterStatus | "wait" {
    const { maxBytes, allowPartial } = asked.body!;
    const { heldBytes, requestComplete } = stream;
    const tooLarge = heldBytes > maxBytes;
    // More than the connection's limit is not read while the stream is held, so that is all there will be.
    const full = heldBytes >= Math.min(maxBytes, stream.manager.bufferLimitBytes);
    if (!requestComplete && !full) return "wait";
    if ((tooLarge || !requestComplete) && !allowPartial) {
      // Exactly the limit may still be the whole body.
      if (!tooLarge && heldBytes < stream.manager.bufferLimitBytes) return "wait";
      stream.onHeldBody = undefined;
      asked.answered = true;
      stream.sendLocalReply(replies.payloadTooLarge);
      return "stop";
    }
    stream.onHeldBody = undefined;
    const bytes = stream.copyHeldBody(maxBytes);
    return this.#start(stream, asked, { bytes, partial: tooLarge || !requestComplete });
  }

  #start(stream: HttpStream, asked: Asked, body: Omit<ShownBody, "raw"> | undefined): FilterStatus {
    let status: FilterStatus = "stop";
    let asking = true;
    const shown = body === undefined ? undefined : { ...body, raw: asked.body!.packAsBytes };
    const call = this.#ask(stream, { body: shown, contextExtensions: asked.contextExtensions }, (answer) => {
      asked.call = undefined;
      asked.answered = true;
      if (stream.done || !this.#apply(stream, asked, answer)) return;
      if (asking) status = "continue";
      else stream.continueRequest();
    });
    asking = false;
    if (!asked.answered) asked.call = call;
    return status;
  }

  /** True when the request may go on; otherwise it was answered. */
  #apply(stream: HttpStream, asked: Asked, answer: Answer): boolean {
    if (answer.kind === "error") return this.#applyError(stream, answer);
    if (answer.metadata !== undefined) setDynamicMetadata(stream.info, extAuthz.extension, answer.metadata);
    if (answer.kind === "denied") {
      this.#stats.denied.inc();
      stream.sendLocalReply({
        status: answer.status,
        body: answer.body,
        details: "ext_authz_denied",
        flags: flag.UAEX,
        headers: [],
        set: answer.headers,
      });
      return false;
    }
    this.#stats.ok.inc();
    for (const name of answer.headersToRemove) if (name !== "host" && !name.startsWith(":")) stream.headers.remove(name);
    applyHeaders(stream.headers, answer.headers, false);
    asked.responseHeaders = answer.responseHeaders;
    if (this.#config.clearRouteCache && answer.headers.length + answer.headersToRemove.length > 0) stream.clearRouteCache();
    return true;
  }

  #applyError(stream: HttpStream, { reason, timedOut }: Extract<Answer, { kind: "error" }>): boolean {
    const { failureModeAllow, failureModeAllowHeaderAdd, service } = this.#config;
    this.#stats.error.inc();
    if (timedOut) this.#stats.timeout.inc();
    this.#context.logger.debug("the authorization server gave no answer", { cluster: service.cluster, reason });
    if (!failureModeAllow) {
      stream.sendLocalReply(this.#onError);
      return false;
    }
    this.#stats.failureModeAllowed.inc();
    if (failureModeAllowHeaderAdd) stream.headers.set("x-envoy-auth-failure-mode-allowed", "true");
    return true;
  }
}

/** Sets headers, or appends them; to a request only what is there is appended to, as in Envoy. */
function applyHeaders(headers: HeaderMap, changes: readonly AnsweredHeader[], addMissing: boolean): void {
  for (const { name, value, append } of changes) {
    if (!append) headers.set(name, value);
    else if (addMissing) headers.add(name, value);
    else if (headers.has(name)) headers.set(name, `${headers.getAll(name)},${value}`);
  }
}
