// The pool of a host whose protocol is found out by ALPN (auto_config): the first connection tells, and all that follow are
// of the pool of that protocol. A host that later speaks another one is found out when its connections have ended.
import type { Clock } from "../../clock.ts";
import type { DialOptions, Host, ResourceCounts, UpstreamCluster } from "../cluster.ts";
import type { HttpPool, PoolWaiter, UpstreamExchange } from "./exchange.ts";
import { Http1Pool } from "./http1-pool.ts";
import { Http2Pool } from "./http2-pool.ts";
import { WaitingRequests } from "./waiting.ts";

/** A pool of one protocol or the other. */
export class AutoPool implements HttpPool {
  readonly #host: Host;
  readonly #cluster: UpstreamCluster;
  readonly #dialOptions: DialOptions;
  readonly #clock: Clock;
  readonly #counts: ResourceCounts;
  readonly #waiting: WaitingRequests;
  #pool: Http1Pool | Http2Pool | undefined;
  readonly #onEmpty: (() => void) | undefined;
  #dialling = false;
  #draining = false;

  /** @param onEmpty nothing is open and nobody waits: called for a pool that is not to be kept then */
  constructor(host: Host, cluster: UpstreamCluster, dialOptions: DialOptions, clock: Clock, onEmpty?: () => void) {
    this.#onEmpty = onEmpty;
    this.#host = host;
    this.#cluster = cluster;
    this.#dialOptions = dialOptions;
    this.#clock = clock;
    this.#counts = cluster.resources.default;
    this.#waiting = new WaitingRequests(cluster);
  }

  acquire(waiter: PoolWaiter): UpstreamExchange | undefined {
    if (this.#pool !== undefined) return this.#pool.acquire(waiter);
    if (this.#waiting.add(waiter) && !this.#dialling) this.#dial();
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
    this.#counts.connections++;
    this.#host.dial(this.#dialOptions, {
      onConnected: (socket, peer, alpn) => {
        this.#dialling = false;
        const Pool = alpn === "h2" || alpn === "istio-h2" ? Http2Pool : Http1Pool;
        const pool = new Pool(this.#host, this.#cluster, this.#dialOptions, this.#clock, this.#onEmpty);
        this.#pool = pool;
        pool.adopt(socket, peer);
        for (let waiter = this.#waiting.take(); waiter !== undefined; waiter = this.#waiting.take()) {
          const exchange = pool.acquire(waiter);
          if (exchange !== undefined) waiter.onPoolReady(exchange);
        }
        if (this.#draining) pool.drain();
      },
      onFailed: (error) => {
        this.#dialling = false;
        this.#counts.connections--;
        this.#waiting.fail(error, 0);
        if (!this.#dialling) this.#onEmpty?.();
      },
    });
  }
}
