// What the tokens of a request come to, without statistics and replies being sent: the filter acts on it, and `explain` tells it.
import type { JwtAuthnConfig, JwtPerRoute, JwtRequirement, JwtRule } from "../../../envoy/http-filter/jwt-authn.ts";
import type { LocalReply } from "../../../http/local-reply.ts";
import { compileConditions } from "../../../http/route/match-request.ts";
import { perRoute } from "../../../http/route/per-route.ts";
import type { HttpStream } from "../../../http/stream.ts";
import { compilePathMatcher } from "../../../match/path-matcher.ts";
import type { JwtFailure } from "./jwt.ts";
import { audienceNotAllowed, missing } from "./jwt.ts";
import type { KeysOf, TokenRequest, Verifier } from "./requirement.ts";
import { compileProviders, compileRequirement } from "./requirement.ts";

/** What is looked at and changed of a request: headers are taken away and added, the path loses tokens. */
export type CheckedRequest = TokenRequest & Pick<HttpStream, "method" | "authority" | "scheme" | "tls" | "internal" | "route">;

/** `bypassed`: a CORS preflight. A reply refuses. */
export type TokenVerdict = "allowed" | "bypassed" | LocalReply;

/** Judges one request. */
export type TokenCheck = (request: CheckedRequest, nowSeconds: number) => TokenVerdict;

/** A rule: `verifier` is undefined when it requires nothing. */
interface Rule {
  applies(request: CheckedRequest): boolean;
  readonly verifier: Verifier | undefined;
}

/** Compiles a filter's configuration. Default of `keysOf`: the keys that it has. */
export function compileTokenCheck(config: JwtAuthnConfig, filterName: string, keysOf?: KeysOf): TokenCheck {
  const providers = compileProviders(config.providers, keysOf);
  const rules = config.rules.map((rule) => compileRule(rule, (requires) => compileRequirement(requires, providers)));
  const named = new Map(Object.entries(config.requirementMap).map(([name, model]) => [name, compileRequirement(model, providers)]));
  const override = perRoute(filterName, (model: JwtPerRoute) => model);
  const ownHeaders = config.providers.flatMap((provider) => [
    ...(provider.forwardPayloadHeader === "" ? [] : [provider.forwardPayloadHeader]),
    ...provider.claimToHeaders.map(({ headerName }) => headerName),
  ]);
  return (request, nowSeconds) => {
    // Only this filter may write them: the upstream takes them for verified.
    for (const name of ownHeaders) request.headers.remove(name);
    if (config.bypassCorsPreflight && isPreflight(request)) return "bypassed";
    const route = override(request);
    let verifier: Verifier | undefined;
    if (route === undefined) verifier = rules.find((rule) => rule.applies(request))?.verifier;
    else if (route.kind === "requirement") {
      verifier = named.get(route.name);
      if (verifier === undefined) return unknownRequirement(route.name);
    }
    const failure = verifier?.(request, nowSeconds);
    return failure === undefined ? "allowed" : refusal(request, failure);
  };
}

function compileRule(rule: JwtRule, compile: (requires: JwtRequirement) => Verifier): Rule {
  const { match, requires } = rule;
  const path = compilePathMatcher(match.path);
  const conditions = compileConditions(match);
  return {
    verifier: requires && compile(requires),
    applies: (request) => {
      const query = request.path.indexOf("?");
      const bare = query < 0 ? request.path : request.path.slice(0, query);
      if (match.path.kind === "connect" ? request.method !== "CONNECT" : !path(bare)) return false;
      return conditions === undefined || conditions(request, query < 0 ? "" : request.path.slice(query + 1), 0);
    },
  };
}

// Longest part of the path in the realm, as in Envoy.
const maxRealmPath = 256;

function refusal(request: CheckedRequest, failure: JwtFailure): LocalReply {
  const path = (request.headers.get("x-envoy-original-path") ?? request.path).slice(0, maxRealmPath);
  const realm = `Bearer realm="${request.scheme}://${request.authority}${path}"`;
  return {
    status: failure === audienceNotAllowed ? 403 : 401,
    body: failure,
    details: details(failure),
    flags: 0,
    headers: [["www-authenticate", failure === missing ? realm : `${realm}, error="invalid_token"`]],
  };
}

function unknownRequirement(name: string): LocalReply {
  const failure = `Wrong requirement_name: ${name}. It should be one of the requirement_map`;
  return { status: 403, body: `Failed JWT authentication: ${failure}`, details: details(failure), flags: 0 };
}

// One word in the access log.
function details(failure: string): string {
  return `jwt_authn_access_denied{${failure.replace(/\s/g, "_")}}`;
}

function isPreflight({ method, headers }: CheckedRequest): boolean {
  return method === "OPTIONS" && Boolean(headers.get("origin")) && Boolean(headers.get("access-control-request-method"));
}
