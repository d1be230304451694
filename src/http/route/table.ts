// The compiled route table at work: authority to virtual host, then the first route that matches. Runs for every request.
import type { VirtualHost } from "../../envoy/route/route.ts";
import type { PathMatcher } from "../../envoy/string-matcher.ts";
import type { DomainTable } from "../../match/domains.ts";
import type { PathTest } from "../../match/path-matcher.ts";
import { compilePathMatcher } from "../../match/path-matcher.ts";
import type { ClusterDraw } from "./forward.ts";
import type { RequestTest } from "./match-request.ts";
import { forwardedScheme } from "./redirect.ts";
import type { CompiledRoute, RouteRequest, RouteTable } from "./route-table.ts";

// The kinds most routes are of are compared in place; TEST calls the compiled matcher.
const PREFIX = 0;
const EXACT = 1;
const TEST = 2;
const CONNECT = 3;

/** How a route looks at the path. */
export interface RoutePath {
  readonly kind: number;
  /** For PREFIX and EXACT. */
  readonly value: string;
  /** For TEST. */
  readonly test: PathTest;
}

/** One route as the walk sees it. */
export interface RouteEntry extends RoutePath {
  readonly conditions: RequestTest | undefined;
  readonly route: CompiledRoute;
  /** Set when the weighted cluster has to be drawn with the route; `routes` are in the order of the clusters. */
  readonly shares: { readonly draw: ClusterDraw; readonly routes: readonly CompiledRoute[] } | undefined;
}

/** A virtual host as the walk sees it. */
export interface CompiledVirtualHost {
  readonly routes: readonly RouteEntry[];
  readonly requireTls: VirtualHost["requireTls"];
  readonly redirectToHttps: CompiledRoute;
}

/** Compiles a path matcher into the form the walk wants. Throws when its regex or template is not valid. */
export function compileRoutePath(model: PathMatcher): RoutePath {
  if (model.kind === "connect") return { kind: CONNECT, value: "", test: never };
  if ((model.kind === "prefix" || model.kind === "path") && model.caseSensitive) {
    return { kind: model.kind === "prefix" ? PREFIX : EXACT, value: model.value, test: never };
  }
  return { kind: TEST, value: "", test: compilePathMatcher(model) };
}

/** Makes the table. */
export function createTable(name: string, domains: DomainTable<CompiledVirtualHost>, patch: RouteTable["patch"]): RouteTable {
  return {
    name,
    patch,
    match: (request, random) => {
      const host = domains.find(request.authority);
      if (host === undefined) return undefined;
      if (host.requireTls !== "NONE" && mustUpgrade(host, request)) return host.redirectToHttps;
      return walk(host.routes, request, random);
    },
  };
}

function never(): boolean {
  return false;
}

function mustUpgrade(host: CompiledVirtualHost, request: RouteRequest): boolean {
  return forwardedScheme(request) !== "https" && (host.requireTls === "ALL" || !request.internal);
}

function walk(routes: readonly RouteEntry[], request: RouteRequest, random: number): CompiledRoute | undefined {
  const target = request.path;
  const queryAt = target.indexOf("?");
  const path = queryAt < 0 ? target : target.slice(0, queryAt);
  let query: string | undefined;
  for (let i = 0; i < routes.length; i++) {
    const entry = routes[i]!;
    if (!matchesPath(entry, path, request)) continue;
    if (entry.conditions !== undefined) {
      query ??= queryAt < 0 ? "" : target.slice(queryAt + 1);
      if (!entry.conditions(request, query, random)) continue;
    }
    const { shares } = entry;
    return shares === undefined ? entry.route : shares.routes[shares.draw(request, random)];
  }
  return undefined;
}

/** Whether a route takes the path (no query). A CONNECT request has none: only connect_matcher may take it, whatever an empty prefix would say. */
export function matchesPath(entry: RoutePath, path: string, request: RouteRequest): boolean {
  switch (entry.kind) {
    case PREFIX:
      return path !== "" && path.startsWith(entry.value);
    case EXACT:
      return path !== "" && path === entry.value;
    case CONNECT:
      return request.method === "CONNECT";
    default:
      return path !== "" && entry.test(path);
  }
}
