// envoy.filters.http.cors: answers preflights and marks responses for the origins a route's policy allows. Without a policy on
// the route it does nothing.
import type { CorsPolicy } from "../../../envoy/http-filter/cors.ts";
import type { HttpFilter, HttpFilterContext, HttpFilterSpec } from "../../../http/filter.ts";
import type { HttpStream } from "../../../http/stream.ts";
import { compileStringMatcher } from "../../../match/string-matcher.ts";
import { effectivePolicy } from "./effective-policy.ts";

/** The CORS filter. */
export const cors: HttpFilterSpec = {
  extension: "envoy.filters.http.cors",
  create: (_config, context) => createCors(context),
};

interface Policy {
  readonly model: CorsPolicy;
  allows(origin: string): boolean;
}

/** What a stream with an allowed origin holds until its response. */
interface Allowed {
  readonly origin: string;
  readonly policy: CorsPolicy;
}

function createCors(context: HttpFilterContext): HttpFilter {
  const policyOf = policyLookup(context.filterName);
  const draw = (share: number): boolean => share >= 1 || (share > 0 && context.random() < share);
  const scope = context.scope.scope("cors");
  const valid = scope.counter("origin_valid");
  const invalid = scope.counter("origin_invalid");
  return {
    onRequestHeaders: (stream, _endStream, index) => {
      const policy = stream.route?.action.kind === "route" ? policyOf(stream) : undefined;
      if (policy === undefined) return "continue";
      const { model } = policy;
      const enabled = draw(model.enabledFraction);
      if (!enabled && !draw(model.shadowFraction)) return "continue";
      const origin = stream.headers.get("origin");
      if (origin === undefined || origin === "") return "continue";
      const allowed = policy.allows(origin);
      (allowed ? valid : invalid).inc();
      if (!enabled) return "continue";
      if (allowed) {
        const state: Allowed = { origin, policy: model };
        (stream.filterState ??= [])[index] = state;
      }
      if (stream.method !== "OPTIONS" || !stream.headers.get("access-control-request-method")) return "continue";
      if (!allowed && (model.forwardNotMatchingPreflights ?? true)) return "continue";
      stream.sendLocalReply({
        status: 200,
        body: "",
        details: "cors_response",
        flags: 0,
        headers: preflightHeaders(stream, model, allowed ? origin : ""),
      });
      return "stop";
    },
    onResponseHeaders: (stream, _endStream, index) => {
      const state = stream.filterState?.[index] as Allowed | undefined;
      if (state === undefined) return "continue";
      const headers = stream.responseHeaders!;
      headers.set("access-control-allow-origin", state.origin);
      if (state.policy.allowCredentials === true) headers.set("access-control-allow-credentials", "true");
      if (state.policy.exposeHeaders !== "") headers.set("access-control-expose-headers", state.policy.exposeHeaders);
      return "continue";
    },
  };
}

/** A lookup of what the policies of a stream's route come to, compiled when a route is first used. */
function policyLookup(filterName: string): (stream: HttpStream) => Policy | undefined {
  const compiled = new WeakMap<readonly unknown[], Policy>();
  return (stream) => {
    const levels = stream.route?.filterConfig(filterName)?.configs as readonly CorsPolicy[] | undefined;
    if (levels === undefined) return undefined;
    let policy = compiled.get(levels);
    if (policy === undefined) {
      policy = compilePolicy(effectivePolicy(levels));
      compiled.set(levels, policy);
    }
    return policy;
  };
}

function compilePolicy(model: CorsPolicy): Policy {
  const tests = model.allowOrigin.map(compileStringMatcher);
  // A matcher that takes the text `*` allows every origin, as in Envoy.
  const all = tests.some((test) => test("*"));
  return { model, allows: (origin) => all || tests.some((test) => test(origin)) };
}

// `*` for methods or headers allows what was asked for: browsers take `*` literally when credentials are involved.
function preflightHeaders(stream: HttpStream, policy: CorsPolicy, origin: string): readonly (readonly [string, string])[] {
  const { headers } = stream;
  const asked = (configured: string, name: string): string => (configured === "*" ? (headers.get(name) ?? "") : configured);
  const privateNetwork = policy.allowPrivateNetworkAccess === true && headers.get("access-control-request-private-network") === "true";
  const fields: readonly (readonly [string, string])[] = [
    ["access-control-allow-origin", origin],
    ["access-control-allow-credentials", policy.allowCredentials === true ? "true" : ""],
    ["access-control-allow-methods", asked(policy.allowMethods, "access-control-request-method")],
    ["access-control-allow-headers", asked(policy.allowHeaders, "access-control-request-headers")],
    ["access-control-max-age", policy.maxAge],
    ["access-control-allow-private-network", privateNetwork ? "true" : ""],
  ];
  // Envoy says of `*` that nothing was asked for.
  const says = ([name, value]: readonly [string, string]): boolean =>
    value !== "" || (name === "access-control-allow-headers" && policy.allowHeaders === "*");
  return fields.filter(says);
}
