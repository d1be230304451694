// Istio's patterns (`abc`, `abc*`, `*abc`, `*`) as Envoy's matchers.
import type { Json } from "../envoy-json.ts";

/** A regex. */
export const regexMatcher = (regex: string): Json => ({ safe_regex: { regex } });

/** At least one character. */
export const anyText: Json = regexMatcher(".+");

/** A pattern; `prefix` comes before whatever the pattern starts with, and is left out where the pattern is `*`. */
export function textMatcher(pattern: string, prefix = ""): Json {
  if (pattern === "*") return anyText;
  // Only a regex can say: a prefix, then anything, then this.
  if (pattern.startsWith("*")) return prefix === "" ? { suffix: pattern.slice(1) } : regexMatcher(`${prefix}.*${pattern.slice(1)}`);
  return pattern.endsWith("*") ? { prefix: prefix + pattern.slice(0, -1) } : { exact: prefix + pattern };
}

/** A header; `*` asks for nothing but its presence. */
export function headerMatcher(name: string, pattern: string, ignoreCase = false): Json {
  if (pattern === "*") return { name, present_match: true };
  return { name, string_match: { ...textMatcher(pattern), ...(ignoreCase ? { ignore_case: true } : {}) } };
}

/** Any of the matchers of a value. */
export function anyValue(matchers: readonly Json[]): Json {
  const [only] = matchers;
  return matchers.length === 1 && only !== undefined ? only : { or_match: { value_matchers: matchers } };
}

/** A string value that matches. */
export const stringValue = (matcher: Json): Json => ({ string_match: matcher });

/** A list value of which one item matches. */
export const oneOfList = (matcher: Json): Json => ({ list_match: { one_of: matcher } });

/** A value of a filter's dynamic metadata. */
export function metadataMatcher(filter: string, path: readonly string[], value: Json): Json {
  return { filter, path: path.map((key) => ({ key })), value };
}

// Where Istio has the token filter put what a verified token says.
const tokenPayload = "payload";
const tokenFilter = "envoy.filters.http.jwt_authn";

/** A string claim of the verified token. */
export function claimMatcher(claim: string, matcher: Json): Json {
  return metadataMatcher(tokenFilter, [tokenPayload, claim], stringValue(matcher));
}

/** A claim, however deep, that is one of the patterns or a list with one of them in it. */
export function claimListMatcher(claims: readonly string[], patterns: readonly string[]): Json {
  const value = anyValue(patterns.map((pattern) => stringValue(textMatcher(pattern))));
  return metadataMatcher(tokenFilter, [tokenPayload, ...claims], { or_match: { value_matchers: [oneOfList(value), value] } });
}

/** A claim, however deep, that a string matcher takes, or a list with one item that it takes; without a matcher: any claim. */
export function claimValueMatcher(claims: readonly string[], matcher: Json | undefined): Json {
  const value = matcher === undefined ? undefined : stringValue(matcher);
  const wanted = value === undefined ? { present_match: true } : { or_match: { value_matchers: [oneOfList(value), value] } };
  return metadataMatcher(tokenFilter, [tokenPayload, ...claims], wanted);
}

/** core.v3.CidrRange of an address or range. */
export function cidrRange(block: string): Json {
  const [address = "", length] = block.split("/");
  return { address_prefix: address, prefix_len: length === undefined ? (address.includes(":") ? 128 : 32) : Number(length) };
}
