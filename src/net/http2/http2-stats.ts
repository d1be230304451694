// The counters of the HTTP/2 codec under Envoy's names: `http2.*` for downstream, `cluster.NAME.http2.*` for upstream.
import type { Counter, Gauge, StatsScope } from "../../telemetry/stats.ts";
import type { Flood } from "./flood-guard.ts";

/** Codec counters. */
export interface Http2Stats {
  readonly rxReset: Counter;
  readonly txReset: Counter;
  readonly trailers: Counter;
  readonly headerOverflow: Counter;
  readonly rxMessagingError: Counter;
  readonly goawaySent: Counter;
  readonly keepaliveTimeout: Counter;
  readonly underscoresRejected: Counter;
  readonly streamsActive: Gauge;
  readonly floods: Readonly<Record<Flood, Counter>>;
}

/** Makes them below `scope`. */
export function createHttp2Stats(scope: StatsScope): Http2Stats {
  const c = (name: string): Counter => scope.counter(name);
  return {
    rxReset: c("rx_reset"),
    txReset: c("tx_reset"),
    trailers: c("trailers"),
    headerOverflow: c("header_overflow"),
    rxMessagingError: c("rx_messaging_error"),
    goawaySent: c("goaway_sent"),
    keepaliveTimeout: c("keepalive_timeout"),
    underscoresRejected: c("requests_rejected_with_underscores_in_headers"),
    streamsActive: scope.gauge("streams_active"),
    floods: {
      outbound_flood: c("outbound_flood"),
      outbound_control_flood: c("outbound_control_flood"),
      inbound_empty_frames_flood: c("inbound_empty_frames_flood"),
      inbound_priority_frames_flood: c("inbound_priority_frames_flood"),
      inbound_window_update_frames_flood: c("inbound_window_update_frames_flood"),
    },
  };
}
