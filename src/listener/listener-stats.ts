// Envoy's `listener.ADDRESS.*`; `ssl.*` below it belongs to identity/. As in Envoy, `downstream_cx_*` counts connections that
// found a filter chain, `downstream_pre_cx_*` those that listener filters look at.
import type { Counter, Gauge, Histogram, StatsScope } from "../telemetry/stats.ts";

/** Envoy's `listener_manager.*`. Every worker has the same listeners, so these are not summed. */
export interface ListenerManagerStats {
  readonly added: Counter;
  readonly modified: Counter;
  readonly removed: Counter;
  readonly createSuccess: Counter;
  readonly createFailure: Counter;
  readonly active: Gauge;
}

/** Makes the stats of a worker's listener manager. */
export function createListenerManagerStats(stats: StatsScope): ListenerManagerStats {
  const scope = stats.scope("listener_manager");
  return {
    added: scope.counter("listener_added"),
    modified: scope.counter("listener_modified"),
    removed: scope.counter("listener_removed"),
    createSuccess: scope.counter("listener_create_success"),
    createFailure: scope.counter("listener_create_failure"),
    active: scope.gauge("total_listeners_active"),
  };
}

/** Stats of one listener. */
export interface ListenerStats {
  readonly downstreamCxTotal: Counter;
  readonly downstreamCxActive: Gauge;
  readonly downstreamCxDestroy: Counter;
  readonly downstreamCxLengthMs: Histogram;
  readonly downstreamCxOverflow: Counter;
  /** Refused because the process has hardly any descriptors left. */
  readonly downstreamGlobalCxOverflow: Counter;
  readonly downstreamPreCxActive: Gauge;
  readonly downstreamPreCxTimeout: Counter;
  readonly downstreamListenerFilterRemoteClose: Counter;
  readonly downstreamListenerFilterError: Counter;
  readonly noFilterChainMatch: Counter;
  readonly downstreamCxTransportSocketConnectTimeout: Counter;
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
    downstreamGlobalCxOverflow: scope.counter("downstream_global_cx_overflow"),
    downstreamPreCxActive: scope.gauge("downstream_pre_cx_active"),
    downstreamPreCxTimeout: scope.counter("downstream_pre_cx_timeout"),
    downstreamListenerFilterRemoteClose: scope.counter("downstream_listener_filter_remote_close"),
    downstreamListenerFilterError: scope.counter("downstream_listener_filter_error"),
    noFilterChainMatch: scope.counter("no_filter_chain_match"),
    downstreamCxTransportSocketConnectTimeout: scope.counter("downstream_cx_transport_socket_connect_timeout"),
    sslContextNotReady: scope.counter("server_ssl_socket_factory.downstream_context_secrets_not_ready"),
  };
}
