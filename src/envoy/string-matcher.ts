// Envoy matcher shapes (type.matcher.v3, route.v3 HeaderMatcher and QueryParameterMatcher) as plain data; match/ compiles them.
import { compileRegex } from "../regex.ts";
import type { Decoder } from "./decode/cursor.ts";
import { anyOf, typedExtension, unsupportedType } from "./decode/any.ts";
import { type Fields, message } from "./decode/message.ts";
import { bool, headerName, int64, nonEmpty, text } from "./decode/scalars.ts";

/** type.matcher.v3.StringMatcher. Regexes are RE2 syntax and match the whole value. */
export type StringMatcher =
  | { readonly kind: "exact" | "prefix" | "suffix" | "contains"; readonly value: string; readonly ignoreCase: boolean }
  | { readonly kind: "safeRegex"; readonly regex: string };

/** route.v3.HeaderMatcher. `name` is lower case. */
export interface HeaderMatcher {
  readonly name: string;
  readonly match:
    | { readonly kind: "string"; readonly matcher: StringMatcher }
    | { readonly kind: "range"; readonly start: number; readonly end: number }
    | { readonly kind: "present"; readonly present: boolean };
  readonly invertMatch: boolean;
  readonly treatMissingHeaderAsEmpty: boolean;
}

/** route.v3.QueryParameterMatcher; no matcher means the parameter only has to be there. */
export interface QueryParameterMatcher {
  readonly name: string;
  readonly match: { readonly kind: "string"; readonly matcher: StringMatcher } | { readonly kind: "present"; readonly present: boolean };
}

/** A path matcher, used by routes and RBAC. */
export type PathMatcher =
  | { readonly kind: "prefix" | "path" | "pathSeparatedPrefix"; readonly value: string; readonly caseSensitive: boolean }
  | { readonly kind: "safeRegex"; readonly regex: string }
  | { readonly kind: "template"; readonly template: string }
  | { readonly kind: "connect" };

/** A regular expression's text, checked to compile. */
const regexText: Decoder<string> = (json, at) => {
  const value = nonEmpty(json, at);
  if (value !== "") {
    const compiled = compileRegex(value);
    if ("error" in compiled) at.error(compiled.error);
  }
  return value;
};

/** type.matcher.v3.RegexMatcher: the expression. Engines other than RE2 never existed. */
export const decodeRegex: Decoder<string> = message("envoy.type.matcher.v3.RegexMatcher", (m) => {
  m.accept("google_re2");
  return m.required("regex", regexText);
});

/** type.matcher.v3.RegexMatchAndSubstitute. */
export const decodeRegexSubstitution = message("envoy.type.matcher.v3.RegexMatchAndSubstitute", (m) => ({
  regex: m.required("pattern", decodeRegex),
  substitution: m.field("substitution", text, ""),
}));

const plain = (kind: "exact" | "prefix" | "suffix" | "contains", value: Decoder<string>): Decoder<StringMatcher> => {
  return (json, at) => ({ kind, value: value(json, at), ignoreCase: false });
};
const safeRegex: Decoder<StringMatcher> = (json, at) => ({ kind: "safeRegex", regex: decodeRegex(json, at) });
const neverMatched: StringMatcher = { kind: "exact", value: "", ignoreCase: false };
const exact = plain("exact", text);
const prefix = plain("prefix", nonEmpty);
const suffix = plain("suffix", nonEmpty);
const contains = plain("contains", nonEmpty);

/** type.matcher.v3.StringMatcher. */
export const decodeStringMatcher: Decoder<StringMatcher> = message(
  "envoy.type.matcher.v3.StringMatcher",
  (m): StringMatcher => {
    m.refuse("custom string matchers", "custom");
    const matcher = m.requiredOneof({ exact, prefix, suffix, contains, safe_regex: safeRegex }, neverMatched);
    const ignoreCase = m.field("ignore_case", bool, false);
    if (!ignoreCase) return matcher;
    if (matcher.kind !== "safeRegex") return { ...matcher, ignoreCase };
    m.at.error("ignore_case has no effect on safe_regex; write (?i) into the expression", "ignore_case");
    return matcher;
  },
  { unhandled: "error" },
);

const decodeRange = message("envoy.type.v3.Int64Range", (m) => ({ start: m.field("start", int64, 0), end: m.field("end", int64, 0) }));

const asString =
  (matcher: Decoder<StringMatcher>): Decoder<HeaderMatcher["match"]> =>
  (json, at) => ({ kind: "string", matcher: matcher(json, at) });
const asPresent: Decoder<{ readonly kind: "present"; readonly present: boolean }> = (json, at) => ({
  kind: "present",
  present: bool(json, at),
});

/** config.route.v3.HeaderMatcher, the deprecated forms (`exact_match`, ...) included. */
export const decodeHeaderMatcher: Decoder<HeaderMatcher> = message(
  "envoy.config.route.v3.HeaderMatcher",
  (m) => ({
    name: m.required("name", headerName),
    match: m.oneof<HeaderMatcher["match"]>({
      string_match: asString(decodeStringMatcher),
      range_match: (json, at) => ({ kind: "range", ...decodeRange(json, at) }),
      present_match: asPresent,
      exact_match: asString(exact),
      prefix_match: asString(prefix),
      suffix_match: asString(suffix),
      contains_match: asString(contains),
      safe_regex_match: asString(safeRegex),
    }) ?? { kind: "present", present: true },
    invertMatch: m.field("invert_match", bool, false),
    treatMissingHeaderAsEmpty: m.field("treat_missing_header_as_empty", bool, false),
  }),
  { unhandled: "error" },
);

/** config.route.v3.QueryParameterMatcher. */
export const decodeQueryParameterMatcher: Decoder<QueryParameterMatcher> = message(
  "envoy.config.route.v3.QueryParameterMatcher",
  (m) => ({
    name: m.required("name", nonEmpty),
    match: m.oneof<QueryParameterMatcher["match"]>({
      string_match: (json, at) => ({ kind: "string", matcher: decodeStringMatcher(json, at) }),
      present_match: asPresent,
    }) ?? { kind: "present", present: true },
  }),
  { unhandled: "error" },
);

/** type.matcher.v3.PathMatcher: a matcher over the path without its query. */
export const decodeUrlPathMatcher: Decoder<StringMatcher> = message(
  "envoy.type.matcher.v3.PathMatcher",
  (m) => m.required("path", decodeStringMatcher),
  {
    unhandled: "error",
  },
);

const uriTemplateMatch = message("envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig", (m: Fields) =>
  m.required("path_template", uriTemplate),
);

/** A TypedExtensionConfig holding a URI template, the only path match policy there is. */
export const decodeUriTemplate: Decoder<string> = typedExtension(
  anyOf({ "envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig": uriTemplateMatch }, (type, at) => {
    at.error(unsupportedType(type, ["envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig"]));
    return "/";
  }),
);

// Envoy allows literals, *, ** and {name}, {name=pattern} segments, with ** last and at most five variables.
const uriTemplate: Decoder<string> = (json, at) => {
  const value = text(json, at);
  if (!value.startsWith("/")) at.error("a path template starts with /");
  const doubleStar = value.indexOf("**");
  if (doubleStar >= 0 && /\*/.test(value.slice(doubleStar + 2))) at.error("** must be the last operator of a path template");
  if ((value.match(/\{/g) ?? []).length > 5) at.error("a path template has at most five variables");
  return value;
};
