// References between objects that lead nowhere. Each is a warning: what is missing may still come.
import type { LocatedIssue } from "../../yaml-document.ts";
import { checkAliases } from "./check-aliases.ts";
import type { MeshView } from "../mesh-view.ts";
import type { ObjectMeta } from "../object/mesh-object.ts";
import type { FieldPath } from "../object/fields.ts";

/** Every dangling reference of the mesh. */
export function checkReferences(mesh: MeshView, networksFile: string): readonly LocatedIssue[] {
  const issues: LocatedIssue[] = [];
  const warn = (meta: ObjectMeta, path: FieldPath, message: string): void => {
    issues.push({ severity: "warning", ...meta.source, path, message });
  };
  for (const cluster of mesh.clusters) {
    const services = new Set(cluster.services.map(({ meta }) => `${meta.namespace}/${meta.name}`));
    const pods = new Set(cluster.pods.map(({ meta }) => `${meta.namespace}/${meta.name}`));
    for (const { meta, spec } of cluster.endpointSlices) {
      if (!services.has(`${meta.namespace}/${spec.serviceName}`))
        warn(meta, ["metadata"], `belongs to Service ${meta.namespace}/${spec.serviceName}, which is not there`);
      if (spec.byName) warn(meta, ["addressType"], "is FQDN: endpoints given by host name are left out, as in Istio");
      spec.endpoints.forEach((endpoint, index) => {
        if (endpoint.podName === "" || pods.has(`${endpoint.podNamespace}/${endpoint.podName}`)) return;
        warn(
          meta,
          ["endpoints", index, "targetRef"],
          `names Pod ${endpoint.podNamespace}/${endpoint.podName}, which is not there: the endpoint is left out`,
        );
      });
    }
  }
  issues.push(...checkAliases(mesh));
  const gateways = new Set(mesh.gateways.map(({ meta }) => `${meta.namespace}/${meta.name}`));
  for (const { meta, spec } of mesh.virtualServices) {
    spec.gateways.forEach((name, index) => {
      const full = name.includes("/") ? name : `${meta.namespace}/${name}`;
      if (name !== "mesh" && !gateways.has(full)) warn(meta, ["spec", "gateways", index], `names Gateway ${full}, which is not there`);
    });
  }
  const clusters = new Set(mesh.clusters.map((cluster) => cluster.name));
  const hostnames = new Set(
    mesh.clusters.flatMap((cluster) => cluster.services.map(({ meta }) => `${meta.name}.${meta.namespace}.svc.cluster.local`)),
  );
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
      if (registryServiceName === "" || hostnames.has(registryServiceName)) continue;
      issues.push({
        ...atNetworks,
        path: ["networks", name, "gateways"],
        message: `names service ${registryServiceName}, which is not there`,
      });
    }
  }
  return issues;
}
