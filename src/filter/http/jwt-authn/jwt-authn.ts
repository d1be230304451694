// envoy.filters.http.jwt_authn: lets requests pass that carry the tokens their rule requires. Keys are local; what cannot be
// verified does not pass.
import type { JwtAuthnConfig, JwtPerRoute, JwtRequirement, JwtRule } from "../../../envoy/http-filter/jwt-authn.ts";
import type { HttpFilter, HttpFilterContext, HttpFilterSpec } from "../../../http/filter.ts";
import { compileConditions } from "../../../http/route/match-request.ts";
import { perRoute } from "../../../http/route/per-route.ts";
import type { HttpStream } from "../../../http/stream.ts";
import { compilePathMatcher } from "../../../match/path-matcher.ts";
import type { JwtFailure } from "./jwt.ts";
import { audienceNotAllowed, missing } from "./jwt.ts";
import type { Verifier } from "./requirement.ts";
import { compileProviders, compileRequirement } from "./requirement.ts";

/** The JWT filter. */
export const jwtAuthn: HttpFilterSpec = {
  extension: "envoy.filters.http.jwt_authn",
  create: (config, context) => createJwtAuthn(config as JwtAuthnConfig, context),
};

/** A rule: `verifier` is undefined when it requires nothing. */
interface Rule {
  applies(stream: HttpStream): boolean;
  readonly verifier: Verifier | undefined;
}

function createJwtAuthn(config: JwtAuthnConfig, context: HttpFilterContext): HttpFilter {
  const providers = compileProviders(config.providers);
  const rules = config.rules.map((rule) => compileRule(rule, (requires) => compileRequirement(requires, providers)));
  const named = new Map(Object.entries(config.requirementMap).map(([name, model]) => [name, compileRequirement(model, providers)]));
  const override = perRoute(context.filterName, (model: JwtPerRoute) => model);
  const ownHeaders = config.providers.flatMap((provider) => [
    ...(provider.forwardPayloadHeader === "" ? [] : [provider.forwardPayloadHeader]),
    ...provider.claimToHeaders.map(({ headerName }) => headerName),
  ]);
  const scope = context.scope.scope("jwt_authn");
  const allowed = scope.counter("allowed");
  const denied = scope.counter("denied");
  const bypassed = scope.counter("cors_preflight_bypassed");
  return {
    onRequestHeaders: (stream) => {
      // Only this filter may write them: the upstream takes them for verified.
      for (const name of ownHeaders) stream.headers.remove(name);
      if (config.bypassCorsPreflight && isPreflight(stream)) {
        bypassed.inc();
        return "continue";
      }
      const route = override(stream);
      let verifier: Verifier | undefined;
      if (route === undefined) verifier = rules.find((rule) => rule.applies(stream))?.verifier;
      else if (route.kind === "requirement") {
        verifier = named.get(route.name);
        if (verifier === undefined) {
          denied.inc();
          refuseUnknown(stream, route.name);
          return "stop";
        }
      }
      const failure = verifier?.(stream, Math.floor(context.clock.wallMs() / 1000));
      if (failure === undefined) {
        allowed.inc();
        return "continue";
      }
      denied.inc();
      refuse(stream, failure);
      return "stop";
    },
  };
}

function compileRule(rule: JwtRule, compile: (requires: JwtRequirement) => Verifier): Rule {
  const { match, requires } = rule;
  const path = compilePathMatcher(match.path);
  const conditions = compileConditions(match);
  return {
    verifier: requires && compile(requires),
    applies: (stream) => {
      const query = stream.path.indexOf("?");
      const bare = query < 0 ? stream.path : stream.path.slice(0, query);
      if (match.path.kind === "connect" ? stream.method !== "CONNECT" : !path(bare)) return false;
      return conditions === undefined || conditions(stream, query < 0 ? "" : stream.path.slice(query + 1), 0);
    },
  };
}

// Longest part of the path in the realm, as in Envoy.
const maxRealmPath = 256;

function refuse(stream: HttpStream, failure: JwtFailure): void {
  const path = (stream.headers.get("x-envoy-original-path") ?? stream.path).slice(0, maxRealmPath);
  const realm = `Bearer realm="${stream.scheme}://${stream.authority}${path}"`;
  stream.sendLocalReply({
    status: failure === audienceNotAllowed ? 403 : 401,
    body: failure,
    details: details(failure),
    flags: 0,
    headers: [["www-authenticate", failure === missing ? realm : `${realm}, error="invalid_token"`]],
  });
}

function refuseUnknown(stream: HttpStream, name: string): void {
  const failure = `Wrong requirement_name: ${name}. It should be one of the requirement_map`;
  stream.sendLocalReply({ status: 403, body: `Failed JWT authentication: ${failure}`, details: details(failure), flags: 0 });
}

// One word in the access log.
function details(failure: string): string {
  return `jwt_authn_access_denied{${failure.replace(/\s/g, "_")}}`;
}

function isPreflight({ method, headers }: HttpStream): boolean {
  return method === "OPTIONS" && Boolean(headers.get("origin")) && Boolean(headers.get("access-control-request-method"));
}
