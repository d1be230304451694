// The pool of a host whose protocol is found out by ALPN (auto_config): the first connection tells, and all that follow are
// of the pool of that protocol. A host that later speaks another one is found out when its connections have ended.
import type { Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import type { TlsPeer } from "../../telemetry/stream-info.ts";
import type { HttpPool, PoolWaiter, UpstreamExchange } from "./exchange.ts";
import { Http1Pool } from "./http1-pool.ts";
import { Http2Pool } from "./http2-pool.ts";
import { type DialerOwner, PoolDialer, type PoolSettings } from "./pool-dialer.ts";
import { WaitingRequests } from "./waiting.ts";

// Whoever else waits goes where the first connection leads.
const allOfThem = Number.MAX_SAFE_INTEGER;

/** A pool of one protocol or the other. */
export class AutoPool implements HttpPool, DialerOwner {
  readonly #settings: PoolSettings;
  readonly #waiting: WaitingRequests;
  readonly #dialer: PoolDialer;
  #pool: Http1Pool | Http2Pool | undefined;
  #draining = false;

  constructor(settings: PoolSettings) {
    const { cluster, priority } = settings;
    this.#settings = settings;
    this.#waiting = new WaitingRequests(cluster, cluster.resources[priority]);
    this.#dialer = new PoolDialer(settings, this.#waiting, allOfThem, this);
  }

  // What is open is the other pool's.
  get open(): number {
    return 0;
  }

  acquire(waiter: PoolWaiter): UpstreamExchange | undefined {
    if (this.#pool !== undefined) return this.#pool.acquire(waiter);
    if (this.#waiting.add(waiter)) this.#dialer.dialForWaiting();
    else this.#dialer.mayBeEmpty();
    return undefined;
  }

  cancel(waiter: PoolWaiter): void {
    if (!this.#waiting.cancel(waiter)) this.#pool?.cancel(waiter);
  }

  drain(): void {
    this.#draining = true;
    this.#pool?.drain();
  }

  adopt(socket: Socket | TLSSocket, peer: TlsPeer | undefined, alpn: string): void {
    const Pool = alpn === "h2" || alpn === "istio-h2" ? Http2Pool : Http1Pool;
    const pool = new Pool(this.#settings, this.#waiting);
    this.#pool = pool;
    pool.onDial();
    pool.adopt(socket, peer);
    pool.dialForWaiting();
    if (this.#draining) pool.drain();
  }
}
