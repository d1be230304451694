// LocalityLoadBalancerSetting: how traffic prefers near endpoints. It stands in a DestinationRule and in MeshConfig.
import type { Fields } from "../object/fields.ts";

/** LocalityLoadBalancerSetting; the lists are empty where nothing is given. */
export interface LocalitySetting {
  /** Default true; false switches locality off, that of MeshConfig included. */
  readonly enabled: boolean;
  /** Weights (percent) of endpoint localities, by the caller's locality; `*` and missing parts match everything. */
  readonly distribute: readonly { readonly from: string; readonly to: ReadonlyMap<string, number> }[];
  /** The region that is next when the caller's own has failed. */
  readonly failover: readonly { readonly from: string; readonly to: string }[];
  /** Labels that caller and endpoint should share, the most important first; `name=value` asks for a value of its own. */
  readonly failoverPriority: readonly string[];
}

const wholeWeight = 100;
const topologyLabels: ReadonlySet<string> = new Set([
  "topology.kubernetes.io/region",
  "topology.kubernetes.io/zone",
  "topology.istio.io/subzone",
]);

/** Reads `key` of `parent`, with the checks that Istio makes. */
export function readLocalitySetting(parent: Fields, key: string): LocalitySetting | undefined {
  const fields = parent.child(key);
  if (fields === undefined) return undefined;
  const setting: LocalitySetting = {
    enabled: fields.boolean("enabled") ?? true,
    distribute: fields.list("distribute", readDistribute),
    failover: fields.list("failover", readFailover),
    failoverPriority: fields.strings("failoverPriority"),
  };
  if (setting.distribute.length > 0 && setting.failover.length > 0)
    fields.error("failover", "is given beside distribute, expected one of them");
  if (setting.failover.length > 0 && setting.failoverPriority.some((label) => topologyLabels.has(label)))
    fields.error("failoverPriority", "names a topology label beside failover, expected one of them");
  fields.finish();
  return setting;
}

function readDistribute(item: Fields): LocalitySetting["distribute"][number] {
  const to = new Map<string, number>();
  const weights = item.child("to");
  for (const locality of weights === undefined ? [] : Object.keys(item.raw("to") ?? {})) {
    to.set(locality, weights?.integer(locality, { min: 1, max: wholeWeight }) ?? 0);
  }
  const total = [...to.values()].reduce((sum, weight) => sum + weight, 0);
  if (total !== wholeWeight) item.error("to", `has weights that sum to ${total}, expected ${wholeWeight}`);
  const distribute = { from: item.string("from") ?? "", to };
  item.finish();
  return distribute;
}

function readFailover(item: Fields): LocalitySetting["failover"][number] {
  const failover = { from: item.string("from") ?? "", to: item.string("to") ?? "" };
  if (failover.from === failover.to) item.error("to", "is the region of from, expected another one");
  for (const key of ["from", "to"] as const) {
    if (/[/*]/.test(failover[key])) item.error(key, `is "${failover[key]}", expected a region alone`);
  }
  item.finish();
  return failover;
}
