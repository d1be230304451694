// Internal redirects: a redirect that the upstream answers with is followed here, and the client sees what comes of it. Envoy's
// rules of which are followed, its stats for those that are not.
import type { InternalRedirectPolicy, RedirectPredicate } from "../../../envoy/route/internal-redirect.ts";
import type { CompiledRoute } from "../../../http/route/route-table.ts";
import type { FollowedRedirects, HttpStream } from "../../../http/stream.ts";
import type { Counter, StatsScope } from "../../../telemetry/stats.ts";
import type { HeaderMap } from "../../../wire/header-map.ts";

/** Redirects that were passed on, by reason: `http.STAT_PREFIX.passthrough_internal_redirect_*`. */
export interface RedirectStats {
  readonly badLocation: Counter;
  readonly unsafeScheme: Counter;
  readonly tooMany: Counter;
  readonly noRoute: Counter;
  readonly predicate: Counter;
}

/** Makes the instruments. */
export function createRedirectStats(scope: StatsScope): RedirectStats {
  const counter = (reason: string): Counter => scope.counter(`passthrough_internal_redirect_${reason}`);
  return {
    badLocation: counter("bad_location"),
    unsafeScheme: counter("unsafe_scheme"),
    tooMany: counter("too_many_redirects"),
    noRoute: counter("no_route"),
    predicate: counter("predicate"),
  };
}

/** Where a Location leads. */
export interface RedirectTarget {
  readonly scheme: string;
  readonly authority: string;
  /** With query; empty or without a slash where the Location has none. */
  readonly path: string;
}

// A scheme, a host, and what is left without its fragment; user information is passed over.
const absolute = /^([A-Za-z][A-Za-z0-9+.-]*):\/\/(?:[^/?#@\s]*@)?([A-Za-z0-9._~%:[\]-]+)((?:[/?][^#]*)?)(?:#.*)?$/;

/** Reads a Location; undefined where it is no absolute URL, which alone is followed. */
export function readLocation(location: string): RedirectTarget | undefined {
  const match = absolute.exec(location);
  if (match === null || /[^\x21-\xff]/.test(location)) return undefined;
  const [, scheme, authority, path] = match;
  return { scheme: scheme!.toLowerCase(), authority: authority!, path: path === "" ? "/" : path! };
}

/**
 * Turns the stream's request into the one that a redirect asks for: true when it is to be started over. Where it is not, the request
 * is as it was, but for its route, which in Envoy, too, has become that of the redirect.
 * @param route whose response it is
 */
export function followRedirect(
  stream: HttpStream,
  route: CompiledRoute,
  policy: InternalRedirectPolicy,
  status: number,
  headers: HeaderMap,
  stats: RedirectStats,
): boolean {
  const location = headers.get("location");
  if (location === undefined) return false;
  const target = readLocation(location);
  if (target === undefined) return refuse(stats.badLocation);
  const secure = stream.scheme === "https";
  const toSecure = target.scheme !== "http";
  if (target.scheme !== "http" && target.scheme !== "https") return refuse(stats.unsafeScheme);
  if (!policy.crossScheme && secure !== toSecure) return refuse(stats.unsafeScheme);
  const redirects = (stream.redirects ??= { count: 0, routes: new Map() });
  if (redirects.count >= policy.maxRedirects) return refuse(stats.tooMany);

  const before = stream.headers.clone();
  const { scheme, authority, path } = stream;
  copyHeaders(policy.headersToCopy, headers, stream.headers);
  stream.scheme = target.scheme;
  stream.authority = target.authority;
  stream.path = target.path;
  stream.manager.chooseRoute(stream);
  const next = stream.route;
  const refused =
    next === undefined
      ? stats.noRoute
      : policy.predicates.every((predicate) => accepts(predicate, route.name, next.name, redirects, secure, toSecure))
        ? undefined
        : stats.predicate;
  if (refused !== undefined) {
    stream.scheme = scheme;
    stream.authority = authority;
    stream.path = path;
    restore(stream.headers, before);
    return refuse(refused);
  }
  // RFC 9110 section 15.4.4.
  if (status === 303 && stream.method !== "GET" && stream.method !== "HEAD") {
    stream.method = "GET";
    stream.headers.remove("content-length");
  }
  redirects.count++;
  stream.headers.set("x-envoy-original-url", `${secure ? "https" : "http"}://${authority}${path}`);
  // The record of the request so far tells where it went on to.
  stream.info.method = stream.method;
  stream.info.path = stream.path;
  stream.info.authority = stream.authority;
  return true;
}

function refuse(why: Counter): false {
  why.inc();
  return false;
}

/** The response's take the place of the request's; a name that the response does not have goes. */
function copyHeaders(names: readonly string[], from: HeaderMap, to: HeaderMap): void {
  for (const name of names) {
    to.remove(name);
    for (let i = 0; i < from.size; i++) if (from.names[i] === name) to.add(name, from.values[i]!);
  }
}

function restore(headers: HeaderMap, before: HeaderMap): void {
  for (let i = headers.size - 1; i >= 0; i--) headers.removeAt(i);
  for (let i = 0; i < before.size; i++) headers.add(before.names[i]!, before.values[i]!);
}

function accepts(
  predicate: RedirectPredicate,
  from: string,
  to: string,
  redirects: FollowedRedirects,
  secure: boolean,
  toSecure: boolean,
): boolean {
  switch (predicate.kind) {
    case "previousRoutes": {
      const seen = redirects.routes.get(from) ?? new Set();
      if (seen.has(to)) return false;
      redirects.routes.set(from, seen.add(to));
      return true;
    }
    case "allowListedRoutes":
      return predicate.names.includes(to);
    case "safeCrossScheme":
      return secure || !toSecure;
  }
}
