// Checks a listener's filters against what this build can run, and their order. A filter without a behaviour makes its listener
// an error, unless its configuration does nothing: then it is left out.
import { extensions } from "../envoy/extensions.ts";
import type { HttpConnectionManagerConfig } from "../envoy/listener/http-connection-manager.ts";
import type { FilterChain, FilterConfig, Listener } from "../envoy/listener/listener.ts";
import type { RouteConfiguration } from "../envoy/route/route.ts";
import { routerExtension } from "../envoy/http-filter/router.ts";
import type { Issue } from "../error.ts";
import type { ResourceIssues } from "./resource-issue.ts";

/** Canonical names of the filters that have a behaviour. */
export interface SupportedFilters {
  readonly supportedNetworkFilters: ReadonlySet<string>;
  readonly supportedHttpFilters: ReadonlySet<string>;
  readonly supportedListenerFilters: ReadonlySet<string>;
}

/** Canonical name of the connection manager. */
const connectionManager = "envoy.filters.network.http_connection_manager";
/** Canonical name of the TCP proxy. */
export const tcpProxy = "envoy.filters.network.tcp_proxy";
const terminalNetworkFilters: ReadonlySet<string> = new Set([connectionManager, tcpProxy]);

/** The filter's configuration when it is a connection manager. */
export function connectionManagerOf(filter: FilterConfig): HttpConnectionManagerConfig | undefined {
  return filter.extension === connectionManager ? (filter.config as HttpConnectionManagerConfig) : undefined;
}

/** Every filter chain with its path; the default one last. */
export function chainsOf(listener: Listener): readonly { readonly chain: FilterChain; readonly path: Issue["path"] }[] {
  const chains = listener.filterChains.map((chain, index) => ({ chain, path: ["filter_chains", index] as Issue["path"] }));
  return listener.defaultFilterChain ? [...chains, { chain: listener.defaultFilterChain, path: ["default_filter_chain"] }] : chains;
}

const overridden = new WeakMap<RouteConfiguration, ReadonlySet<string>>();

/** Names of the filters that a route configuration overrides somewhere. */
function overriddenFilters(routes: RouteConfiguration): ReadonlySet<string> {
  const known = overridden.get(routes);
  if (known !== undefined) return known;
  const names = new Set<string>();
  overridden.set(routes, names);
  const note = (level: RouteConfiguration["typedPerFilterConfig"]): void => Object.keys(level).forEach((name) => names.add(name));
  note(routes.typedPerFilterConfig);
  for (const host of routes.virtualHosts) {
    note(host.typedPerFilterConfig);
    for (const route of host.routes) {
      note(route.typedPerFilterConfig);
      if (route.action.kind === "route" && route.action.target.kind === "weighted") {
        for (const cluster of route.action.target.clusters) note(cluster.typedPerFilterConfig);
      }
    }
  }
  return names;
}

/** The listener without inert filters that have no behaviour; what cannot be left out is reported. */
export function checkFilters(
  listener: Listener,
  supported: SupportedFilters,
  routesByName: (name: string) => RouteConfiguration | undefined,
  issues: ResourceIssues,
): Listener {
  for (const filter of listener.listenerFilters) {
    if (!supported.supportedListenerFilters.has(filter.extension))
      issues.error(`the listener filter ${filter.extension} is not supported`, ["listener_filters"]);
  }
  const checkChain = (chain: FilterChain, path: Issue["path"]): FilterChain => {
    checkNetworkFilters(chain, path, supported, issues);
    let changed = false;
    const filters = chain.filters.map((filter) => {
      const manager = connectionManagerOf(filter);
      if (manager === undefined) return filter;
      const kept = checkHttpFilters(manager, path, supported, routesByName, issues);
      if (kept.length === manager.httpFilters.length) return filter;
      changed = true;
      return { ...filter, config: { ...manager, httpFilters: kept } satisfies HttpConnectionManagerConfig };
    });
    return changed ? { ...chain, filters } : chain;
  };
  const filterChains = listener.filterChains.map((chain, index) => checkChain(chain, ["filter_chains", index]));
  const fallback = listener.defaultFilterChain && checkChain(listener.defaultFilterChain, ["default_filter_chain"]);
  // The same object when nothing was left out, so that its version need not be found again.
  const untouched =
    fallback === listener.defaultFilterChain && filterChains.every((chain, index) => chain === listener.filterChains[index]);
  return untouched ? listener : { ...listener, filterChains, ...(fallback && { defaultFilterChain: fallback }) };
}

function checkNetworkFilters(chain: FilterChain, path: Issue["path"], supported: SupportedFilters, issues: ResourceIssues): void {
  chain.filters.forEach((filter, index) => {
    const last = index === chain.filters.length - 1;
    if (!supported.supportedNetworkFilters.has(filter.extension))
      issues.error(`the network filter ${filter.extension} is not supported`, path);
    else if (terminalNetworkFilters.has(filter.extension) && !last)
      issues.error(`the terminal filter ${filter.name} must be the last of its chain`, path);
    else if (!terminalNetworkFilters.has(filter.extension) && last)
      issues.error(`the chain ends with ${filter.name}, which is not a terminal filter`, path);
  });
  if (chain.filters.length === 0) issues.warn("the chain has no filters: it closes every connection", path);
}

function checkHttpFilters(
  manager: HttpConnectionManagerConfig,
  path: Issue["path"],
  supported: SupportedFilters,
  routesByName: (name: string) => RouteConfiguration | undefined,
  issues: ResourceIssues,
): readonly FilterConfig[] {
  const routes = manager.routes.kind === "inline" ? manager.routes.config : routesByName(manager.routes.name);
  const overrides = routes ? overriddenFilters(routes) : new Set<string>();
  const kept = manager.httpFilters.filter((filter) => {
    if (supported.supportedHttpFilters.has(filter.extension)) return true;
    const inert = extensions.byName("http filter", filter.extension)?.inert?.(filter.config) === true && !overrides.has(filter.name);
    if (inert) issues.warn(`the HTTP filter ${filter.extension} is not supported; it is left out, since nothing here makes it act`, path);
    else issues.error(`the HTTP filter ${filter.extension} is not supported`, path);
    return !inert;
  });
  const router = kept.findIndex((filter) => filter.extension === routerExtension);
  if (router < 0) issues.error(`the http_filters need ${routerExtension} as their last one`, path);
  else if (router !== kept.length - 1) issues.error(`${routerExtension} must be the last of the http_filters`, path);
  const names = new Set<string>();
  for (const filter of kept) {
    if (names.has(filter.name)) issues.warn(`two http_filters are named ${filter.name}: per-route configuration applies to both`, path);
    names.add(filter.name);
  }
  return kept;
}
