// The applications of two-networks.ts: HTTP with bodies of any length and their checksums, and TCP servers that speak first.
// usage: talker.ts httpbin|plain
// The first is also the application of namespaced/transparent-inside.ts, for which it listens on IPv6 too.
import { createHash } from "node:crypto";
import { createServer as createHttpServer } from "node:http";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer, type ListenOptions, type Server } from "node:net";
import { postgres } from "./postgres.ts";

const chunk = Buffer.alloc(65_536, "0123456789abcdef");

function respond(request: IncomingMessage, response: ServerResponse): void {
  const [, path = "", count = "0"] = (request.url ?? "/").split("/");
  if (path === "bytes") return sendBytes(response, Number(count));
  if (path === "sum") return sum(request, response);
  response.setHeader("content-type", "application/json");
  response.end(
    JSON.stringify({ headers: request.headers, remote: bare(request.socket.remoteAddress), local: bare(request.socket.localAddress) }),
  );
}

// An IPv4 address as a socket of both families has it.
function bare(address: string | undefined): string {
  return (address ?? "").replace("::ffff:", "");
}

function sendBytes(response: ServerResponse, count: number): void {
  response.setHeader("content-length", count);
  let left = count;
  const more = (): void => {
    while (left > 0) {
      const part = chunk.subarray(0, Math.min(left, chunk.length));
      left -= part.length;
      if (!response.write(part)) return void response.once("drain", more);
    }
    response.end();
  };
  more();
}

function sum(request: IncomingMessage, response: ServerResponse): void {
  const hash = createHash("sha256");
  request.on("data", (part: Buffer) => hash.update(part));
  request.on("end", () => response.end(hash.digest("hex")));
}

// Says who it is and whom it sees at once, then sends back what it gets.
function greeter(name: string): Server {
  return createServer({ noDelay: true, allowHalfOpen: true }, (socket) => {
    socket.on("error", () => socket.destroy());
    socket.write(`I am ${name}, you are ${bare(socket.remoteAddress)}\n`);
    socket.pipe(socket);
  });
}

// Sends back what it gets.
function echo(): Server {
  return createServer({ noDelay: true, allowHalfOpen: true }, (socket) => {
    socket.on("error", () => socket.destroy());
    socket.pipe(socket);
  });
}

const servers: readonly (readonly [{ listen(options: ListenOptions, done: () => void): unknown }, number])[] =
  process.argv[2] === "httpbin"
    ? [
        [createHttpServer(respond), 8080],
        [createHttpServer(respond), 9000],
        [greeter("mysql"), 3306],
        [postgres((socket) => `I am postgres, you are ${bare(socket.remoteAddress)}`), 5432],
        [echo(), 27017],
        [echo(), 7007],
        [greeter("shy"), 7008],
        [greeter("unclaimed"), 9999],
      ]
    : [
        [createHttpServer(respond), 8081],
        [greeter("a"), 6001],
        [greeter("b"), 6002],
        [greeter("smtp"), 2525],
        [echo(), 7007],
      ];
await Promise.all(servers.map(([server, port]) => new Promise<void>((resolve) => server.listen({ port, backlog: 4096 }, resolve))));
console.log("ready");
