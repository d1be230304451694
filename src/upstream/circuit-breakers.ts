// Circuit breakers of one cluster and priority in this worker: how much of each resource is in use, how much may be, and Envoy's
// gauges of it. Taking and giving back is a count and a comparison; a gauge is written when a limit is reached or left.
import type { CircuitBreakerThresholds } from "../envoy/cluster/cluster.ts";
import type { Gauge, StatsScope } from "../telemetry/stats.ts";

/** Whose limits a request counts against. */
export type Priority = "default" | "high";

/** One resource of a priority. */
export interface Resource {
  readonly count: number;
  /** Nothing of it is left. */
  readonly full: boolean;
  /** Takes one, whether or not one is left. */
  take(): void;
  /** Gives one back. */
  give(): void;
}

interface ResourceGauges {
  readonly open: Gauge;
  /** With track_remaining. */
  readonly remaining: Gauge | undefined;
}

class Limited implements Resource {
  readonly #limit: () => number;
  count = 0;
  #gauges: ResourceGauges | undefined;
  #open = false;

  constructor(limit: () => number) {
    this.#limit = limit;
  }

  get full(): boolean {
    return this.count >= this.#limit();
  }

  take(): void {
    this.count++;
    if (this.#gauges !== undefined) this.#show(this.#gauges);
  }

  give(): void {
    this.count--;
    if (this.#gauges !== undefined) this.#show(this.#gauges);
  }

  /** From now on in these gauges. */
  showIn(gauges: ResourceGauges): void {
    this.#gauges = gauges;
    // Nothing in use is not open, as in Envoy, also with a limit of none.
    this.#open = this.full && this.count > 0;
    gauges.open.set(this.#open ? 1 : 0);
    gauges.remaining?.set(Math.max(this.#limit() - this.count, 0));
  }

  #show({ open, remaining }: ResourceGauges): void {
    const { full } = this;
    if (full !== this.#open) {
      this.#open = full;
      open.set(full ? 1 : 0);
    }
    remaining?.set(Math.max(this.#limit() - this.count, 0));
  }
}

/** The resources of one priority. Outlives versions of the cluster, which give it their thresholds. */
export class CircuitBreakers {
  #thresholds: CircuitBreakerThresholds;
  readonly #connections = new Limited(() => this.#thresholds.maxConnections);
  readonly #pendingRequests = new Limited(() => this.#thresholds.maxPendingRequests);
  readonly #requests = new Limited(() => this.#thresholds.maxRequests);
  readonly #retries = new Limited(() => this.#maxRetries());
  #scope: StatsScope | undefined;

  constructor(thresholds: CircuitBreakerThresholds) {
    this.#thresholds = thresholds;
  }

  /** Connections, open or being opened. */
  get connections(): Resource {
    return this.#connections;
  }
  /** Requests that wait for a connection. */
  get pendingRequests(): Resource {
    return this.#pendingRequests;
  }
  /** Requests on a connection. */
  get requests(): Resource {
    return this.#requests;
  }
  /** Retries that were started and have not ended. */
  get retries(): Resource {
    return this.#retries;
  }
  /** max_connections of per_host_thresholds; undefined = no limit of each host. */
  get maxConnectionsPerHost(): number | undefined {
    return this.#thresholds.maxConnectionsPerHost;
  }

  /** Another version of the cluster is in force. */
  limit(thresholds: CircuitBreakerThresholds): void {
    this.#thresholds = thresholds;
    if (this.#scope !== undefined) this.showIn(this.#scope);
  }

  /** Makes the gauges `cx_open`, `rq_open`, ... below `cluster.NAME.circuit_breakers.PRIORITY`. */
  showIn(scope: StatsScope): void {
    this.#scope = scope;
    const tracked = this.#thresholds.trackRemaining === true;
    const show = (resource: Limited, open: string, remaining: string): void =>
      resource.showIn({ open: scope.gauge(open), remaining: tracked ? scope.gauge(remaining) : undefined });
    show(this.#connections, "cx_open", "remaining_cx");
    show(this.#pendingRequests, "rq_pending_open", "remaining_pending");
    show(this.#requests, "rq_open", "remaining_rq");
    show(this.#retries, "rq_retry_open", "remaining_retries");
  }

  #maxRetries(): number {
    const { retryBudget, maxRetries } = this.#thresholds;
    if (retryBudget === undefined) return maxRetries;
    const share = (retryBudget.budgetPercent / 100) * (this.#requests.count + this.#pendingRequests.count);
    return Math.max(share, retryBudget.minRetryConcurrency);
  }
}
