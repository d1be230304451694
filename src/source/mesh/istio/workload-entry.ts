// networking.istio.io WorkloadEntry: a machine beside the pods, behind Services and ServiceEntries that select its labels.
import { isIP } from "node:net";
import type { Fields } from "../object/fields.ts";
import type { ObjectMeta } from "../object/mesh-object.ts";
import { readWorkloadEndpoint, type WorkloadEndpoint } from "./service-entry.ts";

/** WorkloadEntry.spec; `labels` are those of the spec over those of the object. */
export interface WorkloadEntrySpec extends WorkloadEndpoint {
  /** False while its own health checks, which the annotation asks for, have not said that it is well. */
  readonly healthy: boolean;
}

const healthChecked = "proxy.istio.io/health-checks-enabled";
const nowhere: WorkloadEndpoint = { address: "", ports: new Map(), labels: {}, network: "", locality: "", weight: 0, serviceAccount: "" };

/** Reads a WorkloadEntry. */
export function readWorkloadEntry(root: Fields, meta: ObjectMeta): WorkloadEntrySpec {
  const spec = root.child("spec");
  if (spec === undefined) root.error("spec", "is missing, expected an address");
  const endpoint = spec === undefined ? nowhere : readWorkloadEndpoint(spec);
  if (endpoint.address.startsWith("unix://"))
    spec?.error("address", "is a socket of the machine itself, expected an IP address or a host name");
  else if (endpoint.address === "" && endpoint.network === "") spec?.error("address", "is missing, expected an IP address or a host name");
  const conditions =
    root.child("status")?.list("conditions", (item) => ({ type: item.string("type"), status: item.string("status") })) ?? [];
  const well = conditions.some(({ type, status }) => type === "Healthy" && status === "True");
  return { ...endpoint, labels: { ...meta.labels, ...endpoint.labels }, healthy: well || meta.annotations[healthChecked] !== "true" };
}

/** True when the entry can be an endpoint of a cluster whose endpoints are addresses: one without is behind the gateways of its network. */
export function hasAddress(entry: WorkloadEntrySpec): boolean {
  return isIP(entry.address) !== 0 || (entry.address === "" && entry.network !== "");
}
