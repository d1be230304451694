// Sorts accepted objects into the view of a mesh.
import { keepList } from "../../../kept-list.ts";
import { joinDelegates } from "../istio/join-delegates.ts";
import type { MeshConfig } from "../mesh-config.ts";
import type { MeshNetworks } from "../mesh-networks.ts";
import { byAge, type MeshView } from "../mesh-view.ts";
import type { MeshObject } from "../object/mesh-object.ts";
import type { KubernetesCluster, KubernetesEndpointSlice } from "../registry/kubernetes-objects.ts";
import { compileDiscovery } from "./discovery.ts";
import type { KnownObject } from "./kinds.ts";

/** An accepted object and where it belongs. */
export interface LoadedObject {
  readonly key: string;
  /** The cluster's name; empty for Istio's resources. */
  readonly cluster: string;
  readonly known: KnownObject;
  /** Taken over from an earlier load, because the object is refused as it stands now. */
  readonly kept: boolean;
}

/**
 * Builds the view.
 * @param previous an earlier view: its lists and clusters are taken over where they would be the same
 */
export function assembleMesh(
  config: MeshConfig,
  networks: MeshNetworks,
  clusters: readonly string[],
  objects: readonly LoadedObject[],
  previous?: MeshView,
): MeshView {
  const byCluster = Map.groupBy(objects, (object) => object.cluster);
  const ofCluster = (name: string): readonly KnownObject[] => (byCluster.get(name) ?? []).map((object) => object.known);
  const names = clusters.toSorted();
  // Istio's resources live in the first cluster, so its namespaces decide about them.
  const istio = ofCluster("").filter(compileDiscovery(config, ofCluster(names[0] ?? "")));
  const clusterBefore = new Map(previous?.clusters.map((cluster) => [cluster.name, cluster]));
  return keepFields(previous, {
    config,
    networks,
    gatewayAddresses: new Map(),
    clusters: names.map((name) => keepFields(clusterBefore.get(name), assembleCluster(name, ofCluster(name), config))),
    gateways: istio.flatMap((known) => (known.kind === "Gateway" ? [known.object] : [])).toSorted(byAge),
    serviceEntries: istio.flatMap((known) => (known.kind === "ServiceEntry" ? [known.object] : [])).toSorted(byAge),
    workloadEntries: istio.flatMap((known) => (known.kind === "WorkloadEntry" ? [known.object] : [])).toSorted(byAge),
    destinationRules: istio.flatMap((known) => (known.kind === "DestinationRule" ? [known.object] : [])).toSorted(byAge),
    virtualServices: joinDelegates(
      istio.flatMap((known) => (known.kind === "VirtualService" ? [known.object] : [])).toSorted(byAge),
      config.virtualServiceExportTo,
    ),
    sidecars: istio.flatMap((known) => (known.kind === "Sidecar" ? [known.object] : [])).toSorted(byAge),
    peerAuthentications: istio.flatMap((known) => (known.kind === "PeerAuthentication" ? [known.object] : [])).toSorted(byAge),
  });
}

/** `next` with the earlier list in place of each that holds the same, and the earlier object itself when nothing differs. */
function keepFields<T extends object>(previous: T | undefined, next: T): T {
  if (previous === undefined) return next;
  const before = previous as Readonly<Record<string, unknown>>;
  const kept = Object.entries(next).map(([name, value]): [string, unknown] => {
    const known = before[name];
    return [name, Array.isArray(value) && Array.isArray(known) ? keepList(known, value) : value];
  });
  return kept.every(([name, value]) => before[name] === value) ? previous : (Object.fromEntries(kept) as T);
}

function assembleCluster(name: string, all: readonly KnownObject[], config: MeshConfig): KubernetesCluster {
  const objects = all.filter(compileDiscovery(config, all));
  const slices = objects.flatMap((known) => (known.kind === "EndpointSlice" ? [known.object] : []));
  const sliced = new Set(slices.map((slice) => `${slice.meta.namespace}/${slice.spec.serviceName}`));
  // Kubernetes mirrors Endpoints into slices; where both are written down the slices are the newer word.
  const mirrored = objects.flatMap((known): readonly MeshObject<KubernetesEndpointSlice>[] =>
    known.kind === "Endpoints" && !sliced.has(`${known.object.meta.namespace}/${known.object.meta.name}`)
      ? known.object.spec.map((spec) => ({ meta: known.object.meta, spec }))
      : [],
  );
  return {
    name,
    services: objects.flatMap((known) => (known.kind === "Service" ? [known.object] : [])),
    endpointSlices: [...slices, ...mirrored],
    pods: objects.flatMap((known) => (known.kind === "Pod" ? [known.object] : [])),
    nodes: objects.flatMap((known) => (known.kind === "Node" ? [known.object] : [])),
    namespaces: objects.flatMap((known) => (known.kind === "Namespace" ? [known.object] : [])),
    secrets: objects.flatMap((known) => (known.kind === "Secret" ? [known.object] : [])),
    serviceAccounts: objects.flatMap((known) => (known.kind === "ServiceAccount" ? [known.object] : [])),
  };
}
