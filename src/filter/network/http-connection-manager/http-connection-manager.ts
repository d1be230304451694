// The HTTP connection manager as a network filter: compiles HTTP filters, router and routes once per filter chain, and gives
// each connection to the HTTP/1 codec.
import type { HttpConnectionManagerConfig } from "../../../envoy/listener/http-connection-manager.ts";
import { routerExtension, type RouterConfig } from "../../../envoy/http-filter/router.ts";
import { HttpManager, type Terminal } from "../../../http/connection-manager.ts";
import type { HttpFilter, HttpFilterContext, HttpFilterSpec } from "../../../http/filter.ts";
import { Http1ServerConnection } from "../../../http/h1/server-connection.ts";
import type { RouteTable } from "../../../http/route/route-table.ts";
import type { Connection } from "../../../net/connection.ts";
import type { NetworkFilter, NetworkFilterContext, NetworkFilterSpec } from "../../filter.ts";

/** Makes the terminal of a chain of HTTP filters: the router. */
export type CreateTerminal = (config: RouterConfig, context: HttpFilterContext) => Terminal;

/** The connection manager kind, with the HTTP filters it may use by extension name and the router. */
export function createHttpConnectionManagerSpec(
  httpFilters: ReadonlyMap<string, HttpFilterSpec>,
  createRouter: CreateTerminal,
): NetworkFilterSpec {
  return {
    extension: "envoy.filters.network.http_connection_manager",
    terminal: true,
    create: (config, context) => createHttpConnectionManager(config as HttpConnectionManagerConfig, context, httpFilters, createRouter),
  };
}

function createHttpConnectionManager(
  config: HttpConnectionManagerConfig,
  context: NetworkFilterContext,
  httpFilters: ReadonlyMap<string, HttpFilterSpec>,
  createRouter: CreateTerminal,
): NetworkFilter {
  const scope = context.stats.scope(`http.${config.statPrefix}`);
  const filters: { filter: HttpFilter; name: string }[] = [];
  let routerConfig: RouterConfig = { suppressEnvoyHeaders: config.suppressEnvoyHeaders, respectExpectedRqTimeout: false };
  for (const model of config.httpFilters) {
    if (model.extension === routerExtension) {
      routerConfig = { ...routerConfig, ...(model.config as Partial<RouterConfig> | undefined) };
      continue;
    }
    const filterContext: HttpFilterContext = { ...context, scope, filterName: model.name };
    const filter = httpFilters.get(model.extension)?.create(model.config, filterContext);
    if (filter !== undefined) filters.push({ filter, name: model.name });
  }
  const terminal = createRouter(routerConfig, { ...context, scope, filterName: routerExtension });
  const manager = new HttpManager(
    config,
    context,
    scope,
    filters,
    terminal,
    routeSource(config, context),
    context.listener.perConnectionBufferLimitBytes,
  );
  return new HttpConnectionManagerFilter(manager);
}

function routeSource(config: HttpConnectionManagerConfig, context: NetworkFilterContext): () => RouteTable | undefined {
  const { routes } = config;
  if (routes.kind === "inline") {
    const table = context.compileRoutes(routes.config);
    return () => table;
  }
  // Asked per request: RDS replaces the table while connections stay.
  const { name } = routes;
  return () => context.routes.get(name);
}

class HttpConnectionManagerFilter implements NetworkFilter {
  readonly #manager: HttpManager;
  readonly #connections = new Set<Http1ServerConnection>();
  readonly #onClosed = (connection: Http1ServerConnection): void => {
    this.#connections.delete(connection);
  };

  #retired = false;

  constructor(manager: HttpManager) {
    this.#manager = manager;
  }

  get active(): number {
    return this.#connections.size;
  }

  onConnection(connection: Connection): "done" {
    if (connection.info.denied !== "") {
      connection.socket.end();
      connection.socket.destroy();
      this.#manager.logDenied(connection.info);
      return "done";
    }
    const served = new Http1ServerConnection(connection, this.#manager, this.#onClosed);
    this.#connections.add(served);
    // It was still being inspected when the chain was taken away.
    if (this.#retired) served.drain();
    return "done";
  }

  drain(): void {
    this.#retired = true;
    this.#manager.startDrain();
    for (const connection of this.#connections) connection.drain();
  }

  destroy(): void {
    for (const connection of this.#connections) connection.destroy();
  }
}
