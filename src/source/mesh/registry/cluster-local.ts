// Services that never leave their cluster: MeshConfig's serviceSettings beside Istio's own list, the most specific host wins.
import { bySpecificity, hostCovers } from "../istio/host-name.ts";
import type { MeshConfig } from "../mesh-config.ts";

/** True when a service's endpoints in other clusters are out of reach. */
export type ClusterLocalTest = (hostname: string) => boolean;

const domain = ".cluster.local";

/** Compiles the rules. */
export function compileClusterLocal(config: MeshConfig): ClusterLocalTest {
  const rules = new Map<string, boolean>();
  for (const rule of config.clusterLocal) for (const host of rule.hosts) rules.set(host, rule.clusterLocal);
  const taken = config.clusterLocal.flatMap((rule) => (rule.clusterLocal ? [] : rule.hosts));
  for (const host of builtIn(config)) {
    // Opening one service of a namespace on this list opens the whole namespace, as in Istio.
    const lifted = taken.some((each) => each === host || (host.startsWith("*") && each.endsWith(host.slice(1))));
    if (!lifted) rules.set(host, true);
  }
  const ordered = [...rules].toSorted(([a], [b]) => bySpecificity(a, b));
  return (hostname) => ordered.find(([host]) => hostCovers(host, hostname))?.[1] ?? false;
}

/** What belongs to one cluster by its nature: Kubernetes itself, and the control plane that the cluster's proxies use. */
function builtIn(config: MeshConfig): readonly string[] {
  const controlPlane = config.discoveryAddress.replace(/:\d+$/, "");
  return [
    "*.kube-system.svc.cluster.local",
    "kubernetes.default.svc.cluster.local",
    controlPlane.endsWith(domain) ? controlPlane : `${controlPlane}${domain}`,
  ];
}
