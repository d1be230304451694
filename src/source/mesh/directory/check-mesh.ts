// Everything that only the whole mesh shows to be wrong. Each check is made again only when something changed that it reads.
import { join } from "node:path";
import type { LocatedIssue } from "../../yaml-document.ts";
import type { MeshView } from "../mesh-view.ts";
import { Kept } from "../object/kept.ts";
import { hasAliases } from "../registry/aliases.ts";
import type { KubernetesCluster } from "../registry/kubernetes-objects.ts";
import type { LoadedObject } from "./assemble.ts";
import { checkAliases } from "./check-aliases.ts";
import { checkAuthorization } from "./check-authorization.ts";
import { checkDelegates } from "./check-delegates.ts";
import { checkDestinations, hostsOf } from "./check-destinations.ts";
import { checkEntries } from "./check-entries.ts";
import { checkLocality } from "./check-locality.ts";
import { checkPeerAuthentication } from "./check-peer-authentication.ts";
import { checkGatewayReferences, checkNetworks, checkSlices } from "./check-references.ts";
import { checkScoping } from "./check-scoping.ts";
import { type FoundIssue, placeIssue } from "./object-issue.ts";

/** What is checked. */
export interface CheckedMesh {
  readonly mesh: MeshView;
  /** The directory it was read from. */
  readonly dir: string;
  /** Accepted objects by cluster, Istio's under the empty name. */
  readonly objects: ReadonlyMap<string, readonly LoadedObject[]>;
}

interface Check {
  readonly kept: Kept<object, readonly FoundIssue[]>;
  /** Everything that the check reads. */
  readonly reads: (checked: CheckedMesh) => readonly unknown[];
  readonly find: (checked: CheckedMesh) => readonly FoundIssue[];
}

const check = (reads: Check["reads"], find: Check["find"]): Check => ({ kept: new Kept(), reads, find });

const servicesOf = ({ clusters }: MeshView): readonly unknown[] => clusters.map((cluster) => cluster.services);
const podsOf = ({ clusters }: MeshView): readonly unknown[] => clusters.map((cluster) => cluster.pods);
const istioOf = ({ objects }: CheckedMesh): readonly LoadedObject[] => objects.get("") ?? none;
const firstOf = ({ mesh, objects }: CheckedMesh): readonly LoadedObject[] => objects.get(mesh.clusters[0]?.name ?? "") ?? none;
const none: readonly LoadedObject[] = [];

const aliased = new Kept<KubernetesCluster["services"], boolean>();
const someAlias = ({ clusters }: MeshView): boolean =>
  clusters.some((cluster) => aliased.get(cluster.services, [], () => hasAliases([cluster])));

const checks: readonly Check[] = [
  check(
    ({ mesh }) => (someAlias(mesh) ? [...servicesOf(mesh), mesh.serviceEntries, mesh.destinationRules] : []),
    ({ mesh }) => checkAliases(mesh),
  ),
  check(
    ({ mesh }) => [mesh.virtualServices, mesh.gateways],
    ({ mesh }) => checkGatewayReferences(mesh),
  ),
  check(
    ({ mesh, dir }) => [
      dir,
      mesh.networks,
      ...(mesh.networks.size === 0 ? [] : [...mesh.clusters.map(({ name }) => name), ...servicesOf(mesh)]),
    ],
    ({ mesh, dir }) => checkNetworks(mesh, join(dir, "networks.yaml")),
  ),
  check(
    ({ mesh, dir }) => [dir, mesh.destinationRules, mesh.config],
    ({ mesh, dir }) => checkLocality(mesh, join(dir, "meshconfig.yaml")),
  ),
  check(
    (checked) => {
      const { config, sidecars, virtualServices, serviceEntries } = checked.mesh;
      const scoped = sidecars.length === 0 ? [] : [virtualServices, serviceEntries, ...servicesOf(checked.mesh)];
      return [config, sidecars, ...scoped, ...(config.discoverySelectors.length === 0 ? [] : [istioOf(checked), firstOf(checked)])];
    },
    (checked) => checkScoping(checked.mesh, istioOf(checked), firstOf(checked)),
  ),
  check(
    ({ mesh, dir }) => [dir, mesh.serviceEntries, ...(mesh.serviceEntries.length === 0 ? [] : [mesh.config, ...servicesOf(mesh)])],
    ({ mesh, dir }) => checkEntries(mesh, join(dir, "meshconfig.yaml")),
  ),
  check(
    ({ mesh }) => [
      mesh.peerAuthentications,
      ...(mesh.peerAuthentications.length === 0 ? [] : [mesh.config, ...servicesOf(mesh), ...podsOf(mesh)]),
    ],
    ({ mesh }) => checkPeerAuthentication(mesh),
  ),
  check(
    ({ mesh }) => {
      const asks = mesh.authorizationPolicies.some(({ spec }) => spec.action === "CUSTOM");
      const providers = asks ? [mesh.config, mesh.networks, mesh.serviceEntries, mesh.workloadEntries, ...mesh.clusters] : [];
      return [mesh.authorizationPolicies, mesh.requestAuthentications, ...providers];
    },
    ({ mesh }) => checkAuthorization(mesh),
  ),
  check(
    (checked) => [istioOf(checked)],
    (checked) => checkDelegates(istioOf(checked)),
  ),
  check(
    (checked) => {
      const { mesh } = checked;
      return mesh.virtualServices.length === 0 ? [] : [istioOf(checked), hostsOf(mesh), mesh.destinationRules];
    },
    (checked) => (checked.mesh.virtualServices.length === 0 ? [] : checkDestinations(checked.mesh, istioOf(checked))),
  ),
];

/**
 * Every issue, in the order of the checks.
 * @param owner the same for every load of a mesh: what was found is kept with it
 */
export function checkMesh(checked: CheckedMesh, owner: object): readonly LocatedIssue[] {
  const slices = checked.mesh.clusters.map((cluster) => checkSlices(cluster, owner));
  const found = checks.map(({ kept, reads, find }) => kept.get(owner, reads(checked), () => find(checked)));
  return [...slices, ...found].flat().map(placeIssue);
}
