// Requests that wait for a connection, within the cluster's circuit breakers and counted in its stats.
import { ProxyError } from "../../error.ts";
import type { ResourceCounts, UpstreamCluster } from "../cluster.ts";
import type { PoolWaiter } from "./exchange.ts";

/** The queue of one pool. */
export class WaitingRequests {
  readonly #cluster: UpstreamCluster;
  readonly #counts: ResourceCounts;
  readonly #waiting: PoolWaiter[] = [];

  constructor(cluster: UpstreamCluster) {
    this.#cluster = cluster;
    this.#counts = cluster.resources.default;
  }

  /** Requests that wait. */
  get size(): number {
    return this.#waiting.length;
  }

  /** Queues a request, or tells it at once that too many wait: false. */
  add(waiter: PoolWaiter): boolean {
    const { stats, model } = this.#cluster;
    if (this.#counts.pendingRequests >= model.circuitBreakers.default.maxPendingRequests) {
      stats.upstreamRqPendingOverflow.inc();
      waiter.onPoolFailure(new ProxyError("upstream_overflow", { side: "upstream" }));
      return false;
    }
    this.#waiting.push(waiter);
    this.#counts.pendingRequests++;
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
    this.#counts.pendingRequests--;
    this.#cluster.stats.upstreamRqPendingActive.dec();
  }
}
