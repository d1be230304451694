// Hosts that are a network's gateway: each stands for every workload behind it. One that is ejected for the failures of some of
// them takes the healthy ones away too, so the last of a priority stays in balancing.
import type { Metadata } from "../../envoy/address.ts";
import type { Watched } from "./detector.ts";

/** True for an endpoint that istiod, and the mesh translation, put in the place of a network: its workload has a cluster but no name. */
export function isNetworkGateway(metadata: Metadata): boolean {
  const workload = metadata["istio"]?.["workload"];
  return typeof workload === "string" && /^;;;;[^;]*$/.test(workload);
}

/**
 * True when taking `gateway` out would leave its priority without a usable host. One that cannot be reached at all may go as long
 * as another priority can serve, or failover would end at a network that is down.
 */
export function isLastWay(gateway: Watched, hosts: readonly Watched[]): boolean {
  const others = hosts.filter((host) => host !== gateway && host.healthy);
  if (others.some((host) => host.priority === gateway.priority)) return false;
  return gateway.outlier?.reachable !== false || others.length === 0;
}
