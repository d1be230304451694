// The stats of a cluster under Envoy's names. All of a cluster's instruments are made at once, on its first use: a mesh has
// thousands of clusters per sidecar and traffic to a few of them.
import { createHttp2Stats, type Http2Stats } from "../net/http2/http2-stats.ts";
import type { StatsScope } from "../telemetry/stats.ts";
import type { ClusterStats } from "./cluster.ts";

/** Makes the instruments below `scope` (`cluster.NAME`). */
export function createClusterStats(scope: StatsScope): ClusterStats {
  let http2: Http2Stats | undefined;
  return {
    http2: () => (http2 ??= createHttp2Stats(scope.scope("http2"))),
    upstreamCxTotal: scope.counter("upstream_cx_total"),
    upstreamCxActive: scope.gauge("upstream_cx_active"),
    upstreamCxHttp1Total: scope.counter("upstream_cx_http1_total"),
    upstreamCxHttp2Total: scope.counter("upstream_cx_http2_total"),
    upstreamCxCloseNotify: scope.counter("upstream_cx_close_notify"),
    upstreamCxConnectFail: scope.counter("upstream_cx_connect_fail"),
    upstreamCxConnectTimeout: scope.counter("upstream_cx_connect_timeout"),
    upstreamCxConnectAttemptsExceeded: scope.counter("upstream_cx_connect_attempts_exceeded"),
    upstreamCxConnectMs: scope.histogram("upstream_cx_connect_ms"),
    upstreamCxDestroy: scope.counter("upstream_cx_destroy"),
    upstreamCxDestroyLocal: scope.counter("upstream_cx_destroy_local"),
    upstreamCxDestroyRemote: scope.counter("upstream_cx_destroy_remote"),
    upstreamCxDestroyWithActiveRq: scope.counter("upstream_cx_destroy_with_active_rq"),
    upstreamCxDestroyLocalWithActiveRq: scope.counter("upstream_cx_destroy_local_with_active_rq"),
    upstreamCxDestroyRemoteWithActiveRq: scope.counter("upstream_cx_destroy_remote_with_active_rq"),
    upstreamCxIdleTimeout: scope.counter("upstream_cx_idle_timeout"),
    upstreamCxMaxDurationReached: scope.counter("upstream_cx_max_duration_reached"),
    upstreamCxMaxRequests: scope.counter("upstream_cx_max_requests"),
    upstreamCxNoneHealthy: scope.counter("upstream_cx_none_healthy"),
    upstreamCxOverflow: scope.counter("upstream_cx_overflow"),
    upstreamCxProtocolError: scope.counter("upstream_cx_protocol_error"),
    upstreamCxRxBytesTotal: scope.counter("upstream_cx_rx_bytes_total"),
    upstreamCxTxBytesTotal: scope.counter("upstream_cx_tx_bytes_total"),
    upstreamRqTotal: scope.counter("upstream_rq_total"),
    upstreamRqActive: scope.gauge("upstream_rq_active"),
    upstreamRqPendingTotal: scope.counter("upstream_rq_pending_total"),
    upstreamRqPendingActive: scope.gauge("upstream_rq_pending_active"),
    upstreamRqPendingOverflow: scope.counter("upstream_rq_pending_overflow"),
    upstreamRqActiveOverflow: scope.counter("upstream_rq_active_overflow"),
    upstreamRqPendingFailureEject: scope.counter("upstream_rq_pending_failure_eject"),
    upstreamRqCancelled: scope.counter("upstream_rq_cancelled"),
    upstreamRqTimeout: scope.counter("upstream_rq_timeout"),
    upstreamRqPerTryTimeout: scope.counter("upstream_rq_per_try_timeout"),
    upstreamRqMaxDurationReached: scope.counter("upstream_rq_max_duration_reached"),
    upstreamRqRxReset: scope.counter("upstream_rq_rx_reset"),
    upstreamRqTxReset: scope.counter("upstream_rq_tx_reset"),
    upstreamRqRetry: scope.counter("upstream_rq_retry"),
    upstreamRqRetryBackoffExponential: scope.counter("upstream_rq_retry_backoff_exponential"),
    upstreamRqRetryBackoffRatelimited: scope.counter("upstream_rq_retry_backoff_ratelimited"),
    upstreamRqRetrySuccess: scope.counter("upstream_rq_retry_success"),
    upstreamRqRetryOverflow: scope.counter("upstream_rq_retry_overflow"),
    upstreamRqRetryLimitExceeded: scope.counter("upstream_rq_retry_limit_exceeded"),
    upstreamInternalRedirectSucceeded: scope.counter("upstream_internal_redirect_succeeded_total"),
    upstreamInternalRedirectFailed: scope.counter("upstream_internal_redirect_failed_total"),
    upstreamRqTime: scope.histogram("upstream_rq_time"),
    response: responseCounter(scope),
    retriedResponse: lazily(() => responseCounter(scope.scope("retry"))),
  };
}

// Most clusters never retry a response.
function lazily(make: () => (status: number) => void): (status: number) => void {
  let made: ((status: number) => void) | undefined;
  return (status) => (made ??= make())(status);
}

// Statuses get their counters when they first occur; after that a response is three increments.
function responseCounter(scope: StatsScope): (status: number) => void {
  const completed = scope.counter("upstream_rq_completed");
  const known: ((() => void) | undefined)[] = [];
  return (status) => {
    let count = known[status];
    if (count === undefined && status >= 600) {
      const unknown = scope.counter("upstream_rq_unknown");
      count = () => {
        completed.inc();
        unknown.inc();
      };
      if (status < 1000) known[status] = count;
    } else if (count === undefined) {
      const code = scope.counter(`upstream_rq_${status}`);
      const group = scope.counter(`upstream_rq_${Math.floor(status / 100)}xx`);
      count = () => {
        completed.inc();
        group.inc();
        code.inc();
      };
      // Statuses come from upstreams: only real ones are remembered.
      if (status >= 100 && status < 1000) known[status] = count;
    }
    count();
  };
}

/** Counts a connection that ended with a request on it. */
export function countDestroyedWithActiveRq(stats: ClusterStats, by: "local" | "remote"): void {
  stats.upstreamCxDestroyWithActiveRq.inc();
  if (by === "remote") stats.upstreamCxDestroyRemoteWithActiveRq.inc();
  else stats.upstreamCxDestroyLocalWithActiveRq.inc();
}

/** The scope of a cluster's stats: alt_stat_name or name, colons replaced as Envoy does. */
export function clusterScope(stats: StatsScope, name: string, altStatName: string): StatsScope {
  return stats.scope(`cluster.${(altStatName === "" ? name : altStatName).replaceAll(":", "_")}`);
}
