// ExternalName services: other names of a service of the mesh. One that leads out of the mesh is left to DNS, as in Istio.
import { Kept } from "../object/kept.ts";
import type { KubernetesCluster } from "./kubernetes-objects.ts";
import { protocolOfPort } from "./protocol.ts";
import { compareText, type ServicePort } from "./service.ts";

/** An ExternalName service. */
export interface ServiceAlias {
  readonly hostname: string;
  readonly name: string;
  readonly namespace: string;
  /** What it stands for, which may be an alias again. */
  readonly externalName: string;
  /** Host name of the mesh's service at the end of the chain; empty when it leads out of the mesh, or in a circle. */
  readonly target: string;
  /** Ports it names itself; Kubernetes gives them no meaning, but routes on these ports know the alias as a service. */
  readonly ports: readonly ServicePort[];
}

/** True when a cluster has an ExternalName service at all; most meshes have none. */
export function hasAliases(clusters: readonly KubernetesCluster[]): boolean {
  return clusters.some(({ services }) => withAliases.get(services, [], () => services.some(({ spec }) => spec.type === "ExternalName")));
}

const withAliases = new Kept<KubernetesCluster["services"], boolean>();

/**
 * Every ExternalName service, sorted by namespace and name; `hostnames` are the services that an alias can lead to. A cluster where
 * the name is a service of its own wins over one where it is an alias.
 */
export function findAliases(clusters: readonly KubernetesCluster[], hostnames: ReadonlySet<string>): readonly ServiceAlias[] {
  const known = new Map<string, Omit<ServiceAlias, "target">>();
  for (const cluster of clusters) {
    for (const { meta, spec } of cluster.services) {
      if (spec.type !== "ExternalName") continue;
      const hostname = `${meta.name}.${meta.namespace}.svc.cluster.local`;
      if (known.has(hostname) || hostnames.has(hostname)) continue;
      const ports = spec.ports.map((port) => ({ name: port.name, port: port.port, protocol: protocolOfPort(port) }));
      known.set(hostname, { hostname, name: meta.name, namespace: meta.namespace, externalName: spec.externalName, ports });
    }
  }
  const targetOf = (to: string): string => {
    const passed = new Set<string>();
    let at = to;
    while (!hostnames.has(at)) {
      const next = known.get(at);
      if (next === undefined || passed.has(at)) return "";
      passed.add(at);
      at = next.externalName;
    }
    return at;
  };
  return [...known.values()]
    .map((alias) => ({ ...alias, target: targetOf(alias.externalName) }))
    .toSorted((a, b) => compareText(a.namespace, b.namespace) || compareText(a.name, b.name));
}
