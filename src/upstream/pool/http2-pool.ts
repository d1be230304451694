// The HTTP/2 connections of one host: exchanges share the first that has room, and another is dialled when none has.
import type { Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import type { Clock } from "../../clock.ts";
import type { SessionOptions } from "../../net/http2/session.ts";
import type { TlsPeer } from "../../telemetry/stream-info.ts";
import type { Host, UpstreamCluster } from "../cluster.ts";
import type { HttpPool, PoolWaiter, UpstreamExchange } from "./exchange.ts";
import { clientSessionOptions, Http2Client, type Http2ClientOwner } from "./http2-client.ts";
import { type DialerOwner, PoolDialer, type PoolSettings } from "./pool-dialer.ts";
import { WaitingRequests } from "./waiting.ts";

/** The connection pool of one host. */
export class Http2Pool implements HttpPool, Http2ClientOwner, DialerOwner {
  readonly #host: Host;
  readonly #cluster: UpstreamCluster;
  readonly #clock: Clock;
  readonly #options: SessionOptions;
  readonly #waiting: WaitingRequests;
  readonly #dialer: PoolDialer;
  readonly #clients: Http2Client[] = [];
  #draining = false;

  /** @param waiting requests that wait already */
  constructor(settings: PoolSettings, waiting?: WaitingRequests) {
    const { host, cluster, clock, priority } = settings;
    this.#host = host;
    this.#cluster = cluster;
    this.#clock = clock;
    this.#options = clientSessionOptions(cluster);
    this.#waiting = waiting ?? new WaitingRequests(cluster, cluster.resources[priority]);
    // What waits fits on the connections under way, as far as this side's limit says: the peer's is not known yet.
    this.#dialer = new PoolDialer(settings, this.#waiting, this.#options.maxConcurrentStreams, this);
  }

  get open(): number {
    return this.#clients.length;
  }

  acquire(waiter: PoolWaiter): UpstreamExchange | undefined {
    const client = this.#withRoom();
    if (client !== undefined) return this.#waiting.admits(waiter) ? client.exchange() : undefined;
    if (this.#waiting.add(waiter)) this.#dialer.dialForWaiting();
    else this.#dialer.mayBeEmpty();
    return undefined;
  }

  cancel(waiter: PoolWaiter): void {
    this.#waiting.cancel(waiter);
  }

  drain(): void {
    this.#draining = true;
    for (const client of this.#clients.slice()) client.retire();
  }

  /** As in Envoy, one that fails counts too. */
  onDial(): void {
    this.#cluster.stats.upstreamCxHttp2Total.inc();
  }

  /** Takes a connection that was dialled elsewhere and is counted already. */
  adopt(socket: Socket | TLSSocket, peer: TlsPeer | undefined): void {
    const client = new Http2Client(socket, this.#host, this.#cluster, peer, this, this.#options, this.#clock);
    this.#clients.push(client);
    this.#dialer.limitDuration(socket, client);
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
    this.#dialer.onClosed();
  }

  #withRoom(): Http2Client | undefined {
    for (const client of this.#clients) if (client.hasRoom) return client;
    return undefined;
  }

  /** Opens what those who wait need, as far as circuit breakers allow. */
  dialForWaiting(): void {
    this.#dialer.dialForWaiting();
  }
}
