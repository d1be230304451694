// route.v3.RouteMatch without its path, as one predicate: headers, query parameters, gRPC, TLS, the runtime share, and what
// filters have said.
import { compileStringMatcher } from "../../match/string-matcher.ts";
import { cookieValue } from "./hash-policy.ts";
import { isGrpc } from "../grpc.ts";
import type { CookieMatcher, RouteMatch } from "../../envoy/route/route.ts";
import { compileAllHeaders } from "../../match/header-matcher.ts";
import { compileMetadataMatcher } from "../../match/metadata-matcher.ts";
import { compileQueryMatcher } from "../../match/query-matcher.ts";
import type { RouteRequest } from "./route-table.ts";

/** Tells whether a request meets a route's conditions; `query` is without `?`, `random` in [0, 1). */
export type RequestTest = (request: RouteRequest, query: string, random: number) => boolean;

/** Compiles the conditions; undefined when there is none, as for most routes. Throws when a regex is not valid RE2. */
export function compileConditions(model: RouteMatch): RequestTest | undefined {
  const tests: RequestTest[] = [];
  // In the order of cost.
  if (model.runtimeFraction < 1) tests.push((_request, _query, random) => random < model.runtimeFraction);
  if (model.grpc) tests.push((request) => isGrpc(request.headers));
  const headers = compileAllHeaders(model.headers);
  if (headers !== undefined) tests.push(headers);
  for (const parameter of model.queryParameters) {
    const test = compileQueryMatcher(parameter);
    tests.push((_request, query) => test(query));
  }
  for (const cookie of model.cookies) tests.push(compileCookieTest(cookie));
  const { tls } = model;
  if (tls !== undefined) {
    tests.push(
      (request) =>
        (tls.presented === undefined || tls.presented === (request.tls?.presented ?? false)) &&
        (tls.validated === undefined || tls.validated === (request.tls?.validated ?? false)),
    );
  }
  for (const matcher of model.dynamicMetadata ?? []) {
    const test = compileMetadataMatcher(matcher);
    tests.push((request) => test(request.info?.dynamicMetadata));
  }
  if (tests.length < 2) return tests[0];
  return (request, query, random) => {
    for (const test of tests) if (!test(request, query, random)) return false;
    return true;
  };
}

function compileCookieTest({ name, matcher, invertMatch }: CookieMatcher): RequestTest {
  const test = compileStringMatcher(matcher);
  return (request) => {
    const value = cookieValue(request, name);
    // As for headers: what is not there matches nothing, and so everything inverted.
    return (value !== undefined && test(value)) !== invertMatch;
  };
}
