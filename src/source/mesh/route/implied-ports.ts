// A destination without a port means the port that was called. So a VirtualService of a service with two ports leads from each of
// them to the same port of the destination, whether it has that or not; istiod sends such routes, and Envoy answers 503 NC.
import type { Json } from "../envoy-json.ts";

const serviceCluster = /^outbound\|\d+\|(.*)$/;
const subsetAndHost = (cluster: unknown): string | undefined => serviceCluster.exec(String(cluster))?.[1];

/** Tells the clusters that are missing only because their service has no such port, given those that there are. */
export function impliedPorts(clusters: readonly Json[]): (cluster: string) => boolean {
  // Mostly nothing is missing, and nobody asks.
  let found: ReadonlySet<string | undefined> | undefined;
  return (cluster) => {
    const wanted = subsetAndHost(cluster);
    if (wanted === undefined) return false;
    found ??= new Set(clusters.map(({ name }) => subsetAndHost(name)));
    return found.has(wanted);
  };
}
