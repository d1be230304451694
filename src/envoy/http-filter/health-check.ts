// Envoy extensions.filters.http.health_check.v3.HealthCheck: answers health checks of this proxy.
import type { Decoder } from "../decode/cursor.ts";
import { message } from "../decode/message.ts";
import { bool, duration, list, record } from "../decode/scalars.ts";
import { decodePercent } from "../percent.ts";
import { decodeHeaderMatcher, type HeaderMatcher } from "../string-matcher.ts";

/** HealthCheck. */
export interface HealthCheckConfig {
  /** Checks go upstream unless this proxy fails; otherwise they are answered here. */
  readonly passThroughMode: boolean;
  /** How long the last answer of the upstream stands for others, with passThroughMode; 0 = not at all. */
  readonly cacheTimeMs: number;
  /** 0..100 by cluster, all of which must hold; only without passThroughMode. */
  readonly clusterMinHealthyPercentages: readonly { readonly cluster: string; readonly percentage: number }[];
  /** All must match for a request to be a check; empty: every request is one. */
  readonly headers: readonly HeaderMatcher[];
}

/** HealthCheck. */
export const decodeHealthCheckFilter: Decoder<HealthCheckConfig> = message(
  "envoy.extensions.filters.http.health_check.v3.HealthCheck",
  (m) => {
    const passThroughMode = m.required("pass_through_mode", bool);
    const cacheTimeMs = m.field("cache_time", duration, 0);
    const percentages = m.field("cluster_min_healthy_percentages", record(decodePercent), {});
    if (!passThroughMode && cacheTimeMs > 0) m.at.error("must not be given without pass_through_mode", "cache_time");
    if (passThroughMode && Object.keys(percentages).length > 0)
      m.at.error("must not be given with pass_through_mode", "cluster_min_healthy_percentages");
    return {
      passThroughMode,
      cacheTimeMs,
      clusterMinHealthyPercentages: Object.entries(percentages).map(([cluster, percentage]) => ({ cluster, percentage })),
      headers: m.field("headers", list(decodeHeaderMatcher), []),
    };
  },
);
