// Istio's metrics of one filter chain. A finished request costs a look-up for each thing that varies (cluster, principal, workload,
// status), by strings that exist already, and four increments; labels are made once a series.
import type { Metadata } from "../../envoy/address.ts";
import { grpcStatusNumber, isGrpcRequest } from "../format/grpc-status.ts";
import type { StreamInfo } from "../stream-info.ts";
import {
  authorityLabel,
  connectionLabels,
  endpointWorkload,
  type Labels,
  peerTls,
  principalOf,
  requestLabels,
  type ReporterContext,
} from "./labels.ts";
import type { ConnectionSeries, FindSeries, IstioSeries, RequestSeries } from "./series.ts";

/** Records what one filter chain carries. */
export interface IstioRecorder {
  /** A request has ended. */
  request(info: StreamInfo): void;
  /** A connection's peer is known, or it ends without one: counts it as opened and gives where the rest is counted. */
  connection(info: StreamInfo): ConnectionSeries;
}

/** Makes a recorder. */
export function createIstioRecorder(series: IstioSeries, context: ReporterContext): IstioRecorder {
  const requests = new SeriesCache(context, series.requests, requestLabels);
  const connections = new SeriesCache(context, series.connections, connectionLabels);
  return {
    request: (info) => {
      const { total, durationMs, requestBytes, responseBytes, messages }: RequestSeries = requests.find(info, requestStatus(info));
      total.inc();
      durationMs.record(info.endMs - info.startMs);
      requestBytes.record(info.bytesReceived);
      responseBytes.record(info.bytesSent);
      if (info.grpcMessages !== undefined && messages !== undefined) {
        messages.request.add(info.grpcMessages.request.total);
        messages.response.add(info.grpcMessages.response.total);
      }
    },
    connection: (info) => {
      const found = connections.find(info, info.flags);
      found.opened.inc();
      return found;
    },
  };
}

/** What is told of a request's end: mostly a number that is at hand. */
function requestStatus(info: StreamInfo): number | string {
  const grpc = isGrpcRequest(info);
  if (info.flags === 0 && !grpc) return info.responseCode;
  return `${info.responseCode} ${info.flags} ${grpc ? (grpcStatusNumber(info) ?? "none") : ""}`;
}

interface OfCluster<S> {
  readonly metadata: Metadata | undefined;
  readonly byPrincipal: Map<string, OfPrincipal<S>>;
}

interface OfPrincipal<S> {
  /** This side's own identity at that connection. */
  readonly local: string;
  readonly byWorkload: Map<string, Map<number | string, S>>;
}

// Clusters come and go for as long as the proxy runs; those that are used are found again at once.
const maxCached = 4_000;

class SeriesCache<S> {
  readonly #context: ReporterContext;
  readonly #findSeries: FindSeries<S>;
  readonly #labels: (info: StreamInfo, context: ReporterContext) => Labels;
  readonly #byCluster = new Map<string, OfCluster<S>>();
  #cached = 0;

  constructor(context: ReporterContext, findSeries: FindSeries<S>, labels: (info: StreamInfo, context: ReporterContext) => Labels) {
    this.#context = context;
    this.#findSeries = findSeries;
    this.#labels = labels;
  }

  find(info: StreamInfo, status: number | string): S {
    const { reporter, clusterMetadata } = this.#context;
    // A route that answers by itself has no cluster, and one of them a name of its own in the labels.
    const cluster = info.upstreamCluster || info.routeName;
    const metadata = clusterMetadata(info.upstreamCluster);
    const tls = peerTls(info, reporter);
    const principal = principalOf(tls);
    const local = tls?.localUriSan ?? "";
    const workload = this.#destination(info, metadata);
    const ofCluster = this.#byCluster.get(cluster);
    // A change of the cluster may have changed the service behind it.
    const known = ofCluster?.metadata === metadata ? ofCluster : undefined;
    const ofPrincipal = known?.byPrincipal.get(principal);
    const series = ofPrincipal?.local === local ? ofPrincipal.byWorkload.get(workload)?.get(status) : undefined;
    if (series !== undefined) return series;
    const made = this.#findSeries(this.#labels(info, this.#context));
    if (made.own) this.#keep({ cluster, metadata, principal, local, workload, status }, made.series);
    return made.series;
  }

  /** What tells one destination from another behind the same cluster. */
  #destination(info: StreamInfo, metadata: Metadata | undefined): string {
    const { reporter, hostFallback } = this.#context;
    if (reporter === "destination") return "";
    const workload = endpointWorkload(info);
    return hostFallback && metadata?.["istio"]?.["services"] === undefined ? `${workload} ${authorityLabel(info)}` : workload;
  }

  #keep(at: CacheKey, series: S): void {
    if (++this.#cached > maxCached) {
      this.#byCluster.clear();
      this.#cached = 1;
    }
    let ofCluster = this.#byCluster.get(at.cluster);
    if (ofCluster === undefined || ofCluster.metadata !== at.metadata)
      this.#byCluster.set(at.cluster, (ofCluster = { metadata: at.metadata, byPrincipal: new Map() }));
    let ofPrincipal = ofCluster.byPrincipal.get(at.principal);
    if (ofPrincipal?.local !== at.local)
      ofCluster.byPrincipal.set(at.principal, (ofPrincipal = { local: at.local, byWorkload: new Map() }));
    let byStatus = ofPrincipal.byWorkload.get(at.workload);
    if (byStatus === undefined) ofPrincipal.byWorkload.set(at.workload, (byStatus = new Map()));
    byStatus.set(at.status, series);
  }
}

interface CacheKey {
  readonly cluster: string;
  readonly metadata: Metadata | undefined;
  readonly principal: string;
  readonly local: string;
  readonly workload: string;
  readonly status: number | string;
}
