// The counters of gRPC calls below `cluster.NAME.grpc`, by service and method where the configuration asks for that.
import type { GrpcStatsConfig } from "../../../envoy/http-filter/grpc-stats.ts";
import type { Counter, Histogram, StatsScope } from "../../../telemetry/stats.ts";
import type { UpstreamCluster } from "../../../upstream/cluster.ts";
import { clusterScope } from "../../../upstream/cluster-stats.ts";

/** The instruments of one cluster, or of one method of it. */
export interface GrpcSeries {
  readonly requestMessages: Counter;
  readonly responseMessages: Counter;
  /** Counts a call by its `grpc-status`. */
  ended(status: string): void;
  /** Records the time the upstream took, in milliseconds. */
  upstreamTime(ms: number): void;
}

/** Methods that get counters of their own, by worker and filter: paths are the clients', and memory is not. */
export const maxMethods = 2000;

/** Finds the series of a call; undefined for a path that names no method, which is not counted. */
export function createGrpcSeries(
  config: GrpcStatsConfig,
  stats: StatsScope,
): (cluster: UpstreamCluster, path: string) => GrpcSeries | undefined {
  const found = new WeakMap<UpstreamCluster, Map<string, GrpcSeries>>();
  const { methods } = config;
  const listed = methods === "all" ? undefined : new Set(methods.map(({ service, method }) => `${service}/${method}`));
  let made = 0;
  return (cluster, path) => {
    const name = methodOf(path);
    if (name === undefined) return undefined;
    let ofCluster = found.get(cluster);
    if (ofCluster === undefined) found.set(cluster, (ofCluster = new Map()));
    const apart = listed === undefined ? ofCluster.has(name) || made < maxMethods : listed.has(name);
    const key = apart ? name : "";
    let series = ofCluster.get(key);
    if (series === undefined) {
      if (apart) made++;
      const scope = clusterScope(stats, cluster.name, cluster.model.altStatName).scope("grpc");
      series = createSeries(apart ? scope.scope(statName(name, config)) : scope);
      ofCluster.set(key, series);
    }
    return series;
  };
}

// `/SERVICE/METHOD`, two parts and neither empty; a query is no part of it.
function methodOf(path: string): string | undefined {
  const mark = path.indexOf("?");
  const end = mark < 0 ? path.length : mark;
  const slash = path.indexOf("/", 1);
  if (slash <= 1 || slash >= end - 1) return undefined;
  const second = path.indexOf("/", slash + 1);
  return second >= 0 && second < end ? undefined : path.slice(1, end);
}

function statName(name: string, config: GrpcStatsConfig): string {
  const slash = name.indexOf("/");
  const service = name.slice(0, slash);
  return `${config.methods === "all" && config.replaceDots ? service.replaceAll(".", "_") : service}.${name.slice(slash + 1)}`;
}

// A number that may be a status. What else a server says is a failure without a name of its own.
const numeric = /^\d{1,3}$/;

function createSeries(scope: StatsScope): GrpcSeries {
  const total = scope.counter("total");
  const success = scope.counter("success");
  const failure = scope.counter("failure");
  let time: Histogram | undefined;
  return {
    requestMessages: scope.counter("request_message_count"),
    responseMessages: scope.counter("response_message_count"),
    ended: (status) => {
      total.inc();
      (status === "0" ? success : failure).inc();
      if (numeric.test(status)) scope.counter(status).inc();
    },
    upstreamTime: (ms) => (time ??= scope.histogram("upstream_rq_time")).record(ms),
  };
}
