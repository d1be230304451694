// WorkloadEntries as endpoints of the services that select them. Like every resource of Istio they belong to the config cluster.
import type { WorkloadEntrySpec } from "../istio/workload-entry.ts";
import type { MeshObject } from "../object/mesh-object.ts";
import type { Networks } from "./networks.ts";
import { labelsMatch, type MeshEndpoint } from "./service.ts";
import { workloadEndpoint } from "./workload-endpoint.ts";

/** A WorkloadEntry. */
export type WorkloadEntry = MeshObject<WorkloadEntrySpec>;

/** The entries of a namespace that a selector picks, without those that are not well; an empty selector picks none. */
export function selectEntries(
  entries: readonly WorkloadEntry[],
  namespace: string,
  selector: Readonly<Record<string, string>>,
): readonly WorkloadEntry[] {
  if (Object.keys(selector).length === 0) return [];
  return entries.filter(({ meta, spec }) => meta.namespace === namespace && spec.healthy && labelsMatch(selector, spec.labels));
}

/** One entry behind one port of a service. */
export function entryEndpoint(
  { meta, spec }: WorkloadEntry,
  port: { readonly name: string; readonly number: number },
  cluster: string,
  networks: Networks,
): MeshEndpoint {
  const network = spec.network === "" ? networks.networkOf("", spec.address, {}) : spec.network;
  return workloadEndpoint(spec, port, { cluster, network }, meta);
}
