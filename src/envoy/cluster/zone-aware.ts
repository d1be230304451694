// Envoy's zone-aware routing as configured, in the old form of a cluster and in that of the load-balancing policies.
import type { Decoder } from "../decode/cursor.ts";
import { type Fields, message } from "../decode/message.ts";
import { bool, enumeration, int64, uint32 } from "../decode/scalars.ts";
import { decodePercent } from "../percent.ts";
import type { Locality } from "./endpoint.ts";

/** ZoneAwareLbConfig. In force only with a local cluster, and then also for clusters that do not have it. */
export interface ZoneAware {
  /** routing_enabled, in whole percent of the picks; default 100. */
  readonly routingPercent: number;
  /** Fewer healthy hosts than this are chosen from without regard to zones; default 6. */
  readonly minClusterSize: number;
  /** fail_traffic_on_panic: too few healthy hosts means none, in place of all. */
  readonly failTrafficOnPanic: boolean;
  /** force_local_zone: with so many healthy hosts in the own zone all picks stay there; absent = by capacity alone. */
  readonly forceLocalMinSize?: number;
  /** locality_basis HEALTHY_HOSTS_WEIGHT: zones are as large as their hosts' weights, in place of their number. */
  readonly byWeight?: true;
}

/** Where this proxy is, and which cluster is made of proxies like it (`cluster_manager.local_cluster_name`). */
export interface LocalZone {
  readonly cluster: string;
  readonly locality: Locality;
}

/** What Envoy goes by where nothing is configured. */
export const defaultZoneAware: ZoneAware = { routingPercent: 100, minClusterSize: 6, failTrafficOnPanic: false };

function common(m: Fields): ZoneAware {
  return {
    routingPercent: Math.round(m.field("routing_enabled", decodePercent, defaultZoneAware.routingPercent)),
    minClusterSize: m.field("min_cluster_size", int64, defaultZoneAware.minClusterSize),
    failTrafficOnPanic: m.field("fail_traffic_on_panic", bool, false),
  };
}

/** Cluster.CommonLbConfig.ZoneAwareLbConfig. */
export const decodeOldZoneAware: Decoder<ZoneAware> = message("envoy.config.cluster.v3.Cluster.CommonLbConfig.ZoneAwareLbConfig", common);

const basis = enumeration({ HEALTHY_HOSTS_NUM: 0, HEALTHY_HOSTS_WEIGHT: 1 });
const decodeForceLocal = message(
  "envoy.extensions.load_balancing_policies.common.v3.LocalityLbConfig.ZoneAwareLbConfig.ForceLocalZone",
  (m) => m.field("min_size", uint32, 1),
);

/** load_balancing_policies.common.v3.LocalityLbConfig.ZoneAwareLbConfig. */
export const decodeZoneAware: Decoder<ZoneAware> = message(
  "envoy.extensions.load_balancing_policies.common.v3.LocalityLbConfig.ZoneAwareLbConfig",
  (m) => {
    // The older name of force_local_zone, which comes first where both are given.
    const forced = m.field("force_locality_direct_routing", bool, false) ? 1 : undefined;
    const forceLocalMinSize = m.field("force_local_zone", decodeForceLocal, forced);
    return {
      ...common(m),
      ...(forceLocalMinSize === undefined ? {} : { forceLocalMinSize }),
      ...(m.field("locality_basis", basis, "HEALTHY_HOSTS_NUM") === "HEALTHY_HOSTS_WEIGHT" ? { byWeight: true } : {}),
    };
  },
);
