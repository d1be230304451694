// DNS over TCP (RFC 7766): length-prefixed messages, pipelined, replies in the order they are ready.
import { createServer, type AddressInfo, type Socket } from "node:net";
import type { Clock, Timer } from "../clock.ts";
import type { StatsScope } from "../telemetry/stats.ts";
import { readUint16, writeUint16 } from "./codec.ts";
import type { QueryHandler, ReplySink } from "./query-handler.ts";

/**
 * Milliseconds without a whole query or a reply after which a connection ends: the default of the server Istio uses. Bytes alone
 * do not count, so that a client which sends them one by one holds nothing for longer.
 */
export const TCP_IDLE_TIMEOUT_MS = 8000;
/** Unanswered queries a connection; reading pauses at the limit. */
const MAX_PIPELINED = 64;
/** Open connections; each buffers at most a message and MAX_PIPELINED replies. */
export const MAX_TCP_CONNECTIONS = 256;

/** A listening TCP socket that queries come in by. */
export interface TcpListener {
  readonly port: number;
  close(): Promise<void>;
}

class TcpConnection implements ReplySink<undefined> {
  readonly #socket: Socket;
  readonly #handler: QueryHandler;
  readonly #clock: Clock;
  readonly #onTimeout: () => void;
  #timer: Timer;
  #activeMs: number;
  #received: Buffer = Buffer.alloc(0);
  #inFlight = 0;
  #ended = false;

  constructor(socket: Socket, handler: QueryHandler, clock: Clock, onTimeout: () => void) {
    this.#socket = socket;
    this.#onTimeout = onTimeout;
    this.#handler = handler;
    this.#clock = clock;
    this.#activeMs = clock.nowMs();
    this.#timer = clock.after(TCP_IDLE_TIMEOUT_MS, () => this.#onTimer());
    // A reset is the client's way to leave; `close` follows.
    socket.on("error", () => undefined);
    socket.on("close", () => this.#timer.cancel());
    socket.on("data", (chunk: Buffer) => this.#onData(chunk));
    socket.on("drain", () => this.#advance());
    socket.on("end", () => {
      this.#ended = true;
      this.#advance();
    });
  }

  send(reply: Buffer): void {
    this.#inFlight--;
    if (this.#socket.destroyed) return;
    const framed = Buffer.allocUnsafe(reply.length + 2);
    writeUint16(framed, 0, reply.length);
    reply.copy(framed, 2);
    this.#activeMs = this.#clock.nowMs();
    this.#socket.write(framed);
    // From inside #advance this is a no-op turn of its loop; from the forwarder it lets paused reading go on.
    if (this.#socket.isPaused() || this.#ended) this.#advance();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  #onData(chunk: Buffer): void {
    this.#received = this.#received.length === 0 ? chunk : Buffer.concat([this.#received, chunk]);
    this.#advance();
  }

  #advancing = false;

  /** Takes every whole message that may be taken, then decides whether to read on. */
  #advance(): void {
    if (this.#advancing || this.#socket.destroyed) return;
    this.#advancing = true;
    let at = 0;
    while (this.#inFlight < MAX_PIPELINED && !this.#socket.writableNeedDrain && this.#received.length - at >= 2) {
      const end = at + 2 + readUint16(this.#received, at);
      if (this.#received.length < end) break;
      this.#inFlight++;
      this.#activeMs = this.#clock.nowMs();
      const port = this.#socket.remotePort ?? 0;
      if (!this.#handler.handle(this.#received.subarray(at + 2, end), "tcp", port, undefined, this)) this.#inFlight--;
      at = end;
    }
    if (at > 0) this.#received = this.#received.subarray(at);
    this.#advancing = false;
    if (this.#ended) {
      if (this.#inFlight === 0) this.#socket.end();
    } else if (this.#inFlight >= MAX_PIPELINED || this.#socket.writableNeedDrain) {
      this.#socket.pause();
    } else {
      this.#socket.resume();
    }
  }

  #onTimer(): void {
    const left = this.#activeMs + TCP_IDLE_TIMEOUT_MS - this.#clock.nowMs();
    // The forwarder has deadlines of its own; a client that waits for it is not idle.
    if (left <= 0 && this.#inFlight === 0) {
      this.#onTimeout();
      this.#socket.destroy();
      return;
    }
    this.#timer = this.#clock.after(Math.max(left, 1000), () => this.#onTimer());
  }
}

/** What a TCP listener is made of. */
export interface TcpListenerOptions {
  readonly host: string;
  readonly port: number;
  readonly handler: QueryHandler;
  readonly clock: Clock;
  /** Gets `dns_tcp_connections_total`, `_active`, `_refused_total` (too many at once) and `_timeouts_total`. */
  readonly stats: StatsScope;
}

/** Listens; rejects with Node's error when the address is taken or not ours. */
export function listenTcp({ host, port, handler, clock, stats }: TcpListenerOptions): Promise<TcpListener> {
  const total = stats.counter("dns_tcp_connections_total");
  const active = stats.gauge("dns_tcp_connections_active");
  const refused = stats.counter("dns_tcp_connections_refused_total");
  const timeouts = stats.counter("dns_tcp_connections_timeouts_total");
  const connections = new Set<TcpConnection>();
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    const connection = new TcpConnection(socket, handler, clock, () => timeouts.inc());
    connections.add(connection);
    total.inc();
    active.inc();
    socket.on("close", () => {
      active.dec();
      connections.delete(connection);
    });
  });
  server.maxConnections = MAX_TCP_CONNECTIONS;
  server.on("drop", () => refused.inc());
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen({ host, port, ipv6Only: true }, () => {
      server.removeListener("error", reject);
      // Accepting fails when descriptors run out; the next connection may succeed.
      server.on("error", () => undefined);
      resolve({
        port: (server.address() as AddressInfo).port,
        close: () => {
          for (const connection of connections) connection.destroy();
          return new Promise((closed) => server.close(() => closed()));
        },
      });
    });
  });
}
