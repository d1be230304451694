// The admin HTTP server, on the main thread. A request that comes from somewhere else's web page must leave the proxy as it was.
import type { IncomingMessage } from "node:http";
import type { SocketAddress } from "../envoy/address.ts";
import { type HttpServer, listenHttp } from "../net/http-server.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { AdminContext } from "./admin-context.ts";
import { endpoints, helpText, homePage } from "./endpoints.ts";
import type { Page } from "./page.ts";
import { text } from "./page.ts";

/** Connections at once: a scraper, a probe and some people. */
const maxConnections = 64;
const headers = { "cache-control": "no-cache, max-age=0" };

const byPath = new Map(endpoints.map((endpoint) => [endpoint.path, endpoint]));

/** Starts the server; rejects with Node's error when the address cannot be bound. */
export function startAdminServer(address: SocketAddress, context: AdminContext, logger: Logger): Promise<HttpServer> {
  return listenHttp({ address, name: "admin", maxConnections, headers, answer: (request) => answer(request, context), logger });
}

async function answer(request: IncomingMessage, context: AdminContext): Promise<Page> {
  const target = request.url ?? "/";
  const mark = target.indexOf("?");
  const path = mark < 0 ? target : target.slice(0, mark);
  const query = new URLSearchParams(mark < 0 ? "" : target.slice(mark + 1));
  if (path === "/") return homePage();
  if (path === "/help") return text(helpText());
  const endpoint = byPath.get(path);
  if (!endpoint) return text(`invalid path. ${helpText()}`, 404);
  if (endpoint.mutates) {
    if (request.method !== "POST") return text(`Method ${request.method ?? ""} not allowed, POST required.`, 405);
    // A form on another site may post here without asking; browsers say so, and tools do not send the header.
    const site = request.headers["sec-fetch-site"];
    if (site !== undefined && site !== "same-origin" && site !== "none") return text("cross-site request refused\n", 403);
  }
  return endpoint.handle(context, query);
}
