// Envoy matcher shapes (type.matcher.v3, route.v3 HeaderMatcher and QueryParameterMatcher) as plain data; match/ compiles them.

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
