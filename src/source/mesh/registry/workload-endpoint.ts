// A machine's addresses and ports as written by hand, in a WorkloadEntry or among a ServiceEntry's endpoints, as an endpoint.
import type { ServiceEntrySpec, WorkloadEndpoint } from "../istio/service-entry.ts";
import type { MeshEndpoint } from "./service.ts";
import { parseLocality, withTopology } from "./topology-labels.ts";

/** The port of `workload` behind a port of a ServiceEntry: its own by that name, else the port's target, else the same number. */
export function workloadPort(workload: WorkloadEndpoint, port: ServiceEntrySpec["ports"][number]): number {
  return workload.ports.get(port.name) ?? (port.targetPort === 0 ? port.number : port.targetPort);
}

/** One workload behind one port; namespace and name are empty for one that is no object of its own. */
export function workloadEndpoint(
  workload: WorkloadEndpoint,
  port: { readonly name: string; readonly number: number },
  place: { readonly cluster: string; readonly network: string },
  owner: { readonly namespace: string; readonly name: string } = { namespace: "", name: "" },
): MeshEndpoint {
  const { address, weight, labels, serviceAccount } = workload;
  const { cluster, network } = place;
  const locality = parseLocality(workload.locality);
  return {
    address,
    moreAddresses: [],
    portName: port.name,
    port: port.number,
    cluster,
    network,
    locality,
    weight,
    // A workload with a service account has an identity to show, so it takes mTLS unless its label says otherwise.
    mutualTls: (labels["security.istio.io/tlsMode"] ?? (serviceAccount === "" ? "" : "istio")) === "istio",
    nodeName: "",
    ready: undefined,
    draining: false,
    labels: withTopology(labels, { cluster, network, node: "", locality }),
    serviceAccount,
    namespace: owner.namespace,
    workloadName: owner.name,
    hostname: "",
    subdomain: "",
  };
}
