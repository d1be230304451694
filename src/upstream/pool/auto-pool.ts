// The pool of a host whose protocol is found out by ALPN (auto_config): the first connection tells, and all that follow are
// of the pool of that protocol. A host that later speaks another one is found out when its connections have ended.
import type { Clock } from "../../clock.ts";
import type { CircuitBreakers, Priority } from "../circuit-breakers.ts";
import type { DialOptions, Host, UpstreamCluster } from "../cluster.ts";
import type { HttpPool, PoolWaiter, UpstreamExchange } from "./exchange.ts";
import { Http1Pool } from "./http1-pool.ts";
import { Http2Pool } from "./http2-pool.ts";
import { mayConnect, WaitingRequests } from "./waiting.ts";

/** A pool of one protocol or the other. */
export class AutoPool implements HttpPool {
  readonly #host: Host;
  readonly #cluster: UpstreamCluster;
  readonly #dialOptions: DialOptions;
  readonly #clock: Clock;
  readonly #breakers: CircuitBreakers;
  readonly #priority: Priority;
  readonly #waiting: WaitingRequests;
  #pool: Http1Pool | Http2Pool | undefined;
  readonly #onEmpty: (() => void) | undefined;
  #dialling = false;
  #draining = false;

  /** @param onEmpty nothing is open and nobody waits: called for a pool that is not to be kept then */
  constructor(host: Host, cluster: UpstreamCluster, dialOptions: DialOptions, clock: Clock, priority: Priority, onEmpty?: () => void) {
    this.#onEmpty = onEmpty;
    this.#host = host;
    this.#cluster = cluster;
    this.#dialOptions = dialOptions;
    this.#clock = clock;
    this.#priority = priority;
    this.#breakers = cluster.resources[priority];
    this.#waiting = new WaitingRequests(cluster, this.#breakers);
  }

  acquire(waiter: PoolWaiter): UpstreamExchange | undefined {
    if (this.#pool !== undefined) return this.#pool.acquire(waiter);
    if (!this.#waiting.add(waiter) || this.#dialling) return undefined;
    // A host without any connection may always have one, or its requests could never be served.
    if (!mayConnect(this.#host, this.#breakers)) this.#cluster.stats.upstreamCxOverflow.inc();
    this.#dial();
    return undefined;
  }

  cancel(waiter: PoolWaiter): void {
    if (!this.#waiting.cancel(waiter)) this.#pool?.cancel(waiter);
  }

  drain(): void {
    this.#draining = true;
    this.#pool?.drain();
  }

  #dial(): void {
    this.#dialling = true;
    this.#breakers.connections.take();
    this.#host.dial(this.#dialOptions, {
      onConnected: (socket, peer, alpn) => {
        this.#dialling = false;
        const Pool = alpn === "h2" || alpn === "istio-h2" ? Http2Pool : Http1Pool;
        const pool = new Pool(this.#host, this.#cluster, this.#dialOptions, this.#clock, this.#priority, this.#onEmpty, this.#waiting);
        this.#pool = pool;
        pool.adopt(socket, peer);
        pool.dialForWaiting();
        if (this.#draining) pool.drain();
      },
      onFailed: (error) => {
        this.#dialling = false;
        this.#breakers.connections.give();
        this.#waiting.fail(error, 0);
        if (!this.#dialling) this.#onEmpty?.();
      },
    });
  }
}
