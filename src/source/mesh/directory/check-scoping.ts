// Sidecars and selectors that have less effect than they look like. Each is a warning: Istio accepts them too.
import type { MeshView } from "../mesh-view.ts";
import type { ObjectMeta } from "../object/mesh-object.ts";
import type { FieldPath } from "../object/fields.ts";
import { compileEgressHosts } from "../scope/egress-hosts.ts";
import { resolveHost } from "../istio/host-name.ts";
import { compileDiscovery } from "./discovery.ts";
import type { LoadedObject } from "./assemble.ts";
import type { ObjectIssue } from "./object-issue.ts";

/**
 * Egress hosts that name nothing, Sidecars behind an older one, and Istio's resources in namespaces that are not discovered.
 * @param istio what was accepted of Istio's resources
 * @param first what was accepted of the first cluster, whose namespaces decide
 */
export function checkScoping(mesh: MeshView, istio: readonly LoadedObject[], first: readonly LoadedObject[]): readonly ObjectIssue[] {
  const issues: ObjectIssue[] = [];
  const warn = (meta: ObjectMeta, path: FieldPath, message: string): void => {
    issues.push({ severity: "warning", meta, path, message });
  };
  if (mesh.sidecars.length > 0) {
    checkEgressHosts(mesh, warn);
    checkRivals(mesh, warn);
  }
  if (mesh.config.discoverySelectors.length > 0) checkDiscovery(mesh, istio, first, warn);
  return issues;
}

type Warn = (meta: ObjectMeta, path: FieldPath, message: string) => void;

function checkEgressHosts(mesh: MeshView, warn: Warn): void {
  const services = namedServices(mesh);
  const rules = mesh.virtualServices.flatMap(({ meta, spec }) =>
    spec.hosts.map((host) => ({ namespace: meta.namespace, host: resolveHost(host, meta.namespace) })),
  );
  // The same hosts stand in many Sidecars of a mesh.
  const answers = new Map<string, boolean>();
  for (const { meta, spec } of mesh.sidecars) {
    spec.egress.forEach((listener, index) => {
      listener.hosts.forEach((imported, place) => {
        // What `.` means is known only where the Sidecar is not that of the whole mesh.
        const meshWide = imported.namespace === "." && meta.namespace === mesh.config.rootNamespace && spec.selector === undefined;
        if (imported.host === "*" || imported.namespace === "~" || meshWide) return;
        const namespace = imported.namespace === "." ? meta.namespace : imported.namespace;
        const key = `${namespace}/${imported.host}`;
        const known = answers.get(key) ?? namesAnything(namespace, imported.host, services, rules);
        answers.set(key, known);
        if (!known) warn(meta, ["spec", "egress", index, "hosts", place], `names ${key}, which no service or VirtualService has`);
      });
    });
  }
}

/** A host with its namespace. */
interface Named {
  readonly namespace: string;
  readonly host: string;
}

function namesAnything(
  namespace: string,
  host: string,
  services: ReadonlyMap<string, ReadonlySet<string>>,
  rules: readonly Named[],
): boolean {
  const namespaces = services.get(host);
  if (namespaces !== undefined && (namespace === "*" || namespaces.has(namespace))) return true;
  const hosts = compileEgressHosts([{ namespace, host }], namespace);
  if (rules.some((rule) => hosts.importsRule(rule.host, rule.namespace))) return true;
  if (!host.startsWith("*")) return false;
  return [...services].some(([hostname, places]) => [...places].some((place) => hosts.importsService(hostname, place)));
}

/** Namespaces of every service by host name. */
function namedServices(mesh: MeshView): ReadonlyMap<string, ReadonlySet<string>> {
  const found = new Map<string, Set<string>>();
  const add = (host: string, namespace: string): void => {
    found.set(host, (found.get(host) ?? new Set()).add(namespace));
  };
  for (const cluster of mesh.clusters)
    for (const { meta } of cluster.services) add(`${meta.name}.${meta.namespace}.svc.cluster.local`, meta.namespace);
  for (const { meta, spec } of mesh.serviceEntries) for (const host of spec.hosts) add(host, meta.namespace);
  return found;
}

function checkRivals(mesh: MeshView, warn: Warn): void {
  const first = new Map<string, ObjectMeta>();
  for (const { meta, spec } of mesh.sidecars) {
    const labels = spec.selector && Object.entries(spec.selector).toSorted(([a], [b]) => (a < b ? -1 : 1));
    const key = JSON.stringify([meta.namespace, labels ?? null]);
    const older = first.get(key);
    if (older === undefined) first.set(key, meta);
    else {
      const share = labels === undefined ? "is a second one without workloadSelector" : "selects the same workloads";
      warn(meta, ["spec"], `has no effect: it ${share}, and the older Sidecar ${older.namespace}/${older.name} holds`);
    }
  }
}

function checkDiscovery(mesh: MeshView, istio: readonly LoadedObject[], first: readonly LoadedObject[], warn: Warn): void {
  const isDiscovered = compileDiscovery(
    mesh.config,
    first.map((object) => object.known),
  );
  for (const { known } of istio) {
    if (isDiscovered(known)) continue;
    const { meta } = known.object;
    warn(meta, ["metadata", "namespace"], `is ${meta.namespace}, which discoverySelectors leave out: the ${meta.kind} has no effect`);
  }
}
