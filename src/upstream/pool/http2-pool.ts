// The HTTP/2 connections of one host: exchanges share the first that has room, and another is dialled when none has.
import type { Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import type { Clock } from "../../clock.ts";
import type { SessionOptions } from "../../net/http2/session.ts";
import type { TlsPeer } from "../../telemetry/stream-info.ts";
import type { CircuitBreakers, Priority } from "../circuit-breakers.ts";
import type { DialOptions, Host, UpstreamCluster } from "../cluster.ts";
import type { HttpPool, PoolWaiter, UpstreamExchange } from "./exchange.ts";
import { clientSessionOptions, Http2Client, type Http2ClientOwner } from "./http2-client.ts";
import { mayConnect, WaitingRequests } from "./waiting.ts";

/** The connection pool of one host. */
export class Http2Pool implements HttpPool, Http2ClientOwner {
  readonly #host: Host;
  readonly #cluster: UpstreamCluster;
  readonly #dialOptions: DialOptions;
  readonly #clock: Clock;
  readonly #options: SessionOptions;
  readonly #breakers: CircuitBreakers;
  readonly #waiting: WaitingRequests;
  readonly #clients: Http2Client[] = [];
  readonly #onEmpty: (() => void) | undefined;
  #connecting = 0;
  #draining = false;

  /**
   * @param onEmpty nothing is open and nobody waits: called for a pool that is not to be kept then
   * @param waiting requests that wait already
   */
  constructor(
    host: Host,
    cluster: UpstreamCluster,
    dialOptions: DialOptions,
    clock: Clock,
    priority: Priority,
    onEmpty?: () => void,
    waiting?: WaitingRequests,
  ) {
    this.#onEmpty = onEmpty;
    this.#host = host;
    this.#cluster = cluster;
    this.#dialOptions = dialOptions;
    this.#clock = clock;
    this.#options = clientSessionOptions(cluster);
    this.#breakers = cluster.resources[priority];
    this.#waiting = waiting ?? new WaitingRequests(cluster, this.#breakers);
  }

  acquire(waiter: PoolWaiter): UpstreamExchange | undefined {
    const client = this.#withRoom();
    if (client !== undefined) return this.#waiting.admits(waiter) ? client.exchange() : undefined;
    if (this.#waiting.add(waiter)) this.dialForWaiting();
    else this.#mayBeEmpty();
    return undefined;
  }

  cancel(waiter: PoolWaiter): void {
    this.#waiting.cancel(waiter);
  }

  drain(): void {
    this.#draining = true;
    for (const client of this.#clients.slice()) client.retire();
  }

  /** Takes a connection that was dialled elsewhere and is counted already. */
  adopt(socket: Socket | TLSSocket, peer: TlsPeer | undefined): void {
    this.#cluster.stats.upstreamCxHttp2Total.inc();
    const client = new Http2Client(socket, this.#host, this.#cluster, peer, this, this.#options, this.#clock);
    this.#clients.push(client);
    const { maxConnectionDurationMs } = this.#cluster.model.http;
    if (maxConnectionDurationMs > 0) {
      const timer = this.#clock.after(maxConnectionDurationMs, () => {
        this.#cluster.stats.upstreamCxMaxDurationReached.inc();
        client.retire();
      });
      socket.once("close", () => timer.cancel());
    }
    this.onRoom(client);
  }

  onRoom(client: Http2Client): void {
    while (client.hasRoom) {
      const waiter = this.#waiting.admit();
      if (waiter === undefined) break;
      waiter.onPoolReady(client.exchange());
    }
    if (this.#draining || this.#host.removed) client.retire();
  }

  onClosed(client: Http2Client): void {
    const at = this.#clients.indexOf(client);
    if (at >= 0) this.#clients.splice(at, 1);
    this.#breakers.connections.give();
    this.dialForWaiting();
    this.#mayBeEmpty();
  }

  #mayBeEmpty(): void {
    if (this.#clients.length + this.#connecting + this.#waiting.size === 0) this.#onEmpty?.();
  }

  #withRoom(): Http2Client | undefined {
    for (const client of this.#clients) if (client.hasRoom) return client;
    return undefined;
  }

  /** Opens what those who wait need, as far as circuit breakers allow. */
  dialForWaiting(): void {
    // What waits fits on the connections under way, as far as this side's limit says: the peer's is not known yet.
    const { maxConcurrentStreams } = this.#options;
    while (this.#connecting * maxConcurrentStreams < this.#waiting.size) {
      // A host without any connection may always have one, or its requests could never be served.
      const room = mayConnect(this.#host, this.#breakers);
      if (!room) this.#cluster.stats.upstreamCxOverflow.inc();
      if (!room && this.#clients.length + this.#connecting > 0) return;
      this.#dial();
    }
  }

  #dial(): void {
    this.#connecting++;
    this.#breakers.connections.take();
    this.#host.dial(this.#dialOptions, {
      onConnected: (socket, peer) => {
        this.#connecting--;
        this.adopt(socket, peer);
      },
      onFailed: (error) => {
        this.#connecting--;
        this.#breakers.connections.give();
        this.#waiting.fail(error, this.#connecting * this.#options.maxConcurrentStreams);
        this.#mayBeEmpty();
      },
    });
  }
}
