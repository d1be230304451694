// Envoy's `listener.ADDRESS.*`.
import type { Counter, Gauge, Histogram, StatsScope } from "../telemetry/stats.ts";

/** Stats of one listener. */
export interface ListenerStats {
  readonly downstreamCxTotal: Counter;
  readonly downstreamCxActive: Gauge;
  readonly downstreamCxDestroy: Counter;
  readonly downstreamCxLengthMs: Histogram;
  readonly downstreamCxOverflow: Counter;
  readonly downstreamPreCxActive: Gauge;
  readonly downstreamPreCxTimeout: Counter;
  readonly downstreamListenerFilterRemoteClose: Counter;
  readonly downstreamListenerFilterError: Counter;
  readonly noFilterChainMatch: Counter;
  readonly sslConnectionError: Counter;
  readonly sslContextNotReady: Counter;
}

/** Makes the stats of a listener in its scope. */
export function createListenerStats(scope: StatsScope): ListenerStats {
  return {
    downstreamCxTotal: scope.counter("downstream_cx_total"),
    downstreamCxActive: scope.gauge("downstream_cx_active"),
    downstreamCxDestroy: scope.counter("downstream_cx_destroy"),
    downstreamCxLengthMs: scope.histogram("downstream_cx_length_ms"),
    downstreamCxOverflow: scope.counter("downstream_cx_overflow"),
    downstreamPreCxActive: scope.gauge("downstream_pre_cx_active"),
    downstreamPreCxTimeout: scope.counter("downstream_pre_cx_timeout"),
    downstreamListenerFilterRemoteClose: scope.counter("downstream_listener_filter_remote_close"),
    downstreamListenerFilterError: scope.counter("downstream_listener_filter_error"),
    noFilterChainMatch: scope.counter("no_filter_chain_match"),
    sslConnectionError: scope.counter("ssl.connection_error"),
    sslContextNotReady: scope.counter("ssl.downstream_context_secrets_not_ready"),
  };
}
