// route.v3.QueryParameterMatcher as a predicate over a raw query string. Names and values are compared as they were sent,
// without percent-decoding, and only the first value of a name counts: both as Envoy does.
import type { QueryParameterMatcher } from "../envoy/string-matcher.ts";
import { compileStringMatcher } from "./string-matcher.ts";

/** Tells whether a query string (without `?`, possibly empty) matches. */
export type QueryTest = (query: string) => boolean;

/** Compiles a matcher. Throws when its regex is not valid RE2. */
export function compileQueryMatcher(model: QueryParameterMatcher): QueryTest {
  const { name, match } = model;
  if (match.kind === "present") {
    const { present } = match;
    return (query) => (queryParameter(query, name) !== undefined) === present;
  }
  const test = compileStringMatcher(match.matcher);
  return (query) => {
    const value = queryParameter(query, name);
    return value !== undefined && test(value);
  };
}

/** The first value of `name` in a query string (without `?`); empty when it has no `=`; undefined when absent. */
export function queryParameter(query: string, name: string): string | undefined {
  let start = 0;
  while (start < query.length) {
    let end = query.indexOf("&", start);
    if (end < 0) end = query.length;
    if (query.startsWith(name, start)) {
      const after = start + name.length;
      if (after === end) return "";
      if (query.charCodeAt(after) === EQUALS) return query.slice(after + 1, end);
    }
    start = end + 1;
  }
  return undefined;
}

const EQUALS = 0x3d;
