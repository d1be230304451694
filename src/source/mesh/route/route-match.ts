// HTTPMatchRequest as route.v3.RouteMatch, and what can be said of one.
import type { Json } from "../envoy-json.ts";
import { claimValueMatcher } from "../authz/value-matchers.ts";
import { claimPathOf, isClaimName } from "../istio/route/claim-match.ts";
import type { HttpMatch } from "../istio/route/http-match.ts";
import type { StringMatch } from "../istio/route/string-match.ts";
import { compareText } from "../registry/service.ts";

/** Matches every request. */
export const everyRequest: Json = { prefix: "/" };

/** The match of a route. */
export function routeMatch(match: HttpMatch): Json {
  const headers = [...headerMatchers(match), ...pseudoHeaderMatchers(match)];
  const parameters = [...match.queryParams].map(([name, value]) => nameMatcher(name, value)).toSorted(byName);
  const claims = claimMatchers(match);
  return {
    ...pathMatch(match.uri),
    case_sensitive: !match.ignoreUriCase,
    ...(headers.length === 0 ? {} : { headers }),
    ...(parameters.length === 0 ? {} : { query_parameters: parameters }),
    ...(claims.length === 0 ? {} : { dynamic_metadata: claims }),
  };
}

/** True when no request gets past a route. */
export function isCatchAll(match: Json): boolean {
  const regex = match["safe_regex"] as Json | undefined;
  const everyPath = match["prefix"] === "/" || regex?.["regex"] === ".*";
  return everyPath && match["headers"] === undefined && match["query_parameters"] === undefined && match["dynamic_metadata"] === undefined;
}

/** The path of a match, the way Istio writes it into the name of an operation. */
export function describePath(match: Json): string {
  const regex = match["safe_regex"] as Json | undefined;
  if (typeof match["path"] === "string") return match["path"];
  return regex === undefined ? `${String(match["prefix"])}*` : String(regex["regex"]);
}

/** type.matcher.v3.StringMatcher of a match that asks for a value. */
export function stringMatcher(match: Exclude<StringMatch, { readonly kind: "present" }>): Json {
  return match.kind === "regex" ? { safe_regex: { regex: match.value } } : { [match.kind]: match.value };
}

function pathMatch(uri: StringMatch | undefined): Json {
  if (uri === undefined || uri.kind === "present") return everyRequest;
  return uri.kind === "exact" ? { path: uri.value } : stringMatcher(uri);
}

function headerMatchers(match: HttpMatch): readonly Json[] {
  const wanted = [...match.headers].filter(isHeader).map(([name, value]) => nameMatcher(name, value));
  const unwanted = [...match.withoutHeaders].filter(isHeader).map(([name, value]) => ({
    ...nameMatcher(name, value),
    invert_match: true,
    ...(value.kind === "present" ? {} : { treat_missing_header_as_empty: true }),
  }));
  return [...wanted, ...unwanted].toSorted(byName);
}

const isHeader = ([name]: readonly [string, StringMatch]): boolean => !isClaimName(name);

function claimMatchers(match: HttpMatch): readonly Json[] {
  const matchers = (conditions: HttpMatch["headers"], invert: Json): readonly Json[] =>
    [...conditions]
      .toSorted(([a], [b]) => compareText(a, b))
      .flatMap(([name, value]) => {
        const path = isClaimName(name) ? claimPathOf(name) : undefined;
        return path === undefined
          ? []
          : [{ ...claimValueMatcher(path, value.kind === "present" ? undefined : stringMatcher(value)), ...invert }];
      });
  return [...matchers(match.headers, {}), ...matchers(match.withoutHeaders, { invert: true })];
}

function pseudoHeaderMatchers(match: HttpMatch): readonly Json[] {
  const pairs = [
    [":method", match.method],
    [":authority", match.authority],
    [":scheme", match.scheme],
  ] as const;
  return pairs.flatMap(([name, value]) => (value === undefined ? [] : [nameMatcher(name, value)]));
}

const nameMatcher = (name: string, match: StringMatch): Json =>
  match.kind === "present" ? { name, present_match: true } : { name, string_match: stringMatcher(match) };

const byName = (a: Json, b: Json): number => compareText(String(a["name"]), String(b["name"]));
