// Server sockets: bind and listen on one address, with errors that say what to do about them.
import { createServer } from "node:net";
import type { ListenOptions, Server, Socket } from "node:net";
import type { SocketAddress } from "../envoy/address.ts";
import { errnoOf } from "./errno.ts";
import { noLibc, openListenerSocket } from "./open-socket.ts";

/** How to listen. */
export interface BindOptions {
  readonly address: SocketAddress;
  /** Length of the accept queue (Envoy tcp_backlog_size, default 128 here as in Envoy). 0 = default. */
  readonly backlog: number;
  /** SO_REUSEPORT: several workers bind the same address and the kernel spreads connections over them. */
  readonly reusePort: boolean;
  /** IP_TRANSPARENT, for connections that TPROXY hands over with the addresses they had. Takes CAP_NET_ADMIN. Default false. */
  readonly transparent?: boolean;
  /** IP_FREEBIND: the address need not be this machine's. Default false. */
  readonly freebind?: boolean;
  /** Accepted sockets are paused, half-open and without Nagle's delay. The receiver attaches an `error` listener first. */
  readonly onConnection: (socket: Socket) => void;
}

/** A listening socket. */
export interface BoundSocket {
  /** The address in use; the port is the kernel's choice when 0 was asked for. */
  readonly address: SocketAddress;
  /** Stops accepting. Accepted connections stay. */
  close(): void;
}

/** The socket, or one sentence for the person who runs the proxy. */
export type BindResult = { readonly ok: true; readonly bound: BoundSocket } | { readonly ok: false; readonly message: string };

const defaultBacklog = 128;

/** Binds and listens. */
export function bindAddress(options: BindOptions): Promise<BindResult> {
  const { address, port } = options.address;
  return new Promise((resolve) => {
    const server = createServer({ pauseOnConnect: true, allowHalfOpen: true, noDelay: true });
    const fail = (thrown: Error): void => resolve({ ok: false, message: explain(options.address, thrown) });
    server.once("error", fail);
    server.on("connection", options.onConnection);
    const where = listenOn(options);
    if (where instanceof Error) return fail(where);
    server.listen({ ...where, backlog: options.backlog || defaultBacklog, exclusive: true }, () => {
      server.off("error", fail);
      // Accept errors (EMFILE and the like) are per connection: the server goes on, the client sees a reset.
      server.on("error", ignoreAcceptError);
      resolve({ ok: true, bound: { address: { address, port: boundPort(server, port) }, close: () => server.close() } });
    });
  });
}

function listenOn({ address: { address, port }, ...options }: BindOptions): (ListenOptions & { readonly fd?: number }) | Error {
  const { reusePort, transparent = false, freebind = false } = options;
  // A `::` socket would otherwise take IPv4 too and collide with a listener on 0.0.0.0; Envoy's default is the same.
  if (!transparent && !freebind) return { host: address, port, reusePort, ipv6Only: address === "::" };
  const opened = openListenerSocket({ address, port }, { reusePort, transparent, freebind });
  return opened.ok ? { fd: opened.fd } : opened.error;
}

function ignoreAcceptError(): void {
  // Nothing to release: Node has already closed the socket it could not hand over.
}

function boundPort(server: Server, asked: number): number {
  const found = server.address();
  return typeof found === "object" && found !== null ? found.port : asked;
}

function explain({ address, port }: SocketAddress, thrown: Error): string {
  const where = address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
  switch (errnoOf(thrown)) {
    case "EADDRINUSE":
      return `${where} is already in use: stop the process that listens there (see it with "ss -ltnp sport = :${port}") or give the listener another port`;
    case "EACCES":
      return `no permission to listen on ${where}: use a port from 1024 up, or run with the capability CAP_NET_BIND_SERVICE`;
    case "EADDRNOTAVAIL":
      return `cannot listen on ${where} because this machine has no address ${address}: add it to an interface or change the listener's address`;
    case "EPERM":
      return `${where} is a transparent listener (interception mode TPROXY), for which this process lacks the capability CAP_NET_ADMIN: add NET_ADMIN to its capabilities, or use interception mode REDIRECT`;
    case noLibc:
      return `${where} needs socket options (transparent or freebind) that are set through the package koffi on Linux, and koffi cannot be loaded here: install it, or use interception mode REDIRECT`;
    default:
      return `cannot listen on ${where}: ${thrown.message}`;
  }
}
