// The portable UDP side: a dgram socket, one message a callback. On Linux batch/ takes its place.
import { createSocket, type RemoteInfo, type Socket } from "node:dgram";
import { isIPv6 } from "node:net";
import type { Logger } from "../telemetry/logger.ts";
import type { NameTable } from "./name-table.ts";
import type { QueryHandler, ReplySink } from "./query-handler.ts";

/** A bound UDP socket that queries come in by. */
export interface UdpListener {
  readonly port: number;
  /** Whether a thread of its own answers known names. */
  readonly batching: boolean;
  setTable(table: NameTable): void;
  close(): Promise<void>;
}

class DgramSink implements ReplySink<RemoteInfo> {
  readonly #socket: Socket;
  #open = true;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  send(reply: Buffer, peer: RemoteInfo): void {
    // A forwarded reply may come after the socket is closed.
    if (this.#open) this.#socket.send(reply, peer.port, peer.address);
  }

  close(): Promise<void> {
    if (!this.#open) return Promise.resolve();
    this.#open = false;
    return new Promise((resolve) => this.#socket.close(() => resolve()));
  }
}

/** Binds a dgram socket; rejects with Node's error when the address is taken or not ours. */
export function listenUdp(host: string, port: number, handler: QueryHandler, logger: Logger): Promise<UdpListener> {
  const family = isIPv6(host) ? 6 : 4;
  const socket = createSocket({
    type: family === 6 ? "udp6" : "udp4",
    ipv6Only: family === 6,
    // Peers are addresses: no resolver call for each reply.
    lookup: (address, _options, found) => found(null, address, family),
  });
  const sink = new DgramSink(socket);
  return new Promise((resolve, reject) => {
    const refused = (error: Error): void => {
      void sink.close();
      reject(error);
    };
    socket.once("error", refused);
    socket.bind(port, host, () => {
      socket.removeListener("error", refused);
      // A client that is gone or a full send buffer: UDP loses messages, the socket goes on.
      socket.on("error", (error) => logger.debug("dns reply not sent", { reason: error.message }));
      socket.on("message", (request, peer) => handler.handle(request, "udp", peer.port, peer, sink));
      resolve({ port: socket.address().port, batching: false, setTable: () => undefined, close: () => sink.close() });
    });
  });
}
