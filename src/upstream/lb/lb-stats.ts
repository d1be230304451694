// Envoy's stats of choosing hosts, below `cluster.NAME`. Made when the first of a kind is due: most clusters have neither zones
// nor subsets, and never panic.
import type { Counter, StatsScope } from "../../telemetry/stats.ts";

/** Zone-aware routing. */
export interface ZoneStats {
  readonly recalculated: Counter;
  readonly tooSmall: Counter;
  readonly localClusterNotOk: Counter;
  readonly allDirectly: Counter;
  readonly sampled: Counter;
  readonly crossZone: Counter;
  readonly noCapacityLeft: Counter;
}

/** Makes the `lb_zone_*` counters and their like. */
export function createZoneStats(scope: StatsScope): ZoneStats {
  return {
    recalculated: scope.counter("lb_recalculate_zone_structures"),
    tooSmall: scope.counter("lb_zone_cluster_too_small"),
    localClusterNotOk: scope.counter("lb_local_cluster_not_ok"),
    allDirectly: scope.counter("lb_zone_routing_all_directly"),
    sampled: scope.counter("lb_zone_routing_sampled"),
    crossZone: scope.counter("lb_zone_routing_cross_zone"),
    noCapacityLeft: scope.counter("lb_zone_no_capacity_left"),
  };
}

/** Picks from subsets. */
export interface SubsetStats {
  readonly selected: Counter;
  readonly fallback: Counter;
  readonly fallbackPanic: Counter;
}

/** Makes the `lb_subsets_*` counters. */
export function createSubsetStats(scope: StatsScope): SubsetStats {
  return {
    selected: scope.counter("lb_subsets_selected"),
    fallback: scope.counter("lb_subsets_fallback"),
    fallbackPanic: scope.counter("lb_subsets_fallback_panic"),
  };
}
