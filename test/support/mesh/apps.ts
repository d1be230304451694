// Small applications behind the proxies under test: they say who they are and count what reaches them.
import http from "node:http";
import net from "node:net";
import type { TestContext } from "node:test";

/** An application that runs. */
export interface App {
  readonly name: string;
  readonly ip: string;
  readonly port: number;
  /** Requests so far. */
  readonly requests: number;
  /** Closes the port and every connection, as a process that died. */
  die(): Promise<void>;
}

/** How an application answers; default: 200 with its name. */
export type Respond = (request: http.IncomingMessage, response: http.ServerResponse) => void;

/** An HTTP server on a port that the kernel chooses. */
export async function startHttpApp(t: TestContext, name: string, ip: string, respond?: Respond): Promise<App> {
  let requests = 0;
  const server = http.createServer({ keepAliveTimeout: 60_000 }, (request, response) => {
    requests++;
    if (respond) respond(request, response);
    else response.end(name);
  });
  const port = await listen(server, ip);
  const die = (): Promise<void> =>
    new Promise((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  t.after(die);
  return {
    name,
    ip,
    port,
    get requests() {
      return requests;
    },
    die,
  };
}

/** A TCP server that sends back what it gets. */
export async function startEchoApp(t: TestContext, name: string, ip: string): Promise<App> {
  let accepted = 0;
  const sockets = new Set<net.Socket>();
  const server = net.createServer((socket) => {
    accepted++;
    sockets.add(socket);
    socket.on("error", () => socket.destroy());
    socket.on("close", () => sockets.delete(socket));
    socket.pipe(socket);
  });
  const port = await listen(server, ip);
  const die = (): Promise<void> =>
    new Promise((resolve) => {
      server.close(() => resolve());
      for (const socket of sockets) socket.destroy();
    });
  t.after(die);
  return {
    name,
    ip,
    port,
    get requests() {
      return accepted;
    },
    die,
  };
}

function listen(server: net.Server, host: string): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen({ port: 0, host }, () => resolve((server.address() as net.AddressInfo).port));
  });
}
