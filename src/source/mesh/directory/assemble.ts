// Sorts accepted objects into the view of a mesh.
import { keepList } from "../../../kept-list.ts";
import { joinDelegates } from "../istio/join-delegates.ts";
import type { MeshConfig } from "../mesh-config.ts";
import type { MeshNetworks } from "../mesh-networks.ts";
import { byAge, type MeshView } from "../mesh-view.ts";
import { Kept } from "../object/kept.ts";
import type { MeshObject } from "../object/mesh-object.ts";
import type { KubernetesCluster, KubernetesEndpointSlice, KubernetesPod, KubernetesService } from "../registry/kubernetes-objects.ts";
import type { KubernetesSecret } from "../registry/kubernetes-secret.ts";
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

const noObjects: readonly LoadedObject[] = [];

/**
 * Builds the view.
 * @param objects accepted objects by cluster, Istio's resources under the empty name
 * @param previous an earlier view: its lists and clusters are taken over where they would be the same
 */
export function assembleMesh(
  config: MeshConfig,
  networks: MeshNetworks,
  objects: ReadonlyMap<string, readonly LoadedObject[]>,
  previous?: MeshView,
): MeshView {
  const names = [...objects.keys()].filter((name) => name !== "").toSorted();
  const clusterBefore = new Map(previous?.clusters.map((cluster) => [cluster.name, cluster]));
  // Istio's resources live in the first cluster, so its namespaces decide about them.
  const deciding = config.discoverySelectors.length === 0 ? noObjects : (objects.get(names[0] ?? "") ?? noObjects);
  const istio = objects.get("") ?? noObjects;
  return keepFields(previous, {
    config,
    networks,
    gatewayAddresses: noAddresses,
    jwks: noJwks,
    clusters: names.map((name) => {
      const own = objects.get(name) ?? noObjects;
      return clusters.get(own, [name, config.discoverySelectors], () =>
        keepFields(clusterBefore.get(name), assembleCluster(name, own, config)),
      );
    }),
    ...istioLists.get(istio, [deciding, config], () => assembleIstio(istio, deciding, config)),
  });
}

const clusters = new Kept<readonly LoadedObject[], KubernetesCluster>();
const istioLists = new Kept<readonly LoadedObject[], ReturnType<typeof assembleIstio>>();
// A directory resolves and fetches nothing; one object each, so that a reload finds them unchanged.
const noAddresses: MeshView["gatewayAddresses"] = new Map();
const noJwks: MeshView["jwks"] = new Map();

function assembleIstio(
  objects: readonly LoadedObject[],
  deciding: readonly LoadedObject[],
  config: MeshConfig,
): Omit<MeshView, "config" | "networks" | "gatewayAddresses" | "jwks" | "clusters"> {
  const istio = discovered(objects, deciding, config);
  return {
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
    authorizationPolicies: istio.flatMap((known) => (known.kind === "AuthorizationPolicy" ? [known.object] : [])).toSorted(byAge),
    requestAuthentications: istio.flatMap((known) => (known.kind === "RequestAuthentication" ? [known.object] : [])).toSorted(byAge),
    wasmPlugins: istio.flatMap((known) => (known.kind === "WasmPlugin" ? [known.object] : [])).toSorted(byAge),
  };
}

/** The objects in namespaces that the selectors choose, as the namespaces among `deciding` have it. */
function discovered(objects: readonly LoadedObject[], deciding: readonly LoadedObject[], config: MeshConfig): readonly KnownObject[] {
  const known = (object: LoadedObject): KnownObject => object.known;
  if (config.discoverySelectors.length === 0) return objects.map(known);
  return objects.map(known).filter(compileDiscovery(config, deciding.map(known)));
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

type Slice = MeshObject<KubernetesEndpointSlice>;
type WrittenEndpoints = MeshObject<readonly KubernetesEndpointSlice[]>;

const mirrors = new WeakMap<WrittenEndpoints, readonly Slice[]>();

function assembleCluster(name: string, all: readonly LoadedObject[], config: MeshConfig): KubernetesCluster {
  const slices: Slice[] = [];
  const endpoints: WrittenEndpoints[] = [];
  const services: MeshObject<KubernetesService>[] = [];
  const pods: MeshObject<KubernetesPod>[] = [];
  const nodes: MeshObject<null>[] = [];
  const namespaces: MeshObject<null>[] = [];
  const secrets: MeshObject<KubernetesSecret>[] = [];
  const serviceAccounts: MeshObject<null>[] = [];
  for (const known of discovered(all, all, config)) {
    if (known.kind === "EndpointSlice") slices.push(known.object);
    else if (known.kind === "Service") services.push(known.object);
    else if (known.kind === "Pod") pods.push(known.object);
    else if (known.kind === "Endpoints") endpoints.push(known.object);
    else if (known.kind === "Node") nodes.push(known.object);
    else if (known.kind === "Namespace") namespaces.push(known.object);
    else if (known.kind === "Secret") secrets.push(known.object);
    else if (known.kind === "ServiceAccount") serviceAccounts.push(known.object);
  }
  const endpointSlices = endpoints.length === 0 ? slices : slices.concat(mirrorEndpoints(endpoints, slices));
  return { name, services, endpointSlices, pods, nodes, namespaces, secrets, serviceAccounts };
}

/** Kubernetes mirrors Endpoints into slices; where both are written down the slices are the newer word. */
function mirrorEndpoints(endpoints: readonly WrittenEndpoints[], slices: readonly Slice[]): readonly Slice[] {
  const sliced = new Set(slices.map(({ meta, spec }) => `${meta.namespace}/${spec.serviceName}`));
  return endpoints.flatMap((written) => (sliced.has(`${written.meta.namespace}/${written.meta.name}`) ? [] : mirrorOf(written)));
}

/** The same slices for as long as the object is the same. */
function mirrorOf(written: WrittenEndpoints): readonly Slice[] {
  let slices = mirrors.get(written);
  if (slices === undefined) mirrors.set(written, (slices = written.spec.map((spec) => ({ meta: written.meta, spec }))));
  return slices;
}
