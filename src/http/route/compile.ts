// RouteConfiguration to RouteTable: everything that can be decided when configuration is applied is decided here, so that a
// request costs one domain lookup and a walk over its virtual host's routes.
import { compileBodyFormat } from "../../telemetry/format/body-format.ts";
import type { DirectResponseAction, Route, RouteConfiguration, VirtualHost, WeightedCluster } from "../../envoy/route/route.ts";
import type { Issue, Result } from "../../error.ts";
import { compileDomains, type DomainEntry } from "../../match/domains.ts";
import type { FilterOverrides } from "./filter-overrides.ts";
import { noOverrides, resolveOverrides } from "./filter-overrides.ts";
import { type ClusterPick, compileDraw, compileForward } from "./forward.ts";
import type { FormatCompiler, LevelMutators } from "./header-mutator.ts";
import { compileLevel, mergeLevels } from "./header-mutator.ts";
import { compileConditions } from "./match-request.ts";
import { compileRedirect, httpsRedirect } from "./redirect.ts";
import type { CompiledDirectResponse, CompiledForward, CompiledRoute, RouteTable } from "./route-table.ts";
import type { CompiledVirtualHost, RouteEntry } from "./table.ts";
import { compileRoutePath, createTable } from "./table.ts";

/** What compilation needs from elsewhere. */
export interface RouteCompilerDeps {
  /** For header values; operators without a value must give an empty string. */
  readonly compileFormat: FormatCompiler;
}

/** Compiles a route configuration, or says everything that is wrong with it. Paths of issues start at the configuration. */
export function compileRouteTable(model: RouteConfiguration, deps: RouteCompilerDeps): Result<RouteTable> {
  const issues: Issue[] = [];
  const config = compileLevel(model.headers, deps.compileFormat, [], issues);
  const compileHosts = (hosts: readonly VirtualHost[], found: Issue[]): readonly DomainEntry<CompiledVirtualHost>[] =>
    hosts.map((host, i) => ({
      domains: host.domains,
      value: compileVirtualHost(host, model, config, deps, ["virtual_hosts", i], found),
    }));
  const domains = compileDomains(compileHosts(model.virtualHosts, issues), { ignorePort: model.ignorePortInHostMatching });
  for (const domain of domains.duplicates) {
    issues.push({ severity: "error", path: ["virtual_hosts"], message: `domain ${domain} belongs to more than one virtual host` });
  }
  if (hasErrors(issues)) return { ok: false, issues };
  const domainsOf = new Map(model.virtualHosts.map((host) => [host.name, host.domains]));
  const patch: RouteTable["patch"] = ({ set, removed }) => {
    const found: Issue[] = [];
    const added = compileHosts(set, found);
    if (hasErrors(found)) return found;
    const gone = [...removed, ...set.map((host) => host.name)].flatMap((name) => domainsOf.get(name) ?? []);
    domains.replace(gone, added);
    for (const name of removed) domainsOf.delete(name);
    for (const host of set) domainsOf.set(host.name, host.domains);
    return [];
  };
  return { ok: true, value: createTable(model.name, domains, patch), issues };
}

const hasErrors = (issues: readonly Issue[]): boolean => issues.some((issue) => issue.severity === "error");

function compileVirtualHost(
  host: VirtualHost,
  config: RouteConfiguration,
  configLevel: LevelMutators,
  deps: RouteCompilerDeps,
  path: Issue["path"],
  issues: Issue[],
): CompiledVirtualHost {
  const context: HostContext = {
    host,
    config,
    configLevel,
    hostLevel: compileLevel(host.headers, deps.compileFormat, path, issues),
    overrides: resolveOverrides([config.typedPerFilterConfig, host.typedPerFilterConfig]),
    deps,
    issues,
  };
  const routes: RouteEntry[] = [];
  for (const [i, route] of host.routes.entries()) {
    const at = [...path, "routes", i];
    try {
      routes.push(compileRoute(route, context, at));
    } catch (thrown) {
      // Regexes and templates say what is wrong with them by throwing.
      issues.push({ severity: "error", path: at, message: thrown instanceof Error ? thrown.message : String(thrown) });
    }
  }
  return { routes, requireTls: host.requireTls, redirectToHttps: httpsRoute(host) };
}

