// A request whose body is what the upstream reads and whose response body is what it writes: CONNECT terminated. There is
// no HTTP on the connection, so it serves one request, and the response head is the proxy's own.
import type { Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import { ProxyError } from "../../error.ts";
import type { Pending } from "../../identity/transport.ts";
import type { TlsPeer, UpstreamSource } from "../../telemetry/stream-info.ts";
import type { HeaderMap } from "../../wire/header-map.ts";
import { Head } from "../../wire/http1-head.ts";
import type { CircuitBreakers, Priority } from "../circuit-breakers.ts";
import type { Host, UpstreamCluster } from "../cluster.ts";
import type { HttpPool, PoolWaiter, RequestHead, ResponseHandler, UpstreamExchange } from "./exchange.ts";

const none = Buffer.alloc(0);

/** The connection of one tunnel, as the pool that a router takes an exchange from. */
export class TcpTunnelPool implements HttpPool {
  readonly #host: Host;
  readonly #cluster: UpstreamCluster;
  readonly #source: UpstreamSource | undefined;
  readonly #breakers: CircuitBreakers;
  #dialing: Pending | undefined;

  constructor(host: Host, cluster: UpstreamCluster, source: UpstreamSource | undefined, priority: Priority) {
    this.#breakers = cluster.resources[priority];
    this.#host = host;
    this.#cluster = cluster;
    this.#source = source;
  }

  acquire(waiter: PoolWaiter): undefined {
    const { connections } = this.#breakers;
    if (connections.full) {
      this.#cluster.stats.upstreamCxOverflow.inc();
      waiter.onPoolFailure(new ProxyError("upstream_overflow", { side: "upstream" }));
      return undefined;
    }
    connections.take();
    this.#cluster.stats.upstreamRqPendingTotal.inc();
    const leave = (): void => connections.give();
    this.#dialing = this.#host.dial(
      { allowHalfOpen: true, source: this.#source },
      {
        onConnected: (socket, peer) => {
          this.#dialing = undefined;
          waiter.onPoolReady(new TcpTunnel(socket, peer, this.#host, this.#cluster, leave));
        },
        onFailed: (error) => {
          this.#dialing = undefined;
          leave();
          waiter.onPoolFailure(error);
        },
      },
    );
    return undefined;
  }

  cancel(): void {
    if (this.#dialing === undefined) return;
    this.#dialing.cancel();
    this.#dialing = undefined;
    this.#breakers.connections.give();
  }

  drain(): void {
    // It lives as long as its request.
  }
}

class TcpTunnel implements UpstreamExchange {
  readonly host: Host;
  readonly localAddress: string;
  readonly peer: TlsPeer | undefined;
  readonly protocol = "";
  readonly #socket: Socket | TLSSocket;
  readonly #cluster: UpstreamCluster;
  readonly #onClosed: () => void;
  #handler: ResponseHandler | undefined;
  #closed = false;

  constructor(socket: Socket | TLSSocket, peer: TlsPeer | undefined, host: Host, cluster: UpstreamCluster, onClosed: () => void) {
    this.#socket = socket;
    this.peer = peer;
    this.host = host;
    this.#cluster = cluster;
    this.#onClosed = onClosed;
    this.localAddress = socket.localAddress === undefined ? "" : `${socket.localAddress}:${socket.localPort ?? 0}`;
    socket.setNoDelay(true);
    socket.pause();
    socket.on("data", (data: Buffer) => this.#onData(data));
    socket.on("end", () => this.#onEnd());
    socket.on("error", (error) => this.#onLost(error));
    socket.on("close", () => this.#onLost(undefined));
    socket.on("drain", () => this.#handler?.onWritable());
  }

  send(handler: ResponseHandler, _request: RequestHead, endStream: boolean): void {
    this.#handler = handler;
    // Bytes are not read before somebody is told of them; the answer comes when the caller is done with sending.
    queueMicrotask(() => {
      if (this.#handler !== handler) return;
      const head = new Head();
      head.status = 200;
      handler.onResponseHead(head, false);
      handler.onReadDone();
      if (this.#handler === handler) this.#socket.resume();
    });
    if (endStream) this.#socket.end();
  }

  flush(): void {
    // Nothing is held back.
  }

  write(data: Buffer, endStream: boolean): boolean {
    if (this.#closed) return true;
    this.#cluster.stats.upstreamCxTxBytesTotal.add(data.length);
    // The bytes are read into a buffer that the next read uses again.
    const ok = data.length === 0 || this.#socket.write(Buffer.from(data));
    if (endStream) this.#socket.end();
    return ok;
  }

  writeTrailers(_trailers: HeaderMap): void {
    this.write(none, true);
  }

  pauseReading(paused: boolean): void {
    if (paused) this.#socket.pause();
    else this.#socket.resume();
  }

  abort(): void {
    this.#handler = undefined;
    this.#socket.destroy();
    this.#leave();
  }

  #onData(data: Buffer): void {
    const handler = this.#handler;
    this.#cluster.stats.upstreamCxRxBytesTotal.add(data.length);
    handler?.onResponseData(data, false);
    handler?.onReadDone();
  }

  #onEnd(): void {
    const handler = this.#handler;
    this.#handler = undefined;
    handler?.onResponseData(none, true);
    handler?.onReadDone();
    // Both sides are done, or nobody is left to send more.
    this.#socket.end();
    this.#leave();
  }

  #onLost(cause: Error | undefined): void {
    const handler = this.#handler;
    this.#handler = undefined;
    this.#socket.destroy();
    this.#leave();
    handler?.onResponseReset(new ProxyError("upstream_closed", { side: "upstream", ...(cause && { cause }) }));
    handler?.onReadDone();
  }

  #leave(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#onClosed();
  }
}
