// The workers' views of clusters as one: the first worker's hosts with the counts of all.
import type { ClusterDescription, HostDescription } from "../upstream/cluster-description.ts";

const counts = ["cxTotal", "cxActive", "cxConnectFail", "rqActive"] as const;

/** Sums host counts by cluster and address. Hosts that only some workers know (discovery differs for a moment) are the first's. */
export function sumClusters(views: readonly (readonly ClusterDescription[])[]): readonly ClusterDescription[] {
  const [first = [], ...others] = views;
  const known = new Map<string, HostDescription[]>();
  for (const clusters of others) {
    for (const cluster of clusters) {
      for (const host of cluster.hosts) {
        const key = `${cluster.name} ${host.priority} ${host.address}`;
        known.set(key, [...(known.get(key) ?? []), host]);
      }
    }
  }
  return first.map((cluster) => ({
    ...cluster,
    hosts: cluster.hosts.map((host) => {
      const same = known.get(`${cluster.name} ${host.priority} ${host.address}`) ?? [];
      const sums = Object.fromEntries(counts.map((count) => [count, same.reduce((sum, one) => sum + one[count], host[count])]));
      // Each worker judges by what it saw; a host that any of them avoids is worth seeing.
      const failedOutlierCheck = host.failedOutlierCheck || same.some((one) => one.failedOutlierCheck);
      return { ...host, ...sums, failedOutlierCheck };
    }),
  }));
}
