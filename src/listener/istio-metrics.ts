// Which filter chains report Istio's metrics, and as whom: all of a mesh's, and those of a bootstrap that have Istio's stats filter.
import { type IstioStatsConfig, istioStatsExtension } from "../envoy/http-filter/istio-stats.ts";
import type { HttpConnectionManagerConfig } from "../envoy/listener/http-connection-manager.ts";
import type { FilterChain, FilterConfig, Listener } from "../envoy/listener/listener.ts";
import { createIstioRecorder, type IstioRecorder } from "../telemetry/istio/recorder.ts";
import { IstioSeries } from "../telemetry/istio/series.ts";
import { unknownWorkload, type Workload } from "../telemetry/istio/workload.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { StatsScope } from "../telemetry/stats.ts";
import type { ClusterLookup } from "../upstream/cluster.ts";

/** Who reports; plain data that may cross threads. */
export interface IstioMetricsSettings {
  readonly own: Workload;
  /** Every chain reports; false: those with the filter. */
  readonly everywhere: boolean;
  /** The proxy is a gateway: what its clients call a host is no name of a service. */
  readonly gateway: boolean;
}

/** Istio's metrics of one worker. */
export class IstioMetrics {
  readonly #series: IstioSeries;
  readonly #clusters: ClusterLookup;
  #settings: IstioMetricsSettings = { own: unknownWorkload, everywhere: false, gateway: false };

  constructor(deps: { readonly stats: StatsScope; readonly logger: Logger; readonly clusters: ClusterLookup }) {
    this.#series = new IstioSeries(deps.stats, deps.logger);
    this.#clusters = deps.clusters;
  }

  /** Says who reports; for recorders made from now on. */
  configure(settings: IstioMetricsSettings): void {
    this.#settings = settings;
  }

  /** The recorder of a chain; undefined when it reports nothing. */
  recorderOf(chain: FilterChain, { trafficDirection }: Pick<Listener, "trafficDirection">): IstioRecorder | undefined {
    const { own, everywhere, gateway } = this.#settings;
    const filter = statsFilter(chain.filters);
    if (filter === undefined && !everywhere) return undefined;
    const reporter = trafficDirection === "INBOUND" ? "destination" : "source";
    const hostFallback = filter ? !filter.disableHostHeaderFallback : reporter === "source" && !gateway;
    return createIstioRecorder(this.#series, {
      reporter,
      own,
      hostFallback,
      clusterMetadata: (cluster) => this.#clusters.get(cluster)?.model.metadata,
    });
  }
}

/** The configuration of Istio's stats filter, at whichever level it is. */
function statsFilter(filters: readonly FilterConfig[]): IstioStatsConfig | undefined {
  for (const { extension, config } of filters) {
    if (extension === istioStatsExtension) return config as IstioStatsConfig;
    const inner = extension === "envoy.filters.network.http_connection_manager" ? (config as HttpConnectionManagerConfig).httpFilters : [];
    const found = inner.find((filter) => filter.extension === istioStatsExtension && !filter.disabled);
    if (found) return found.config as IstioStatsConfig;
  }
  return undefined;
}
