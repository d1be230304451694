// The small HTTP server under the status ports: bounded, and nothing that a client does reaches beyond its own answer.
import { createServer } from "node:http";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { SocketAddress } from "../envoy/address.ts";
import type { Logger } from "../telemetry/logger.ts";

/** One answer; the type is plain text unless said otherwise. */
export interface Answer {
  readonly status: number;
  readonly contentType?: string;
  readonly body: string | Buffer;
}

/** A listening server. */
export interface StatusHttp {
  readonly address: SocketAddress;
  close(): Promise<void>;
}

/** Kubelet's probes, a scraper or two, and people. */
const maxConnections = 256;
/** A request must be complete within this. */
const requestTimeoutMs = 10_000;

/** A text answer, 200 unless said otherwise. */
export const plain = (body: string, status = 200): Answer => ({ status, body });

/** Listens; `::` means every address of both families. Rejects with Node's error when that cannot be bound. */
export function listenStatus(
  address: SocketAddress,
  answer: (request: IncomingMessage) => Answer | Promise<Answer>,
  logger: Logger,
): Promise<StatusHttp> {
  const server = createServer({ headersTimeout: requestTimeoutMs, requestTimeout: requestTimeoutMs, keepAliveTimeout: 5_000 });
  server.maxConnections = maxConnections;
  server.on("clientError", (_error, socket) => socket.destroy());
  server.on("request", (request, response) => {
    request.on("error", () => undefined).resume();
    response.on("error", () => undefined);
    void respond(request, response, answer, logger);
  });
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    // Without a host Node takes `::`, and 0.0.0.0 where there is no IPv6.
    const host = address.address === "::" ? {} : { host: address.address };
    server.listen({ ...host, port: address.port, exclusive: true }, () => {
      server.off("error", reject);
      server.on("error", (error) => logger.error("status server", { reason: error.message }));
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
  answer: (request: IncomingMessage) => Answer | Promise<Answer>,
  logger: Logger,
): Promise<void> {
  let given: Answer;
  try {
    given = await answer(request);
  } catch (thrown) {
    logger.error("status request failed", { path: request.url, stack: thrown instanceof Error ? thrown.stack : String(thrown) });
    given = plain("internal error\n", 500);
  }
  response.writeHead(given.status, {
    "content-type": given.contentType ?? "text/plain; charset=utf-8",
    "content-length": Buffer.byteLength(given.body),
    "x-content-type-options": "nosniff",
  });
  response.end(request.method === "HEAD" ? undefined : given.body);
}

/** Whether the peer is this machine, or this pod: what may end the proxy. */
export function isLocal(request: IncomingMessage): boolean {
  const peer = request.socket.remoteAddress ?? "";
  return peer === "::1" || /^(?:::ffff:)?127\./.test(peer);
}
