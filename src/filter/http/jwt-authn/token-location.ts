// Where a provider's tokens are in a request, and how they are taken out of it.
import type { JwtProvider } from "../../../envoy/http-filter/jwt-authn.ts";
import type { HttpStream } from "../../../http/stream.ts";
import { queryParameter } from "../../../match/query-matcher.ts";

/** Where tokens are. */
export type TokenHolder = Pick<HttpStream, "headers" | "path" | "info">;

/** A token and what removes it from the request. */
export interface FoundToken {
  readonly token: string;
  remove(): void;
}

/** Finds every token of one provider, in the order headers, parameters, cookies. */
export type TokenFinder = (stream: TokenHolder) => readonly FoundToken[];

/** Compiles a provider's locations; without any, `authorization: Bearer` and the parameter `access_token`. */
export function compileTokenFinder(provider: JwtProvider): TokenFinder {
  const { fromHeaders, fromParams, fromCookies } = provider;
  const unset = fromHeaders.length + fromParams.length + fromCookies.length === 0;
  const headers = unset ? [{ name: "authorization", valuePrefix: "Bearer " }] : fromHeaders;
  const params = unset ? ["access_token"] : fromParams;
  return (stream) => {
    const found: FoundToken[] = [];
    for (const { name, valuePrefix } of headers) findInHeader(stream, name, valuePrefix, found);
    if (params.length > 0) findInQuery(stream, params, found);
    if (fromCookies.length > 0) findInCookies(stream, fromCookies, found);
    return found;
  };
}

// Every field counts, and every token of a field that the codec joined: a bad token must not hide behind a good one.
function findInHeader(stream: TokenHolder, name: string, prefix: string, found: FoundToken[]): void {
  const { names, values } = stream.headers;
  for (let i = names.indexOf(name); i >= 0; i = names.indexOf(name, i + 1)) {
    const value = values[i]!;
    const remove = (): void => void stream.headers.remove(name);
    if (prefix === "") found.push({ token: value.trimStart(), remove });
    else
      for (let at = value.indexOf(prefix); at >= 0; at = value.indexOf(prefix, at + prefix.length)) {
        const rest = value.slice(at + prefix.length).trimStart();
        found.push({ token: /^[A-Za-z0-9\-_.=]*/.exec(rest)?.[0] ?? "", remove });
      }
  }
}

function findInQuery(stream: TokenHolder, params: readonly string[], found: FoundToken[]): void {
  const at = stream.path.indexOf("?");
  if (at < 0) return;
  const query = stream.path.slice(at + 1);
  for (const name of params) {
    const token = queryParameter(query, name);
    if (token !== undefined) found.push({ token, remove: () => removeParameter(stream, name) });
  }
}

function removeParameter(stream: TokenHolder, name: string): void {
  const at = stream.path.indexOf("?");
  if (at < 0) return;
  const kept = stream.path
    .slice(at + 1)
    .split("&")
    .filter((pair) => pair !== name && !pair.startsWith(`${name}=`));
  stream.path = stream.path.slice(0, at) + (kept.length === 0 ? "" : `?${kept.join("&")}`);
  stream.info.path = stream.path;
}

// Cookies stay: Envoy does not take them out either.
function findInCookies(stream: TokenHolder, cookies: readonly string[], found: FoundToken[]): void {
  const { names, values } = stream.headers;
  for (let i = names.indexOf("cookie"); i >= 0; i = names.indexOf("cookie", i + 1)) {
    for (const pair of values[i]!.split(";")) {
      const equals = pair.indexOf("=");
      if (equals < 0 || !cookies.includes(pair.slice(0, equals).trim())) continue;
      found.push({
        token: pair
          .slice(equals + 1)
          .trim()
          .replace(/^"(.*)"$/, "$1"),
        remove: () => {},
      });
    }
  }
}
