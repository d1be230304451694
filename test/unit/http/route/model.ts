// Builders of route models and requests for the tests in this folder: every field has Envoy's default.
import type {
  ForwardAction,
  HeaderMutations,
  HeaderValueOption,
  Route,
  RouteActionModel,
  RouteConfiguration,
  RouteMatch,
  VirtualHost,
  WeightedCluster,
} from "../../../../src/envoy/route/route.ts";
import type { PathMatcher } from "../../../../src/envoy/string-matcher.ts";
import type { CompiledRoute, RouteRequest, RouteTable } from "../../../../src/http/route/route-table.ts";
import { compileRouteTable } from "../../../../src/http/route/compile.ts";
import { compileFormat } from "../../../../src/telemetry/format.ts";
import { ConnectionInfo, StreamInfo } from "../../../../src/telemetry/stream-info.ts";
import { HeaderMap } from "../../../../src/wire/header-map.ts";

export const noHeaders: HeaderMutations = { requestAdd: [], requestRemove: [], responseAdd: [], responseRemove: [] };

export function option(
  key: string,
  value: string,
  appendAction: HeaderValueOption["appendAction"] = "APPEND_IF_EXISTS_OR_ADD",
  keepEmptyValue = false,
): HeaderValueOption {
  return { key, value, appendAction, keepEmptyValue };
}

export const prefix = (value: string, caseSensitive = true): PathMatcher => ({ kind: "prefix", value, caseSensitive });
export const exactPath = (value: string): PathMatcher => ({ kind: "path", value, caseSensitive: true });

export function forward(overrides: Partial<ForwardAction> = {}): ForwardAction {
  return {
    kind: "route",
    target: { kind: "cluster", name: "a" },
    clusterNotFoundStatus: 503,
    metadataMatch: {},
    appendXForwardedHost: false,
    timeoutMs: 15_000,
    mirrors: [],
    hashPolicy: [],
    priority: "DEFAULT",
    upgrades: {},
    includeAttemptCount: false,
    ...overrides,
  };
}

export function weighted(
  clusters: readonly (Partial<WeightedCluster> & { readonly name: string; readonly weight: number })[],
): ForwardAction["target"] {
  return {
    kind: "weighted",
    clusters: clusters.map((cluster) => ({ headers: noHeaders, typedPerFilterConfig: {}, ...cluster })),
    totalWeight: clusters.reduce((sum, { weight }) => sum + weight, 0),
  };
}

export function route(
  name: string,
  path: PathMatcher,
  action: RouteActionModel = forward(),
  overrides: Partial<Route> = {},
  match: Partial<RouteMatch> = {},
): Route {
  return {
    name,
    match: { path, headers: [], queryParameters: [], cookies: [], grpc: false, runtimeFraction: 1, ...match },
    action,
    headers: noHeaders,
    metadata: {},
    typedPerFilterConfig: {},
    ...overrides,
  };
}

export function host(domains: readonly string[], routes: readonly Route[], overrides: Partial<VirtualHost> = {}): VirtualHost {
  return {
    name: domains[0] ?? "",
    domains,
    routes,
    requireTls: "NONE",
    headers: noHeaders,
    includeRequestAttemptCount: false,
    includeAttemptCountInResponse: false,
    mirrors: [],
    typedPerFilterConfig: {},
    ...overrides,
  };
}

export function config(virtualHosts: readonly VirtualHost[], overrides: Partial<RouteConfiguration> = {}): RouteConfiguration {
  return {
    name: "test",
    virtualHosts,
    headers: noHeaders,
    mostSpecificHeaderMutationsWins: false,
    validateClusters: false,
    ignorePortInHostMatching: false,
    maxDirectResponseBodySizeBytes: 4096,
    mirrors: [],
    typedPerFilterConfig: {},
    ...overrides,
  };
}

export const deps = { compileFormat: (text: string) => compileFormat(text, { missing: "" }) };

/** Compiles a table that must be right. */
export function table(model: RouteConfiguration): RouteTable {
  const result = compileRouteTable(model, deps);
  if (!result.ok) throw new Error(JSON.stringify(result.issues));
  return result.value;
}

/** A table of one host for every authority. */
export function routes(...list: readonly Route[]): RouteTable {
  return table(config([host(["*"], list)]));
}

export function request(
  path: string,
  overrides: Partial<Omit<RouteRequest, "headers">> & { readonly fields?: Readonly<Record<string, string>> } = {},
): RouteRequest {
  const { fields = {}, ...rest } = overrides;
  const headers = new HeaderMap();
  for (const [name, value] of Object.entries(fields)) headers.add(name, value);
  return { headers, authority: "lab", path, method: "GET", scheme: "http", tls: undefined, internal: false, ...rest };
}

export function streamInfo(overrides: Partial<StreamInfo> = {}): StreamInfo {
  const connection = new ConnectionInfo(1, 0, 0, { ip: "127.0.0.1", port: 40_000 }, { ip: "127.0.0.1", port: 19_000 });
  return Object.assign(new StreamInfo(connection, 0, 0), overrides);
}

/** The matched route's action, which must be a forward. */
export function forwardOf(found: CompiledRoute | undefined): Extract<CompiledRoute["action"], { kind: "route" }> {
  if (found?.action.kind !== "route") throw new Error("no forward action");
  return found.action;
}

export function fieldsOf(headers: HeaderMap): readonly string[] {
  return headers.names.map((name, i) => `${name}: ${headers.values[i]}`);
}
