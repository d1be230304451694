// What every part of the knowledge about a mesh is made from.
import type { Metadata } from "../../envoy/address.ts";
import type { Node } from "../../envoy/bootstrap.ts";
import type { Cluster } from "../../envoy/cluster/cluster.ts";
import type { LoadedMesh } from "../../source/mesh/directory/load.ts";
import type { Json } from "../../source/mesh/envoy-json.ts";
import type { Subset } from "../../source/mesh/istio/destination-rule.ts";
import type { DestinationRule } from "../../source/mesh/istio/destination-rules.ts";
import type { NodeView } from "../../source/mesh/node-view.ts";
import type { ObjectMeta } from "../../source/mesh/object/mesh-object.ts";
import type { ServiceRegistry } from "../../source/mesh/registry/service-registry.ts";
import type { MeshService, ServicePort } from "../../source/mesh/registry/service.ts";
import { parseSniName } from "../../wire/sni-name.ts";
import type { ExplainConfig } from "../config.ts";
import type { Reason } from "../explanation.ts";
import type { ObjectPlaces } from "./objects.ts";

/** The mesh from one node. */
export interface MeshContext {
  readonly loaded: LoadedMesh;
  readonly view: NodeView;
  readonly places: ObjectPlaces;
  /** Every service, seen by the node or not. */
  readonly registry: ServiceRegistry;
  /** The route configurations as JSON. */
  readonly routes: readonly Json[];
  /** The configuration of another node of the mesh. */
  configOf(node: Node): ExplainConfig;
}

/** What a cluster's name stands for in the mesh. */
export interface ClusterOf {
  readonly service: MeshService;
  readonly port: ServicePort;
  readonly subset: Subset | undefined;
  readonly rule: DestinationRule | undefined;
  readonly sniDnat: boolean;
}

/** What the name of a cluster says. */
export interface ClusterNameParts {
  readonly port: number;
  readonly subset: string;
  readonly host: string;
  readonly sniDnat: boolean;
}

/** The parts of `outbound|PORT|SUBSET|HOST` and `outbound_.PORT_.SUBSET_.HOST`; undefined for other names. */
export function parseClusterName(name: string): ClusterNameParts | undefined {
  const sni = parseSniName(name);
  if (sni !== undefined) return { ...sni, sniDnat: true };
  const [, port, subset = "", host = ""] = /^outbound\|(\d+)\|([^|]*)\|(.+)$/.exec(name) ?? [];
  return port === undefined ? undefined : { port: Number(port), subset, host, sniDnat: false };
}

/** The service, port and subset of a cluster; undefined for clusters that are nobody's, as PassthroughCluster. */
export function clusterOf({ view }: MeshContext, cluster: Pick<Cluster, "name">): ClusterOf | undefined {
  const parts = parseClusterName(cluster.name);
  const service = parts && view.scope.byHost.get(parts.host);
  const port = service?.ports.find((each) => each.port === parts?.port);
  if (parts === undefined || service === undefined || port === undefined) return undefined;
  const rule = view.ruleOf(service);
  return { service, port, rule, subset: rule?.spec.subsets.find(({ name }) => name === parts.subset), sniDnat: parts.sniDnat };
}

/** The objects that a service is: a Service in each of its clusters, or ServiceEntries. */
export function objectsOf({ view, places }: MeshContext, service: MeshService): readonly (Reason & { readonly cluster: string })[] {
  if (service.registry === "Kubernetes") {
    return view.mesh.clusters.flatMap((cluster) =>
      cluster.services
        .filter(({ meta }) => meta.name === service.name && meta.namespace === service.namespace)
        .map(({ meta }) => ({ text: `${nameOf(meta)} in ${cluster.name}`, place: places.of(meta), cluster: cluster.name })),
    );
  }
  return view.mesh.serviceEntries
    .filter(({ meta, spec }) => meta.namespace === service.namespace && spec.hosts.includes(service.hostname))
    .map(({ meta }) => ({ text: nameOf(meta), place: places.of(meta), cluster: "" }));
}

/** `Service default/httpbin`. */
export function nameOf({ kind, namespace, name }: ObjectMeta): string {
  return `${kind} ${namespace}/${name}`;
}

/** The Istio object that metadata names. */
export function configOf({ view }: MeshContext, metadata: Metadata): ObjectMeta | undefined {
  const config = metadata["istio"]?.["config"];
  const [, namespace, kind, name] =
    /^\/apis\/[^/]+\/[^/]+\/namespaces\/([^/]+)\/([^/]+)\/(.+)$/.exec(typeof config === "string" ? config : "") ?? [];
  const { mesh } = view;
  const lists = { "virtual-service": mesh.virtualServices, "destination-rule": mesh.destinationRules, sidecar: mesh.sidecars };
  const list = kind === undefined || !Object.hasOwn(lists, kind) ? [] : lists[kind as keyof typeof lists];
  return list.find(({ meta }) => meta.namespace === namespace && meta.name === name)?.meta;
}
