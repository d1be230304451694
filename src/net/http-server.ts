// The HTTP servers that operators and kubelets talk to, admin and status: requests are few and small, so node:http serves them,
// and nothing that a client does reaches beyond its own answer. Traffic is `http/`'s.
import { createServer } from "node:http";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { SocketAddress } from "../envoy/address.ts";
import type { Logger } from "../telemetry/logger.ts";

/** A whole answer. */
export interface HttpAnswer {
  readonly status: number;
  /** Default plain text. */
  readonly contentType?: string;
  readonly body: string | Buffer;
}

/** What a server is like. */
export interface HttpServerOptions {
  /** `::` means every address of both families. */
  readonly address: SocketAddress;
  /** In log records: "admin", "status". */
  readonly name: string;
  /** Connections at once; more are closed. */
  readonly maxConnections: number;
  /** Sent with every answer. */
  readonly headers?: Readonly<Record<string, string>>;
  /** What it throws is logged and answered with 500. A request's body is read away. */
  readonly answer: (request: IncomingMessage) => HttpAnswer | Promise<HttpAnswer>;
  readonly logger: Logger;
}

/** A listening server. */
export interface HttpServer {
  readonly address: SocketAddress;
  close(): Promise<void>;
}

/** A request must be complete within this. */
const requestTimeoutMs = 10_000;
const keepAliveTimeoutMs = 5_000;
const maxHeaderBytes = 16_384;
const plainText = "text/plain; charset=utf-8";

/** Listens; rejects with Node's error when the address cannot be bound. */
export function listenHttp(options: HttpServerOptions): Promise<HttpServer> {
  const { address, name, logger } = options;
  const server = createServer({
    headersTimeout: requestTimeoutMs,
    requestTimeout: requestTimeoutMs,
    keepAliveTimeout: keepAliveTimeoutMs,
    maxHeaderSize: maxHeaderBytes,
  });
  server.maxConnections = options.maxConnections;
  server.on("clientError", (_error, socket) => socket.destroy());
  server.on("request", (request, response) => {
    request.on("error", () => undefined).resume();
    response.on("error", () => undefined);
    void respond(request, response, options);
  });
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    // Without a host Node takes `::`, and 0.0.0.0 where there is no IPv6.
    const host = address.address === "::" ? {} : { host: address.address };
    server.listen({ ...host, port: address.port, exclusive: true }, () => {
      server.off("error", reject);
      server.on("error", (error) => logger.error(`${name} server`, { reason: error.message }));
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

async function respond(
  request: IncomingMessage,
  response: ServerResponse,
  { name, headers, answer, logger }: HttpServerOptions,
): Promise<void> {
  let given: HttpAnswer;
  try {
    given = await answer(request);
  } catch (thrown) {
    logger.error(`${name} request failed`, { path: request.url, stack: thrown instanceof Error ? thrown.stack : String(thrown) });
    given = { status: 500, body: "internal error\n" };
  }
  response.writeHead(given.status, {
    "content-type": given.contentType ?? plainText,
    "content-length": Buffer.byteLength(given.body),
    ...headers,
    "x-content-type-options": "nosniff",
  });
  response.end(request.method === "HEAD" ? undefined : given.body);
}
