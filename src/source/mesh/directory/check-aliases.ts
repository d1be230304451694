// ExternalName services that lead nowhere, and rules that name one and so do nothing.
import { resolveHost } from "../istio/host-name.ts";
import type { MeshView } from "../mesh-view.ts";
import { findAliases, hasAliases } from "../registry/aliases.ts";
import type { ObjectIssue } from "./object-issue.ts";

const domain = ".svc.cluster.local";

/** A warning for each; an alias of a name outside the mesh is none, as DNS leads there. */
export function checkAliases(mesh: MeshView): readonly ObjectIssue[] {
  if (!hasAliases(mesh.clusters)) return [];
  const services = mesh.clusters.flatMap((cluster) => cluster.services);
  const hostnames = new Set(mesh.serviceEntries.flatMap((entry) => entry.spec.hosts));
  for (const { meta, spec } of services) if (spec.type !== "ExternalName") hostnames.add(`${meta.name}.${meta.namespace}${domain}`);
  const aliases = new Map(findAliases(mesh.clusters, hostnames).map((alias) => [alias.hostname, alias]));
  const issues: ObjectIssue[] = [];
  for (const { meta, spec } of services) {
    const alias = aliases.get(`${meta.name}.${meta.namespace}${domain}`);
    if (spec.type !== "ExternalName" || alias === undefined || alias.target !== "" || !spec.externalName.endsWith(domain)) continue;
    const why = aliases.has(spec.externalName)
      ? "leads to no service: the names it goes through end nowhere"
      : "names a service that is not there";
    issues.push({ severity: "warning", meta, path: ["spec", "externalName"], message: why });
  }
  for (const { meta, spec } of mesh.destinationRules) {
    const alias = aliases.get(resolveHost(spec.host, meta.namespace));
    if (alias === undefined) continue;
    const message = `has no effect: ${alias.hostname} is an ExternalName service, and only the service behind it takes rules`;
    issues.push({ severity: "warning", meta, path: ["spec", "host"], message });
  }
  return issues;
}
