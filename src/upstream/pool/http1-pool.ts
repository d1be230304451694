// The keep-alive connections of one host (and one ALPN offer): hands a free one out, dials when there is none, queues what
// waits, within the cluster's circuit breakers.
import type { Clock } from "../../clock.ts";
import { LazyDeadline } from "../../net/deadline.ts";
import type { HeadLimits } from "../../wire/http1-head.ts";
import type { Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import type { TlsPeer } from "../../telemetry/stream-info.ts";
import type { CircuitBreakers, Priority } from "../circuit-breakers.ts";
import type { DialOptions, Host, UpstreamCluster } from "../cluster.ts";
import type { HttpPool, PoolWaiter } from "./exchange.ts";
import { Http1Client, type ClientOwner } from "./http1-client.ts";
import { mayConnect, WaitingRequests } from "./waiting.ts";

/** The connection pool of one host. */
export class Http1Pool implements HttpPool, ClientOwner {
  readonly #host: Host;
  readonly #cluster: UpstreamCluster;
  readonly #dialOptions: DialOptions;
  readonly #clock: Clock;
  readonly #limits: HeadLimits;
  readonly #breakers: CircuitBreakers;
  readonly #createDeadline: (fire: () => void) => LazyDeadline;
  /** Last in, first out: the warm end is reused and the cold end times out. */
  readonly #idle: Http1Client[] = [];
  readonly #waiting: WaitingRequests;
  readonly #clients = new Set<Http1Client>();
  #connecting = 0;
  readonly #onEmpty: (() => void) | undefined;
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
    this.#breakers = cluster.resources[priority];
    this.#waiting = waiting ?? new WaitingRequests(cluster, this.#breakers);
    const { maxResponseHeadersKb, maxHeadersCount } = cluster.model.http;
    this.#limits = { maxBytes: maxResponseHeadersKb * 1024, maxHeaders: maxHeadersCount, underscores: "ALLOW" };
    this.#createDeadline = (fire) => new LazyDeadline(clock, fire);
  }

  /** Connections that are connecting, busy or idle. */
  get size(): number {
    return this.#clients.size + this.#connecting;
  }

  acquire(waiter: PoolWaiter): Http1Client | undefined {
    const ready = this.#takeIdle();
    if (ready !== undefined) {
      if (this.#waiting.admits(waiter)) return ready;
      this.#keepIdle(ready);
      return undefined;
    }
    if (!this.#waiting.add(waiter)) {
      this.#mayBeEmpty();
      return undefined;
    }
    this.dialForWaiting();
    return undefined;
  }

  /** Opens what those who wait need, as far as circuit breakers allow. */
  dialForWaiting(): void {
    while (this.#connecting < this.#waiting.size) {
      const room = mayConnect(this.#host, this.#breakers);
      if (!room) this.#cluster.stats.upstreamCxOverflow.inc();
      // A host without any connection may always have one, or its requests could never be served.
      if (!room && this.size > 0) return;
      this.#dial();
    }
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
    this.#breakers.connections.give();
    const at = this.#idle.indexOf(client);
    if (at >= 0) this.#idle.splice(at, 1);
    // Whoever waits for a connection under max_connections gets the place that became free.
    this.dialForWaiting();
    this.#mayBeEmpty();
  }

  #mayBeEmpty(): void {
    if (this.#onEmpty !== undefined && this.size === 0 && this.#waiting.size === 0) this.#onEmpty();
  }

  /** Takes a connection that was dialled elsewhere and is counted already. */
  adopt(socket: Socket | TLSSocket, peer: TlsPeer | undefined): void {
    this.#cluster.stats.upstreamCxHttp1Total.inc();
    const client = new Http1Client(socket, this.#host, this.#cluster, peer, this, this.#limits, this.#createDeadline);
    this.#clients.add(client);
    this.#armDuration(client);
    this.onIdle(client);
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
        this.#waiting.fail(error, this.#connecting);
        this.#mayBeEmpty();
      },
    });
  }

  #armDuration(client: Http1Client): void {
    const { maxConnectionDurationMs } = this.#cluster.model.http;
    if (maxConnectionDurationMs <= 0) return;
    const timer = this.#clock.after(maxConnectionDurationMs, () => {
      this.#cluster.stats.upstreamCxMaxDurationReached.inc();
      client.retire();
    });
    client.socket.once("close", () => timer.cancel());
  }
}
