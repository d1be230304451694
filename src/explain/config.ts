// What an explanation is asked of: the configuration of one proxy as its workers would get it, and what is known about where it came from.
import type { NameTable } from "../dns/name-table.ts";
import type { Node } from "../envoy/bootstrap.ts";
import type { Cluster } from "../envoy/cluster/cluster.ts";
import type { ClusterLoadAssignment } from "../envoy/cluster/endpoint.ts";
import type { Snapshot } from "../snapshot/snapshot.ts";
import type { MeshKnowledge } from "./knowledge.ts";

/** One proxy. */
export interface ExplainConfig {
  /** How the proxy is called in the output. */
  readonly name: string;
  readonly snapshot: Snapshot;
  /** The proxy's own addresses, the main one first; empty when nothing says. */
  readonly addresses: readonly string[];
  /** What its DNS answers from; undefined: it answers none, and its clients come by address. */
  readonly names: NameTable | undefined;
  /** Undefined for a bootstrap and for a running proxy: then only resources speak, not the objects they came from. */
  readonly mesh: MeshKnowledge | undefined;
  readonly router: boolean;
  /** Why the last attempt of a running proxy to connect to an endpoint failed; undefined when it did not, or nobody knows. */
  readonly lastFailure?: (cluster: string, address: string) => string | undefined;
}

/** The addresses a node says it has. */
export function addressesOf({ id, metadata }: Node): readonly string[] {
  const listed = metadata["INSTANCE_IPS"];
  if (typeof listed === "string" && listed !== "") return listed.split(",").map((ip) => ip.trim());
  const [, address = ""] = id.split("~");
  return address === "" ? [] : [address];
}

/** Whether the client is the workload beside the proxy. Who calls a gateway, or listeners of a bootstrap, is not part of a question. */
export function knowsClient({ mesh, router }: ExplainConfig): boolean {
  return mesh !== undefined && !router;
}

/** The endpoints of a cluster, wherever they stand. */
export function assignmentOf({ snapshot }: ExplainConfig, cluster: Cluster): ClusterLoadAssignment | undefined {
  return cluster.type === "EDS" ? snapshot.endpoints.get(cluster.edsServiceName)?.value : cluster.loadAssignment;
}
