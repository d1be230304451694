// Requests that wait for a connection, within the cluster's circuit breakers and counted in its stats.
import { ProxyError } from "../../error.ts";
import type { CircuitBreakers } from "../circuit-breakers.ts";
import type { Host, UpstreamCluster } from "../cluster.ts";
import type { PoolWaiter } from "./exchange.ts";

const overflow = new ProxyError("upstream_overflow", { side: "upstream" });

/** Whether the cluster, and the host where it has a limit of its own, may have another connection. */
export function mayConnect(host: Host, { connections, maxConnectionsPerHost }: CircuitBreakers): boolean {
  return !connections.full && (maxConnectionsPerHost === undefined || host.activeConnections < maxConnectionsPerHost);
}

/** The queue of one pool. */
export class WaitingRequests {
  readonly #cluster: UpstreamCluster;
  readonly #breakers: CircuitBreakers;
  readonly #waiting: PoolWaiter[] = [];

  constructor(cluster: UpstreamCluster, breakers: CircuitBreakers) {
    this.#cluster = cluster;
    this.#breakers = breakers;
  }

  /** Requests that wait. */
  get size(): number {
    return this.#waiting.length;
  }

  /** Queues a request, or tells it at once that too many wait: false. */
  add(waiter: PoolWaiter): boolean {
    const { stats } = this.#cluster;
    if (this.#breakers.pendingRequests.full) {
      stats.upstreamRqPendingOverflow.inc();
      waiter.onPoolFailure(overflow);
      return false;
    }
    this.#waiting.push(waiter);
    this.#breakers.pendingRequests.take();
    stats.upstreamRqPendingTotal.inc();
    stats.upstreamRqPendingActive.inc();
    return true;
  }

  /** The one that waits longest; it leaves the queue. */
  take(): PoolWaiter | undefined {
    const waiter = this.#waiting.shift();
    if (waiter !== undefined) this.#left();
    return waiter;
  }

  /** As `take`, but whoever max_requests keeps out hears of it. */
  admit(): PoolWaiter | undefined {
    for (let waiter = this.take(); waiter !== undefined; waiter = this.take()) if (this.admits(waiter)) return waiter;
    return undefined;
  }

  /** Whether a request may go on a connection that has room; it hears of it when it may not. */
  admits(waiter: PoolWaiter): boolean {
    if (!this.#breakers.requests.full) return true;
    this.#cluster.stats.upstreamRqActiveOverflow.inc();
    waiter.onPoolFailure(overflow);
    return false;
  }

  /** Takes a waiter out of the queue; false when it was not there. */
  cancel(waiter: PoolWaiter): boolean {
    const at = this.#waiting.indexOf(waiter);
    if (at < 0) return false;
    this.#waiting.splice(at, 1);
    this.#left();
    this.#cluster.stats.upstreamRqCancelled.inc();
    return true;
  }

  /** As in Envoy: what waited for a connection that failed hears of it, all but `keep` of them; their retry policies decide. */
  fail(error: ProxyError, keep: number): void {
    const failed = this.#waiting.splice(0, Math.max(this.#waiting.length - keep, 0));
    for (const waiter of failed) {
      this.#left();
      this.#cluster.stats.upstreamRqPendingFailureEject.inc();
      waiter.onPoolFailure(error);
    }
  }

  #left(): void {
    this.#breakers.pendingRequests.give();
    this.#cluster.stats.upstreamRqPendingActive.dec();
  }
}
