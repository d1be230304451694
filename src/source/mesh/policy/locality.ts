// Which locality setting holds for a port of a service, and what of it stands on the cluster.
import type { Json } from "../envoy-json.ts";
import type { PolicySettings } from "../istio/destination-rule.ts";
import type { LocalitySetting } from "../istio/locality-setting.ts";
import type { MeshConfig } from "../mesh-config.ts";
import type { MeshService } from "../registry/service.ts";

/** The locality setting of a port. */
export interface LocalityChoice {
  /** Undefined when locality is switched off. */
  readonly setting: LocalitySetting | undefined;
  /** Failover works only where Envoy learns that endpoints have failed: by outlier detection, or by their readiness. */
  readonly failover: boolean;
}

// Service.spec.trafficDistribution as labels that caller and endpoint should share.
const sameZone = ["topology.istio.io/network", "topology.kubernetes.io/region", "topology.kubernetes.io/zone"];
const distributions: Readonly<Record<Exclude<MeshService["trafficDistribution"], "any">, readonly string[]>> = {
  "same-zone": sameZone,
  "same-node": [...sameZone, "topology.istio.io/subzone", "kubernetes.io/hostname"],
};

/** The DestinationRule's setting before the Service's wish, and both before the mesh's. */
export function chooseLocality(config: MeshConfig, service: MeshService, policy: PolicySettings): LocalityChoice {
  const detected = policy.outlierDetection !== undefined;
  const ofRule = policy.loadBalancer?.locality;
  if (ofRule !== undefined) return { setting: ofRule.enabled ? ofRule : undefined, failover: detected };
  if (service.trafficDistribution !== "any") {
    const failoverPriority = distributions[service.trafficDistribution];
    return { setting: { enabled: true, distribute: [], failover: [], failoverPriority }, failover: true };
  }
  return { setting: config.locality.enabled ? config.locality : undefined, failover: detected };
}

/** `common_lb_config`: weighing localities, and below which share of healthy endpoints all are used again. */
export function commonLbConfig(choice: LocalityChoice, service: MeshService, policy: PolicySettings): Json {
  const { setting, failover } = choice;
  const ordered = failover && setting !== undefined && (setting.failover.length > 0 || setting.failoverPriority.length > 0);
  const weighted = ordered || (setting !== undefined && setting.distribute.length > 0);
  const threshold = panicThreshold(service, policy);
  return {
    ...(service.persistentSessions ? { override_host_status: { statuses: ["HEALTHY", "DRAINING", "UNKNOWN", "DEGRADED"] } } : {}),
    ...(threshold === undefined ? {} : { healthy_panic_threshold: threshold === 0 ? {} : { value: threshold } }),
    ...(weighted ? { locality_weighted_lb_config: {} } : {}),
  };
}

/** Percent; undefined leaves Envoy's own. Endpoints known to be unready are never to be used, so for those there is no panic. */
function panicThreshold(service: MeshService, policy: PolicySettings): number | undefined {
  if (service.trafficDistribution !== "any") return 0;
  return policy.outlierDetection?.minHealthPercent;
}
