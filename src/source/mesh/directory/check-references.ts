// References between objects that lead nowhere. Each is a warning: what is missing may still come.
import type { LocatedIssue } from "../../yaml-document.ts";
import { checkAliases } from "./check-aliases.ts";
import type { MeshView } from "../mesh-view.ts";
import type { ObjectMeta } from "../object/mesh-object.ts";
import type { FieldPath } from "../object/fields.ts";
import { Kept } from "../object/kept.ts";
import type { KubernetesCluster } from "../registry/kubernetes-objects.ts";

type Said = readonly [meta: ObjectMeta, path: FieldPath, message: string];
type Warn = (...said: Said) => void;

// Where an object stands may change while the cluster stays the same, so what is kept is what is to be said of it, not where.
const danglingSlices = new Kept<KubernetesCluster, readonly Said[]>();

function checkSlices(cluster: KubernetesCluster): readonly Said[] {
  const said: Said[] = [];
  const services = new Set(cluster.services.map(({ meta }) => `${meta.namespace}/${meta.name}`));
  const pods = new Set(cluster.pods.map(({ meta }) => `${meta.namespace}/${meta.name}`));
  for (const { meta, spec } of cluster.endpointSlices) {
    const service = `${meta.namespace}/${spec.serviceName}`;
    if (!services.has(service)) said.push([meta, ["metadata"], `belongs to Service ${service}, which is not there`]);
    if (spec.byName) said.push([meta, ["addressType"], "is FQDN: endpoints given by host name are left out, as in Istio"]);
    spec.endpoints.forEach(({ podName, podNamespace }, index) => {
      if (podName === "" || pods.has(`${podNamespace}/${podName}`)) return;
      const message = `names Pod ${podNamespace}/${podName}, which is not there: the endpoint is left out`;
      said.push([meta, ["endpoints", index, "targetRef"], message]);
    });
  }
  return said;
}

/** Every dangling reference of the mesh. */
export function checkReferences(mesh: MeshView, networksFile: string): readonly LocatedIssue[] {
  const issues: LocatedIssue[] = [];
  const warn: Warn = (meta, path, message) => {
    issues.push({ severity: "warning", ...meta.source, path, message });
  };
  for (const cluster of mesh.clusters) for (const said of danglingSlices.get(cluster, [], () => checkSlices(cluster))) warn(...said);
  issues.push(...checkAliases(mesh));
  const gateways = new Set(mesh.gateways.map(({ meta }) => `${meta.namespace}/${meta.name}`));
  for (const { meta, spec } of mesh.virtualServices) {
    spec.gateways.forEach((name, index) => {
      const full = name.includes("/") ? name : `${meta.namespace}/${name}`;
      if (name !== "mesh" && !gateways.has(full)) warn(meta, ["spec", "gateways", index], `names Gateway ${full}, which is not there`);
    });
  }
  const clusters = new Set(mesh.clusters.map((cluster) => cluster.name));
  const isThere = (hostname: string): boolean =>
    mesh.clusters.some((cluster) => cluster.services.some(({ meta }) => `${meta.name}.${meta.namespace}.svc.cluster.local` === hostname));
  const atNetworks = { severity: "warning", file: networksFile, line: 1, column: 1 } as const;
  for (const [name, network] of mesh.networks) {
    for (const registry of network.fromRegistry) {
      if (clusters.has(registry)) continue;
      issues.push({
        ...atNetworks,
        path: ["networks", name, "endpoints"],
        message: `names cluster ${registry}, which has no file under k8s/`,
      });
    }
    for (const { registryServiceName } of network.gateways) {
      if (registryServiceName === "" || isThere(registryServiceName)) continue;
      issues.push({
        ...atNetworks,
        path: ["networks", name, "gateways"],
        message: `names service ${registryServiceName}, which is not there`,
      });
    }
  }
  return issues;
}
