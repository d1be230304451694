// References between objects that lead nowhere. Each is a warning: what is missing may still come.
import { KeptMap } from "../../../kept-list.ts";
import type { MeshView } from "../mesh-view.ts";
import type { FieldPath } from "../object/fields.ts";
import { Kept } from "../object/kept.ts";
import type { MeshObject, ObjectMeta } from "../object/mesh-object.ts";
import type { KubernetesCluster, KubernetesEndpointSlice } from "../registry/kubernetes-objects.ts";
import type { FoundIssue, ObjectIssue } from "./object-issue.ts";

type Slice = MeshObject<KubernetesEndpointSlice>;
type Names = ReadonlySet<string>;

const fullNames = new KeptMap<{ readonly meta: ObjectMeta }, string>();
const nameSets = new Kept<readonly string[], Names>();
const saidOfSlices = new KeptMap<Slice, readonly ObjectIssue[]>();
const dangling = new Kept<readonly (readonly ObjectIssue[])[], readonly ObjectIssue[]>();

/** What the slice checks of one cluster keep things by. */
interface ClusterOwners {
  readonly services: object;
  readonly pods: object;
}

const owners = new WeakMap<object, Map<string, ClusterOwners>>();

function ownersOf(owner: object, cluster: string): ClusterOwners {
  let byName = owners.get(owner);
  if (byName === undefined) owners.set(owner, (byName = new Map()));
  let found = byName.get(cluster);
  if (found === undefined) byName.set(cluster, (found = { services: {}, pods: {} }));
  return found;
}

/**
 * EndpointSlices of a cluster without their Service, and with endpoints whose Pod is not there.
 * @param owner the same for every load of a mesh: what is said of slices that stayed is kept with it
 */
export function checkSlices(cluster: KubernetesCluster, owner: object): readonly ObjectIssue[] {
  const own = ownersOf(owner, cluster.name);
  const [services, pods] = [namesOf(own.services, cluster.services), namesOf(own.pods, cluster.pods)];
  const said = saidOfSlices.map(own, cluster.endpointSlices, [services, pods], (slice) => checkSlice(slice, services, pods));
  return dangling.get(said, [], () => said.flat());
}

/** The names as `namespace/name`; the same set for as long as they are the same. */
function namesOf(owner: object, objects: readonly { readonly meta: ObjectMeta }[]): Names {
  const names = fullNames.map(owner, objects, [], ({ meta }) => `${meta.namespace}/${meta.name}`);
  return nameSets.get(names, [], () => new Set(names));
}

const nothing: readonly ObjectIssue[] = [];

function checkSlice({ meta, spec }: Slice, services: Names, pods: Names): readonly ObjectIssue[] {
  const said: ObjectIssue[] = [];
  const warn = (path: FieldPath, message: string): void => void said.push({ severity: "warning", meta, path, message });
  const service = `${meta.namespace}/${spec.serviceName}`;
  if (!services.has(service)) warn(["metadata"], `belongs to Service ${service}, which is not there`);
  if (spec.byName) warn(["addressType"], "is FQDN: endpoints given by host name are left out, as in Istio");
  spec.endpoints.forEach(({ podName, podNamespace }, index) => {
    if (podName === "" || pods.has(`${podNamespace}/${podName}`)) return;
    warn(["endpoints", index, "targetRef"], `names Pod ${podNamespace}/${podName}, which is not there: the endpoint is left out`);
  });
  return said.length === 0 ? nothing : said;
}

/** VirtualServices for Gateways that are not there. */
export function checkGatewayReferences({
  gateways: all,
  virtualServices,
}: Pick<MeshView, "gateways" | "virtualServices">): readonly FoundIssue[] {
  const gateways = new Set(all.map(({ meta }) => `${meta.namespace}/${meta.name}`));
  return virtualServices.flatMap(({ meta, spec }) =>
    spec.gateways.flatMap((name, index): readonly ObjectIssue[] => {
      const full = name.includes("/") ? name : `${meta.namespace}/${name}`;
      if (name === "mesh" || gateways.has(full)) return [];
      return [{ severity: "warning", meta, path: ["spec", "gateways", index], message: `names Gateway ${full}, which is not there` }];
    }),
  );
}

/** Networks of clusters that are not there, or with gateways that are Services which are not there. */
export function checkNetworks(mesh: Pick<MeshView, "clusters" | "networks">, networksFile: string): readonly FoundIssue[] {
  const issues: FoundIssue[] = [];
  const warn = (path: FieldPath, message: string): void =>
    void issues.push({ severity: "warning", file: networksFile, line: 1, column: 1, path, message });
  const clusters = new Set(mesh.clusters.map((cluster) => cluster.name));
  const isThere = (hostname: string): boolean =>
    mesh.clusters.some((cluster) => cluster.services.some(({ meta }) => `${meta.name}.${meta.namespace}.svc.cluster.local` === hostname));
  for (const [name, network] of mesh.networks) {
    for (const registry of network.fromRegistry)
      if (!clusters.has(registry)) warn(["networks", name, "endpoints"], `names cluster ${registry}, which has no file under k8s/`);
    for (const { registryServiceName } of network.gateways) {
      if (registryServiceName === "" || isThere(registryServiceName)) continue;
      warn(["networks", name, "gateways"], `names service ${registryServiceName}, which is not there`);
    }
  }
  return issues;
}
