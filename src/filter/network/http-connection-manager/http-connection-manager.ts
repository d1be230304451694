// The HTTP connection manager as a network filter: compiles HTTP filters, router and routes once per filter chain, and gives
// each connection to the codec of its protocol.
import type { HttpConnectionManagerConfig } from "../../../envoy/listener/http-connection-manager.ts";
import { routerExtension, type RouterConfig } from "../../../envoy/http-filter/router.ts";
import { HttpManager, type Terminal } from "../../../http/connection-manager.ts";
import type { HttpFilter, HttpFilterContext, HttpFilterSpec } from "../../../http/filter.ts";
import type { ServerConnection } from "../../../http/codec.ts";
import { Http1ServerConnection, type PrefaceHandler } from "../../../http/h1/server-connection.ts";
import { Http2ServerConnection } from "../../../http/h2/server-connection.ts";
import type { RouteTable } from "../../../http/route/route-table.ts";
import type { Connection } from "../../../net/connection.ts";
import { sniffHttp } from "../../../wire/http-sniff.ts";
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
  const filters: { filter: HttpFilter; name: string; disabled: boolean }[] = [];
  let routerConfig: RouterConfig = {
    suppressEnvoyHeaders: config.suppressEnvoyHeaders,
    respectExpectedRqTimeout: false,
    strictCheckHeaders: [],
  };
  for (const model of config.httpFilters) {
    if (model.extension === routerExtension) {
      routerConfig = { ...routerConfig, ...(model.config as Partial<RouterConfig> | undefined) };
      continue;
    }
    const filterContext: HttpFilterContext = { ...context, scope, filterName: model.name };
    const filter = httpFilters.get(model.extension)?.create(model.config, filterContext);
    if (filter !== undefined) filters.push({ filter, name: model.name, disabled: model.disabled });
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
  readonly #connections = new Set<ServerConnection>();
  readonly #onClosed = (connection: ServerConnection): void => {
    const { stats } = this.#manager;
    stats.downstreamCxActive.dec();
    stats.downstreamCxDestroy.inc();
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
    const manager = this.#manager;
    manager.stats.downstreamCxTotal.inc();
    manager.stats.downstreamCxActive.inc();
    if (this.#speaksHttp2(connection)) {
      this.#serve(new Http2ServerConnection(connection, manager, this.#onClosed));
      return "done";
    }
    // Where the first bytes have to tell, it is HTTP/1 until they say otherwise.
    const open = manager.config.codecType === "AUTO" && connection.info.negotiatedAlpn === "";
    const onPreface: PrefaceHandler | undefined = open
      ? (before, reader, bytes) => {
          this.#connections.delete(before);
          this.#serve(new Http2ServerConnection({ ...connection, initialBytes: bytes }, manager, this.#onClosed, reader));
        }
      : undefined;
    const served = new Http1ServerConnection(connection, manager, this.#onClosed, onPreface);
    if (!served.handedOver) this.#serve(served);
    return "done";
  }

  #serve(served: ServerConnection): void {
    this.#connections.add(served);
    // It was still being inspected when the chain was taken away.
    if (this.#retired) served.drain();
  }

  #speaksHttp2({ info, initialBytes }: Connection): boolean {
    const { codecType } = this.#manager.config;
    if (codecType !== "AUTO") return codecType === "HTTP2";
    if (info.negotiatedAlpn !== "") return info.negotiatedAlpn === "h2" || info.negotiatedAlpn === "istio-h2";
    return initialBytes !== undefined && sniffHttp(initialBytes) === "h2c";
  }

  drain(): void {
    this.#retired = true;
    this.#manager.startDrain();
    for (const connection of this.#connections) connection.drain();
  }

  destroy(): void {
    for (const connection of this.#connections) connection.destroy();
    this.#manager.destroyFilters();
  }
}
