// Services that never leave their cluster: MeshConfig's serviceSettings over Istio's built-in list, the most specific host wins.
import { bySpecificity, hostCovers } from "../istio/host-name.ts";
import type { MeshConfig } from "../mesh-config.ts";

/** True when a service's endpoints in other clusters are out of reach. */
export type ClusterLocalTest = (hostname: string) => boolean;

/** Compiles the rules. */
export function compileClusterLocal(config: MeshConfig): ClusterLocalTest {
  const rules = new Map<string, boolean>([
    ["*.kube-system.svc.cluster.local", true],
    ["kubernetes.default.svc.cluster.local", true],
  ]);
  for (const rule of config.clusterLocal) for (const host of rule.hosts) rules.set(host, rule.clusterLocal);
  const ordered = [...rules].toSorted(([a], [b]) => bySpecificity(a, b));
  return (hostname) => ordered.find(([host]) => hostCovers(host, hostname))?.[1] ?? false;
}