/** What the routes of one virtual host have in common. */
interface HostContext {
  readonly host: VirtualHost;
  readonly config: RouteConfiguration;
  readonly configLevel: LevelMutators;
  readonly hostLevel: LevelMutators;
  readonly overrides: FilterOverrides;
  readonly deps: RouteCompilerDeps;
  readonly issues: Issue[];
}

function compileRoute(route: Route, context: HostContext, path: Issue["path"]): RouteEntry {
  const { host, config, deps, issues } = context;
  const headers = compileLevel(route.headers, deps.compileFormat, path, issues);
  const { action: model } = route;
  const mirrors = host.mirrors.length > 0 ? host.mirrors : config.mirrors;
  const forward = model.kind === "route" ? compileForward(model, route.match, mirrors, deps.compileFormat, path, issues) : undefined;
  const own = Object.keys(route.typedPerFilterConfig).length > 0;
  const levels = [config.typedPerFilterConfig, host.typedPerFilterConfig, route.typedPerFilterConfig];
  const compiled: CompiledRoute = {
    name: route.name,
    model: route,
    virtualHost: host,
    action: forward?.action ?? compileTerminal(route),
    requestHeaders: mergeSides("request", headers, context),
    responseHeaders: mergeSides("response", headers, context),
    includeAttemptCount: host.includeRequestAttemptCount || (model.kind === "route" && model.includeAttemptCount),
    includeAttemptCountInResponse: host.includeAttemptCountInResponse,
    filterConfig: own ? resolveOverrides(levels) : context.overrides,
  };
  return {
    ...compileRoutePath(route.match.path),
    conditions: compileConditions(route.match),
    route: compiled,
    shares: forward && compileShares(compiled, forward, levels),
  };
}

// A weighted cluster with filter overrides of its own must be drawn before the filters run: such a route becomes one route
// per cluster, of which the match draws one.
function compileShares(
  compiled: CompiledRoute,
  { action, picks }: ReturnType<typeof compileForward>,
  levels: readonly Route["typedPerFilterConfig"][],
): RouteEntry["shares"] {
  const { target } = action.model;
  if (target.kind !== "weighted") return undefined;
  const { clusters } = target;
  if (clusters.every((cluster) => Object.keys(cluster.typedPerFilterConfig).length === 0)) return undefined;
  const routes = picks.map((pick, i) => ({
    ...compiled,
    action: { ...action, pickCluster: ownPick(clusters[i]!, pick) },
    filterConfig: resolveOverrides([...levels, clusters[i]!.typedPerFilterConfig]),
  }));
  return { draw: compileDraw(target), routes };
}

function ownPick({ clusterHeader }: WeightedCluster, pick: ClusterPick): CompiledForward["pickCluster"] {
  if (clusterHeader === undefined) return () => pick;
  const header = clusterHeader.toLowerCase();
  return (request) => ({ ...pick, name: request.headers.get(header) ?? "" });
}

function compileTerminal(route: Route): CompiledRoute["action"] {
  const { action } = route;
  switch (action.kind) {
    case "redirect":
      return compileRedirect(action, route.match);
    case "direct_response":
      return { kind: "direct_response", status: action.status, body: action.body, ...compileBody(action) };
    case "non_forwarding":
    case "route":
      return { kind: "non_forwarding" };
  }
}

// Throws when the format does not compile.
function compileBody({ body, format }: DirectResponseAction): Pick<CompiledDirectResponse, "formatBody" | "contentType"> {
  if (format === undefined) return {};
  const compiled = compileBodyFormat(format);
  if (!compiled.ok) throw new Error(compiled.issues.map((issue) => issue.message).join("; "));
  const { format: formatBody, contentType } = compiled.value;
  return { formatBody: (info) => formatBody(info, body), ...(contentType !== "" && { contentType }) };
}

function mergeSides(
  side: "request" | "response",
  route: LevelMutators,
  { config, configLevel, hostLevel }: HostContext,
): CompiledRoute["requestHeaders"] {
  const levels = [route[side], hostLevel[side], configLevel[side]];
  return mergeLevels(config.mostSpecificHeaderMutationsWins ? levels.reverse() : levels);
}

function httpsRoute(host: VirtualHost): CompiledRoute {
  return {
    name: "",
    model: undefined,
    virtualHost: host,
    action: httpsRedirect,
    requestHeaders: undefined,
    responseHeaders: undefined,
    includeAttemptCount: false,
    includeAttemptCountInResponse: false,
    filterConfig: noOverrides,
  };
}
