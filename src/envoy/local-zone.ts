// What a bootstrap's local cluster means for its clusters: each knows where this proxy is and which cluster is made of its like.
import type { Cluster } from "./cluster/cluster.ts";
import type { Locality } from "./cluster/endpoint.ts";
import { defaultZoneAware, type ZoneAware } from "./cluster/zone-aware.ts";
import { describe } from "./decode/cursor.ts";
import type { Fields } from "./decode/message.ts";

type RuntimeValues = Readonly<Record<string, unknown>>;

/**
 * The clusters with the zone added.
 * @param localCluster cluster_manager.local_cluster_name; empty = none, and everything stays as it is
 */
export function withLocalZone(
  clusters: readonly Cluster[],
  localCluster: string,
  locality: Locality,
  runtime: RuntimeValues,
  m: Fields,
): readonly Cluster[] {
  if (localCluster === "") return clusters;
  const local = clusters.find(({ name }) => name === localCluster);
  const problem = local === undefined ? `there is no cluster ${localCluster}` : problemOf(local);
  if (problem !== undefined) m.at.error(problem, "cluster_manager", "local_cluster_name");
  const overrides = zoneOverrides(runtime, m);
  const localZone = { cluster: localCluster, locality };
  return clusters.map((cluster) => ({ ...cluster, localZone, zoneAware: { ...defaultZoneAware, ...cluster.zoneAware, ...overrides } }));
}

// Envoy could not say which of the priorities its own traffic comes from.
function problemOf({ name, loadAssignment }: Cluster): string | undefined {
  const deeper = loadAssignment?.endpoints.some(({ priority }) => priority > 0) === true;
  return deeper ? `${name} has endpoints of a priority other than 0` : undefined;
}

// Runtime values come before what clusters say.
function zoneOverrides(runtime: RuntimeValues, m: Fields): Partial<ZoneAware> {
  const read = (key: string, highest: number): number | undefined => {
    const value = runtime[`upstream.zone_routing.${key}`];
    if (value === undefined || (typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= highest)) return value;
    m.at.error(`upstream.zone_routing.${key}: expected a whole number from 0 to ${highest}, got ${describe(value)}`, "layered_runtime");
    return undefined;
  };
  const routingPercent = read("enabled", 100);
  const minClusterSize = read("min_cluster_size", Number.MAX_SAFE_INTEGER);
  const forceLocalMinSize = read("force_local_zone.min_size", 0xffff_ffff);
  return {
    ...(routingPercent === undefined ? {} : { routingPercent }),
    ...(minClusterSize === undefined ? {} : { minClusterSize }),
    ...(forceLocalMinSize === undefined || forceLocalMinSize === 0 ? {} : { forceLocalMinSize }),
  };
}
