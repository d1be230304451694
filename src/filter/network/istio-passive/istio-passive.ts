// Istio's own network filters that istiod puts into every chain, as filters that let connections pass. Metadata exchange
// prefixes the stream only where ALPN `istio-peer-exchange` was negotiated, and this proxy neither offers nor selects it, so
// no prefix may be sent or expected. The stats filter marks chains that report
// Istio's metrics (listener/istio-metrics.ts); the terminal filters count.
import { istioStatsExtension } from "../../../envoy/http-filter/istio-stats.ts";
import type { NetworkFilterSpec } from "../../filter.ts";

const passing = (extension: string): NetworkFilterSpec => ({
  extension,
  terminal: false,
  create: () => ({ onConnection: () => "continue" }),
});

/** `istio.metadata_exchange`. */
export const istioMetadataExchange = passing("istio.metadata_exchange");

/** `istio.stats` as a network filter. */
export const istioStats = passing(istioStatsExtension);
