// Plain TCP ends for tests: servers on free ports, clients whose whole life is recorded.
import { once } from "node:events";
import { connect, createServer } from "node:net";
import type { AddressInfo, Server, Socket } from "node:net";
import type { TestContext } from "node:test";

/** A server on 127.0.0.1; it and its connections are closed when the test ends. */
export async function serve(
  t: TestContext,
  onConnection: (socket: Socket) => void,
): Promise<{ readonly port: number; readonly server: Server }> {
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.on("error", () => socket.destroy());
    socket.once("close", () => sockets.delete(socket));
    onConnection(socket);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, server };
}

/** A port where nothing listens: bound and closed again. */
export async function closedPort(): Promise<number> {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

/** How a connection went, as its client saw it. */
export interface ClientLife {
  readonly received: string;
  /** `FIN`, or the error code. */
  readonly ended: string;
}

/** A half-open client that records what it gets. */
export interface Client {
  readonly socket: Socket;
  received(): string;
  /** Resolves when the received text matches. */
  saw(pattern: RegExp): Promise<void>;
  /** Resolves at FIN or error; the client then closes. */
  readonly ended: Promise<ClientLife>;
}

/** Connects to 127.0.0.1 and sends `text` with the connect. */
export function client(t: TestContext, port: number, text = ""): Client {
  const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true, noDelay: true });
  if (text !== "") socket.write(text);
  let received = "";
  const waiting: (() => void)[] = [];
  socket.on("data", (chunk) => {
    received += chunk.toString("latin1");
    for (const check of waiting) check();
  });
  const ended = new Promise<ClientLife>((resolve) => {
    const finish = (how: string): void => {
      resolve({ received, ended: how });
      socket.destroy();
    };
    socket.once("end", () => finish("FIN"));
    socket.once("error", (error: NodeJS.ErrnoException) => finish(error.code ?? error.message));
  });
  t.after(() => socket.destroy());
  return {
    socket,
    received: () => received,
    saw: (pattern) =>
      new Promise((resolve) => {
        const check = (): void => {
          if (pattern.test(received)) resolve();
        };
        waiting.push(check);
        check();
      }),
    ended,
  };
}

/** Sends back what it gets, and `bye` when the client has finished. */
export function echo(socket: Socket): void {
  socket.on("data", (chunk) => socket.write(chunk));
  socket.once("end", () => socket.end("bye"));
}
