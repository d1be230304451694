// A small httpbin: what a workload behind a sidecar looks like. Speaks plain HTTP/1.1 and knows nothing of any mesh.
// usage: httpbin.ts [--host 127.0.0.1] [--port 8080]     paths: /headers /status/N /delay/SECONDS /bytes/N /ip /get /anything
import http from "node:http";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { parseArgs } from "node:util";

/** No answer is larger, so that a mistyped number does not fill the memory. */
const maxBytes = 1 << 30;

/** No answer waits longer. */
const maxDelaySeconds = 60;

/** No request body that is shown again is larger. */
const maxEchoBytes = 1 << 20;

const { values } = parseArgs({ options: { host: { type: "string", default: "127.0.0.1" }, port: { type: "string", default: "8080" } } });

const server = http.createServer((request, response) => {
  request.on("error", () => response.destroy());
  response.on("error", () => request.destroy());
  answer(request, response);
});
server.on("error", (error) => {
  process.stderr.write(`httpbin: ${error.message}\n`);
  process.exitCode = 1;
});
server.listen(Number(values.port), values.host, () => {
  const { address, port } = server.address() as AddressInfo;
  process.stdout.write(`httpbin listens on ${address}:${port}\n`);
});
for (const signal of ["SIGTERM", "SIGINT"] as const) {
  process.once(signal, () => {
    server.close();
    server.closeAllConnections();
  });
}

function answer(request: IncomingMessage, response: ServerResponse): void {
  const url = new URL(request.url ?? "/", "http://httpbin");
  const [, kind = "", value = ""] = url.pathname.split("/");
  const count = /^\d{1,10}$/.test(value) ? Number(value) : undefined;
  switch (kind) {
    case "headers":
      return json(response, { headers: headersOf(request) });
    case "ip":
      return json(response, { origin: request.socket.remoteAddress });
    case "get":
      return json(response, describe(request, url));
    case "anything":
      return echo(request, response, url);
    case "status":
      if (count === undefined || count < 200 || count > 599) return text(response, 400, "a status between 200 and 599 is expected\n");
      request.resume();
      response.writeHead(count).end();
      return;
    case "delay": {
      const seconds = Number(value);
      if (!(seconds >= 0)) return text(response, 400, "seconds are expected\n");
      const timer = setTimeout(() => json(response, describe(request, url)), Math.min(seconds, maxDelaySeconds) * 1000);
      response.once("close", () => clearTimeout(timer));
      return;
    }
    case "bytes":
      if (count === undefined || count > maxBytes) return text(response, 400, `a number up to ${maxBytes} is expected\n`);
      return bytes(response, count);
    default:
      return text(response, 404, "not found\n");
  }
}

function describe(request: IncomingMessage, url: URL): Readonly<Record<string, unknown>> {
  return {
    args: Object.fromEntries(url.searchParams),
    headers: headersOf(request),
    method: request.method,
    origin: request.socket.remoteAddress,
    url: `http://${request.headers.host ?? ""}${request.url ?? ""}`,
  };
}

function headersOf(request: IncomingMessage): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(request.headersDistinct).map(([name, all]) => [name, (all ?? []).join(",")]));
}

function echo(request: IncomingMessage, response: ServerResponse, url: URL): void {
  const parts: Buffer[] = [];
  let size = 0;
  request.on("data", (part: Buffer) => {
    size += part.length;
    if (size <= maxEchoBytes) parts.push(part);
  });
  request.once("end", () => {
    if (size > maxEchoBytes) text(response, 413, `more than ${maxEchoBytes} bytes\n`);
    else json(response, { ...describe(request, url), data: Buffer.concat(parts).toString("utf8") });
  });
}

// Written as fast as the reader takes it, from one block.
function bytes(response: ServerResponse, count: number): void {
  const block = Buffer.alloc(64 * 1024, "0123456789abcdef");
  let left = count;
  response.writeHead(200, { "content-type": "application/octet-stream", "content-length": count });
  const fill = (): void => {
    while (left > 0) {
      const part = left < block.length ? block.subarray(0, left) : block;
      left -= part.length;
      if (!response.write(part)) return void response.once("drain", fill);
    }
    response.end();
  };
  fill();
}

function json(response: ServerResponse, value: unknown): void {
  const body = `${JSON.stringify(value, null, 2)}\n`;
  response.writeHead(200, { "content-type": "application/json", "content-length": Buffer.byteLength(body) }).end(body);
}

function text(response: ServerResponse, status: number, body: string): void {
  response.writeHead(status, { "content-type": "text/plain", "content-length": Buffer.byteLength(body) }).end(body);
}
