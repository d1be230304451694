// route.v3.HeaderMatcher as predicates over a request or over plain fields. A field that came several times matches when
// any one of its values does (Envoy since 1.39; joined matching let `x-role: user, admin` pass a rule on `admin`).
import type { HeaderMatcher } from "../envoy/string-matcher.ts";
import type { HeaderMap } from "../wire/header-map.ts";
import type { StringTest } from "./string-matcher.ts";
import { compileStringMatcher } from "./string-matcher.ts";

/** A request as header matchers see it; `:method`, `:path`, `:authority` (also `host`) and `:scheme` are its members. */
export interface HeaderSource {
  readonly headers: HeaderMap;
  readonly method: string;
  /** With the query. */
  readonly path: string;
  readonly authority: string;
  readonly scheme: string;
}

/** Tells whether a request has a matching header. */
export type HeaderTest = (request: HeaderSource) => boolean;

/** Compiles a matcher for requests. Throws when its regex is not valid RE2. */
export function compileHeaderMatcher(model: HeaderMatcher): HeaderTest {
  const pseudo = pseudoHeaders.get(model.name);
  if (pseudo === undefined) {
    const test = compileFieldMatcher(model);
    return (request) => test(request.headers);
  }
  const invert = model.invertMatch;
  const test = compileValueTest(model);
  const absent = absentOutcome(model, test);
  // Pseudo-headers are never repeated; the empty string stands for absent (a CONNECT has no path).
  return (request) => {
    const value = pseudo(request);
    return value === "" ? absent : test(value) !== invert;
  };
}

/** Compiles a matcher for plain fields (response headers, trailers); pseudo-header names never match. Throws on a bad regex. */
export function compileFieldMatcher(model: HeaderMatcher): (headers: HeaderMap) => boolean {
  const { name, invertMatch } = model;
  const test = compileValueTest(model);
  const absent = absentOutcome(model, test);
  return (headers) => {
    const { names } = headers;
    let at = names.indexOf(name);
    if (at < 0) return absent;
    do {
      if (test(headers.values[at]!)) return !invertMatch;
      at = names.indexOf(name, at + 1);
    } while (at >= 0);
    return invertMatch;
  };
}

/** Compiles a list that must match as a whole; undefined for an empty list, so that callers can skip the call. */
export function compileAllHeaders(models: readonly HeaderMatcher[]): HeaderTest | undefined {
  if (models.length === 0) return undefined;
  const tests = models.map(compileHeaderMatcher);
  const [only] = tests;
  if (tests.length === 1 && only !== undefined) return only;
  return (request) => {
    for (const test of tests) if (!test(request)) return false;
    return true;
  };
}

const pseudoHeaders: ReadonlyMap<string, (request: HeaderSource) => string> = new Map([
  [":method", (request: HeaderSource) => request.method],
  [":path", (request: HeaderSource) => request.path],
  [":authority", (request: HeaderSource) => request.authority],
  ["host", (request: HeaderSource) => request.authority],
  [":scheme", (request: HeaderSource) => request.scheme],
]);

function compileValueTest(model: HeaderMatcher): StringTest {
  const { match } = model;
  switch (match.kind) {
    case "string":
      return compileStringMatcher(match.matcher);
    case "present":
      return () => match.present;
    case "range": {
      const { start, end } = match;
      return (value) => {
        if (!integer.test(value)) return false;
        const number = Number(value);
        return number >= start && number < end;
      };
    }
  }
}

// What absl::SimpleAtoi accepts: a decimal integer, optionally signed, with surrounding white space.
const integer = /^\s*[+-]?\d{1,19}\s*$/;

// An absent header matches `present: false` and the inversion of `present: true`, and otherwise nothing, inverted or not,
// unless absence is to be read as the empty value.
function absentOutcome(model: HeaderMatcher, test: StringTest): boolean {
  if (model.match.kind === "present") return model.match.present === model.invertMatch;
  return model.treatMissingHeaderAsEmpty && test("") !== model.invertMatch;
}
