// The admin HTTP server, on the main thread. Requests are few and small, so node:http serves them; a request that fails,
// stalls or comes from somewhere else's web page must leave the proxy as it was.
import { createServer } from "node:http";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { SocketAddress } from "../envoy/address.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { AdminContext } from "./admin-context.ts";
import { endpoints, helpText, homePage } from "./endpoints.ts";
import type { Page } from "./page.ts";
import { text } from "./page.ts";

/** A listening admin server. */
export interface AdminServer {
  readonly address: SocketAddress;
  close(): Promise<void>;
}

/** Connections at once: a scraper, a probe and some people. */
const maxConnections = 64;
/** A request must be complete within this. */
const requestTimeoutMs = 10_000;

const byPath = new Map(endpoints.map((endpoint) => [endpoint.path, endpoint]));

/** Starts the server; rejects with Node's error when the address cannot be bound. */
export function startAdminServer(address: SocketAddress, context: AdminContext, logger: Logger): Promise<AdminServer> {
  const server = createServer({
    headersTimeout: requestTimeoutMs,
    requestTimeout: requestTimeoutMs,
    keepAliveTimeout: 5_000,
    maxHeaderSize: 16_384,
  });
  server.maxConnections = maxConnections;
  server.on("clientError", (_error, socket) => socket.destroy());
  server.on("request", (request, response) => {
    // Bodies mean nothing here; what is sent is read away.
    request.on("error", () => undefined).resume();
    response.on("error", () => undefined);
    void respond(request, response, context, logger);
  });
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen({ host: address.address, port: address.port, exclusive: true }, () => {
      server.off("error", reject);
      server.on("error", (error) => logger.error("admin server", { reason: error.message }));
      const bound = server.address();
      resolve({
        address: { address: address.address, port: typeof bound === "object" && bound ? bound.port : address.port },
        close: () =>
          new Promise((done) => {
            server.close(() => done());
            server.closeAllConnections();
          }),
      });
    });
  });
}

async function respond(request: IncomingMessage, response: ServerResponse, context: AdminContext, logger: Logger): Promise<void> {
  let page: Page;
  try {
    page = await answer(request, context);
  } catch (thrown) {
    logger.error("admin request failed", { path: request.url, stack: thrown instanceof Error ? thrown.stack : String(thrown) });
    page = text("internal error\n", 500);
  }
  response.writeHead(page.status, {
    "content-type": page.contentType,
    "content-length": Buffer.byteLength(page.body),
    "cache-control": "no-cache, max-age=0",
    "x-content-type-options": "nosniff",
  });
  response.end(request.method === "HEAD" ? undefined : page.body);
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
