// Istio's stats filter (stats.PluginConfig), which is configured alike as an HTTP and as a network filter.
import type { Decoder } from "../decode/cursor.ts";
import { message } from "../decode/message.ts";
import { bool } from "../decode/scalars.ts";

/** Canonical name of the filter at both levels. */
export const istioStatsExtension = "istio.stats";

/** PluginConfig. */
export interface IstioStatsConfig {
  /** The authority never names the destination service; istiod says so for all but the outbound side of sidecars. */
  readonly disableHostHeaderFallback: boolean;
}

const fields = [
  "debug",
  "max_peer_cache_size",
  "stat_prefix",
  "field_separator",
  "value_separator",
  "disable_host_header_fallback",
  "tcp_reporting_duration",
  "metrics",
  "definitions",
  "reporter",
  "rotation_interval",
  "graceful_deletion_interval",
];

/** PluginConfig. Metrics and labels of one's own are not honoured, which is said. */
export const decodeIstioStats: Decoder<IstioStatsConfig> = message(fields, (m) => {
  m.accept("debug", "max_peer_cache_size", "field_separator", "value_separator");
  return { disableHostHeaderFallback: m.field("disable_host_header_fallback", bool, false) };
});
