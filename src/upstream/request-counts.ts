// What a request counts as while it is on an exchange, for requests that the proxy makes itself.
import type { UpstreamCluster } from "./cluster.ts";
import type { UpstreamExchange } from "./pool/exchange.ts";

/** Counts a request that goes out, in the cluster's statistics and circuit breaker and at its host. */
export function countSent({ stats, resources }: UpstreamCluster, { host }: UpstreamExchange): void {
  resources.default.requests.take();
  host.activeRequests++;
  host.onResult("connected");
  stats.upstreamRqTotal.inc();
  stats.upstreamRqActive.inc();
}

/** Takes back what `countSent` counted as under way. */
export function countEnded({ stats, resources }: UpstreamCluster, exchange: UpstreamExchange | undefined): void {
  resources.default.requests.give();
  stats.upstreamRqActive.dec();
  if (exchange !== undefined) exchange.host.activeRequests--;
}
