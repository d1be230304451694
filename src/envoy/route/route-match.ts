// Decoder of route.v3.RouteMatch. A condition that cannot be checked is an error: without it the route would take requests that
// were meant for another.
import type { Decoder } from "../decode/cursor.ts";
import { message } from "../decode/message.ts";
import { bool, list, nonEmpty, presence, text } from "../decode/scalars.ts";
import { decodeMetadataMatcher } from "../metadata-matcher.ts";
import { decodeRuntimeShare } from "../percent.ts";
import type { CookieMatcher, RouteMatch } from "./route.ts";
import {
  decodeHeaderMatcher,
  decodeQueryParameterMatcher,
  decodeRegex,
  decodeStringMatcher,
  decodeUriTemplate,
  type PathMatcher,
} from "../string-matcher.ts";

const anyPath: PathMatcher = { kind: "prefix", value: "/", caseSensitive: true };

const literal =
  (kind: "prefix" | "path"): Decoder<PathMatcher> =>
  (json, at) => ({ kind, value: text(json, at), caseSensitive: true });

const separatedPrefix: Decoder<PathMatcher> = (json, at) => {
  const value = text(json, at);
  if (typeof json === "string" && !/^[^?#]+[^?#/]$/.test(value)) at.error("must not end with / nor contain ? or #");
  return { kind: "pathSeparatedPrefix", value, caseSensitive: true };
};

const decodeTlsOptions = message("envoy.config.route.v3.RouteMatch.TlsContextMatchOptions", (m) => ({
  ...m.maybe("presented", "presented", bool),
  ...m.maybe("validated", "validated", bool),
}));

const decodeCookieMatcher: Decoder<CookieMatcher> = message(
  "envoy.config.route.v3.CookieMatcher",
  (m) => ({
    name: m.required("name", nonEmpty),
    matcher: m.required("string_match", decodeStringMatcher),
    invertMatch: m.field("invert_match", bool, false),
  }),
  { unhandled: "error" },
);

/** route.v3.RouteMatch. */
export const decodeRouteMatch: Decoder<RouteMatch> = message(
  "envoy.config.route.v3.RouteMatch",
  (m) => {
    const path = m.requiredOneof<PathMatcher>(
      {
        prefix: literal("prefix"),
        path: literal("path"),
        safe_regex: (json, at) => ({ kind: "safeRegex", regex: decodeRegex(json, at) }),
        path_separated_prefix: separatedPrefix,
        path_match_policy: (json, at) => ({ kind: "template", template: decodeUriTemplate(json, at) }),
        connect_matcher: (json, at) => (presence(json, at), { kind: "connect" }),
      },
      anyPath,
    );
    const caseSensitive = m.field("case_sensitive", bool, true);
    return {
      path: "caseSensitive" in path ? { ...path, caseSensitive } : path,
      headers: m.field("headers", list(decodeHeaderMatcher), []),
      queryParameters: m.field("query_parameters", list(decodeQueryParameterMatcher), []),
      cookies: m.field("cookies", list(decodeCookieMatcher), []),
      grpc: m.field("grpc", presence, false),
      runtimeFraction: m.field("runtime_fraction", decodeRuntimeShare, 1),
      ...m.maybe("tls", "tls_context", decodeTlsOptions),
      ...m.maybe("dynamicMetadata", "dynamic_metadata", list(decodeMetadataMatcher)),
    };
  },
  { unhandled: "error" },
);
