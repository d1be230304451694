// The keep-alive connections of one host (and one ALPN offer): hands a free one out, dials when there is none, queues what
// waits, within the cluster's circuit breakers.
import { LazyDeadline } from "../../net/deadline.ts";
import type { HeadLimits } from "../../wire/http1-head.ts";
import type { Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import type { TlsPeer } from "../../telemetry/stream-info.ts";
import type { Host, UpstreamCluster } from "../cluster.ts";
import type { HttpPool, PoolWaiter } from "./exchange.ts";
import { Http1Client, type ClientOwner } from "./http1-client.ts";
import { type DialerOwner, PoolDialer, type PoolSettings } from "./pool-dialer.ts";
import { WaitingRequests } from "./waiting.ts";

/** The connection pool of one host. */
export class Http1Pool implements HttpPool, ClientOwner, DialerOwner {
  readonly #host: Host;
  readonly #cluster: UpstreamCluster;
  readonly #limits: HeadLimits;
  readonly #createDeadline: (fire: () => void) => LazyDeadline;
  /** Last in, first out: the warm end is reused and the cold end times out. */
  readonly #idle: Http1Client[] = [];
  readonly #waiting: WaitingRequests;
  readonly #dialer: PoolDialer;
  readonly #clients = new Set<Http1Client>();
  #draining = false;

  /** @param waiting requests that wait already */
  constructor(settings: PoolSettings, waiting?: WaitingRequests) {
    const { host, cluster, clock, priority } = settings;
    this.#host = host;
    this.#cluster = cluster;
    this.#waiting = waiting ?? new WaitingRequests(cluster, cluster.resources[priority]);
    this.#dialer = new PoolDialer(settings, this.#waiting, 1, this);
    const { maxResponseHeadersKb, maxHeadersCount } = cluster.model.http;
    this.#limits = { maxBytes: maxResponseHeadersKb * 1024, maxHeaders: maxHeadersCount, underscores: "ALLOW" };
    this.#createDeadline = (fire) => new LazyDeadline(clock, fire);
  }

  get open(): number {
    return this.#clients.size;
  }

  acquire(waiter: PoolWaiter): Http1Client | undefined {
    const ready = this.#takeIdle();
    if (ready !== undefined) {
      if (this.#waiting.admits(waiter)) return ready;
      this.#keepIdle(ready);
      return undefined;
    }
    if (this.#waiting.add(waiter)) this.#dialer.dialForWaiting();
    else this.#dialer.mayBeEmpty();
    return undefined;
  }

  /** Opens what those who wait need, as far as circuit breakers allow. */
  dialForWaiting(): void {
    this.#dialer.dialForWaiting();
  }

  cancel(waiter: PoolWaiter): void {
    this.#waiting.cancel(waiter);
  }

  drain(): void {
    this.#draining = true;
    for (const client of this.#clients) client.retire();
  }

  onIdle(client: Http1Client): void {
    const { maxRequestsPerConnection } = this.#cluster.model.http;
    if (maxRequestsPerConnection > 0 && client.requests >= maxRequestsPerConnection) {
      this.#cluster.stats.upstreamCxMaxRequests.inc();
      client.close();
      return;
    }
    const waiter = this.#waiting.admit();
    if (waiter !== undefined) {
      waiter.onPoolReady(client);
      return;
    }
    if (this.#draining || this.#host.removed) {
      client.close();
      return;
    }
    this.#keepIdle(client);
  }

  #takeIdle(): Http1Client | undefined {
    for (let client = this.#idle.pop(); client !== undefined; client = this.#idle.pop()) {
      client.idleDeadline.clear();
      if (client.usable) return client;
      client.close();
    }
    return undefined;
  }

  #keepIdle(client: Http1Client): void {
    const { idleTimeoutMs } = this.#cluster.model.http;
    if (idleTimeoutMs > 0) client.idleDeadline.set(idleTimeoutMs);
    this.#idle.push(client);
  }

  onClosed(client: Http1Client): void {
    this.#clients.delete(client);
    const at = this.#idle.indexOf(client);
    if (at >= 0) this.#idle.splice(at, 1);
    this.#dialer.onClosed();
  }

  /** As in Envoy, one that fails counts too. */
  onDial(): void {
    this.#cluster.stats.upstreamCxHttp1Total.inc();
  }

  /** Takes a connection that was dialled elsewhere and is counted already. */
  adopt(socket: Socket | TLSSocket, peer: TlsPeer | undefined): void {
    const client = new Http1Client(socket, this.#host, this.#cluster, peer, this, this.#limits, this.#createDeadline);
    this.#clients.add(client);
    this.#dialer.limitDuration(socket, client);
    this.onIdle(client);
  }
}
