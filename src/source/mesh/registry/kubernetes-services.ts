// Joins one cluster's Kubernetes objects into services with endpoints: slices with their pods, pods with their nodes.
import type { Locality } from "../../../envoy/cluster/endpoint.ts";
import { alignLists, keepList, sameItems } from "../../../kept-list.ts";
import { Kept } from "../object/kept.ts";
import type { MeshObject } from "../object/mesh-object.ts";
import type { KubernetesCluster, KubernetesEndpoint, KubernetesPod, KubernetesService } from "./kubernetes-objects.ts";
import { entryEndpoint, selectEntries, type WorkloadEntry } from "./workload-entries.ts";
import { hasAddress } from "../istio/workload-entry.ts";
import type { Networks } from "./networks.ts";
import { protocolOfPort } from "./protocol.ts";
import { type MeshEndpoint, type MeshService, persistentSessionLabel, type ServicePort, type ServiceTargets } from "./service.ts";
import { parseLocality, withTopology } from "./topology-labels.ts";

/** One cluster's part of a service. */
export interface ClusterService {
  /** The Service that it was read from. */
  readonly object: MeshObject<KubernetesService>;
  readonly cluster: string;
  readonly hostname: string;
  readonly name: string;
  readonly namespace: string;
  readonly createdAt: number;
  readonly ports: readonly ServicePort[];
  readonly addresses: readonly string[];
  readonly headless: boolean;
  readonly publishNotReady: boolean;
  readonly nodeLocal: boolean;
  readonly persistentSessions: boolean;
  readonly endpoints: readonly MeshEndpoint[];
  readonly serviceAccounts: readonly string[];
  readonly targets: ServiceTargets;
  readonly trafficDistribution: MeshService["trafficDistribution"];
  readonly exportTo: readonly string[];
}

/** A pod with what other objects say about it. */
export interface Workload {
  readonly pod: MeshObject<KubernetesPod>;
  readonly locality: Locality;
}

const servicePorts = new Kept<MeshObject<KubernetesService>, readonly ServicePort[]>();
const noIngredients: readonly unknown[] = [];
const workloadIndexes = new Kept<KubernetesCluster["pods"], WorkloadIndex>();

/** The pods of a cluster, indexed once for as long as they stay. */
export function workloadsOf(cluster: KubernetesCluster): WorkloadIndex {
  return workloadIndexes.get(cluster.pods, [cluster.nodes], () => new WorkloadIndex(cluster));
}

/** What services of a cluster are read with, beside their own slices. */
interface ClusterSources {
  readonly cluster: string;
  readonly networks: Networks;
  readonly dualStack: boolean;
  readonly workloads: WorkloadIndex;
  readonly machines: readonly WorkloadEntry[];
}

type Slice = KubernetesCluster["endpointSlices"][number];

/** What a cluster's services were read from, and what came of it. */
interface ReadCluster {
  readonly sources: ClusterSources;
  readonly services: KubernetesCluster["services"];
  readonly slices: KubernetesCluster["endpointSlices"];
  readonly read: readonly (ClusterService | undefined)[];
  readonly all: readonly ClusterService[];
}

const readServices = new Kept<MeshObject<KubernetesService>, ClusterService>();
// By networks, then by the cluster's name.
const readClusters = new WeakMap<Networks, Map<string, ReadCluster>>();

/** Services of one cluster in file order; ExternalName services are left out: those are aliases of others (aliases.ts). */
export function readClusterServices(
  cluster: KubernetesCluster,
  networks: Networks,
  dualStack: boolean,
  machines: readonly WorkloadEntry[] = noMachines,
): readonly ClusterService[] {
  const byName = readClusters.get(networks) ?? new Map<string, ReadCluster>();
  readClusters.set(networks, byName);
  const { name, services, endpointSlices: slices } = cluster;
  const sources = { cluster: name, networks, dualStack, workloads: workloadsOf(cluster), machines };
  const known = byName.get(name);
  const before = known !== undefined && sameItems(Object.values(known.sources), Object.values(sources)) ? known : undefined;
  if (before?.services === services && before.slices === slices) return before.all;
  const read = before === undefined ? readAll(services, slices, sources) : readAgain(before, services, slices, sources);
  const present = read.filter((service) => service !== undefined);
  const all = keepList(before?.all, present);
  byName.set(name, { sources, services, slices, read, all });
  return all;
}

function readAll(services: ReadCluster["services"], slices: readonly Slice[], sources: ClusterSources): ReadCluster["read"] {
  const byService = Map.groupBy(
    slices.filter((slice) => !slice.spec.byName),
    (slice) => `${slice.meta.namespace}/${slice.spec.serviceName}`,
  );
  return services.map((service) => readOne(service, byService.get(`${service.meta.namespace}/${service.meta.name}`) ?? [], sources));
}

function readOne(service: MeshObject<KubernetesService>, slices: readonly Slice[], sources: ClusterSources): ClusterService | undefined {
  if (service.spec.type === "ExternalName") return undefined;
  return readServices.get(service, [...Object.values(sources), ...slices], () => readClusterService(service, slices, sources));
}

/** Reads what a changed Service or slice concerns. */
function readAgain(
  before: ReadCluster,
  services: ReadCluster["services"],
  slices: readonly Slice[],
  sources: ClusterSources,
): ReadCluster["read"] {
  const ofServices = alignLists(before.services, services);
  const ofSlices = alignLists(before.slices, slices);
  const changed = [
    ...before.slices.slice(ofSlices.start, before.slices.length - ofSlices.end),
    ...slices.slice(ofSlices.start, slices.length - ofSlices.end),
  ];
  const concerned = new Set(changed.map(({ spec }) => spec.serviceName));
  const shift = before.services.length - services.length;
  const to = services.length - ofServices.end;
  const again = services.filter(({ meta }, index) => (index >= ofServices.start && index < to) || concerned.has(meta.name));
  // Beyond a few it costs less to sort all slices by their service once.
  if (again.length > 20) return readAll(services, slices, sources);
  const wanted = new Set(again);
  return services.map((service, index) => {
    if (!wanted.has(service)) return before.read[index < ofServices.start ? index : index + shift];
    const { namespace, name } = service.meta;
    const own = slices.filter(({ meta, spec }) => spec.serviceName === name && meta.namespace === namespace && !spec.byName);
    return readOne(service, own, sources);
  });
}

const noMachines: readonly WorkloadEntry[] = [];

function readClusterService(service: MeshObject<KubernetesService>, slices: readonly Slice[], sources: ClusterSources): ClusterService {
  const { cluster } = sources;
  const ports = servicePorts.get(service, noIngredients, () =>
    service.spec.ports.map((port) => ({ name: port.name, port: port.port, protocol: protocolOfPort(port) })),
  );
  const names = new Set(ports.map((port) => port.name));
  const persistentSessions = (service.meta.labels[persistentSessionLabel] ?? "") !== "";
  const endpoints: MeshEndpoint[] = [];
  const accounts = new Set<string>();
  // A dual stack service has a slice for each family, and a pod in both is one endpoint with all of its addresses.
  const whole = sources.dualStack && service.spec.clusterIps.length > 1;
  const seen = new Set<string>();
  for (const slice of slices) {
    for (const endpoint of slice.spec.endpoints) {
      for (const given of endpoint.addresses) {
        const workload = sources.workloads.find(endpoint, given);
        const [address = given, ...more] = whole ? (workload?.pod.spec.ips ?? []) : [];
        // A pod that is not there yet would mean an endpoint without identity; it joins when its pod does.
        if (workload === undefined && endpoint.podName !== "") continue;
        const leaving = endpoint.terminating && !endpoint.ready;
        // Only where sessions are held to their host, one that leaves is kept for them, as in Istio.
        const draining = leaving && endpoint.serving && persistentSessions;
        if (leaving && !draining && !service.spec.publishNotReadyAddresses) continue;
        if (workload !== undefined) accounts.add(`ns/${workload.pod.meta.namespace}/sa/${workload.pod.spec.serviceAccount}`);
        for (const port of slice.spec.ports) {
          const key = `${address} ${port.name} ${port.port}`;
          // An endpoint on its way from one slice to another is in both of them.
          if (!names.has(port.name) || seen.has(key)) continue;
          seen.add(key);
          endpoints.push({
            ...buildEndpoint(cluster, sources.networks, endpoint, address, port, workload),
            moreAddresses: more,
            draining,
          });
        }
      }
    }
  }
  for (const machine of selectEntries(sources.machines, service.meta.namespace, service.spec.selector)) {
    // The pods of a headless service are called by their own names, so in Istio machines are none of them.
    if (service.spec.headless || !hasAddress(machine.spec)) continue;
    if (machine.spec.serviceAccount !== "") accounts.add(`ns/${machine.meta.namespace}/sa/${machine.spec.serviceAccount}`);
    for (const port of service.spec.ports) {
      const number = machinePort(machine, port);
      if (number !== undefined) endpoints.push(entryEndpoint(machine, { name: port.name, number }, cluster, sources.networks));
    }
  }
  return {
    object: service,
    cluster,
    hostname: `${service.meta.name}.${service.meta.namespace}.svc.cluster.local`,
    name: service.meta.name,
    namespace: service.meta.namespace,
    createdAt: service.meta.createdAt,
    ports,
    addresses: service.spec.clusterIps,
    headless: service.spec.headless,
    publishNotReady: service.spec.publishNotReadyAddresses,
    nodeLocal: service.spec.nodeLocal,
    persistentSessions,
    endpoints,
    serviceAccounts: [...accounts],
    targets: {
      selector: service.spec.selector,
      ports: service.spec.ports.flatMap((port, index) => {
        const model = ports[index];
        return model === undefined ? [] : [{ port: model, targetPort: port.targetPort }];
      }),
    },
    trafficDistribution: readTrafficDistribution(service.spec.trafficDistribution, service.meta.annotations),
    exportTo: (service.meta.annotations["networking.istio.io/exportTo"] ?? "").split(",").filter((each) => each !== ""),
  };
}

/** Where a machine serves a port of a Service; a target port by name is one of the machine's own, or none. */
export function machinePort(
  machine: WorkloadEntry,
  port: { readonly name: string; readonly targetPort: number | string },
): number | undefined {
  const { targetPort } = port;
  if (typeof targetPort === "string") return machine.spec.ports.get(targetPort);
  return machine.spec.ports.get(port.name) ?? targetPort;
}

function buildEndpoint(
  cluster: string,
  networks: Networks,
  endpoint: KubernetesEndpoint,
  address: string,
  port: { readonly name: string; readonly port: number },
  workload: Workload | undefined,
): Omit<MeshEndpoint, "moreAddresses" | "draining"> {
  const labels = workload?.pod.meta.labels ?? {};
  const network = networks.networkOf(cluster, address, labels);
  const locality = workload?.locality ?? noLocality;
  return {
    address,
    portName: port.name,
    port: port.port,
    cluster,
    network,
    locality,
    weight: 0,
    mutualTls: labels["security.istio.io/tlsMode"] === "istio",
    nodeName: workload?.pod.spec.nodeName ?? "",
    ready: endpoint.ready,
    labels: withTopology(labels, { cluster, network, node: workload?.pod.spec.nodeName ?? "", locality }),
    serviceAccount: workload?.pod.spec.serviceAccount ?? "",
    namespace: workload?.pod.meta.namespace ?? "",
    workloadName: workload === undefined ? "" : workloadName(workload.pod),
    hostname: endpoint.hostname === "" ? (workload?.pod.spec.hostname ?? "") : endpoint.hostname,
    subdomain: workload?.pod.spec.subdomain ?? "",
  };
}

const noLocality: Locality = { region: "", zone: "", subZone: "" };

const distributions: ReadonlyMap<string, MeshService["trafficDistribution"]> = new Map([
  ["preferclose", "same-zone"],
  ["prefersamezone", "same-zone"],
  ["prefersamenode", "same-node"],
]);

/** What a Service's spec asks for, or its annotation, which Istio reads in any case of letters. */
export function readTrafficDistribution(spec: string, annotations: Readonly<Record<string, string>>): MeshService["trafficDistribution"] {
  const annotated = annotations["networking.istio.io/traffic-distribution"] ?? "";
  return distributions.get(spec.toLowerCase()) ?? distributions.get(annotated.toLowerCase()) ?? "any";
}

/** The owner's name, or the pod's own when nothing owns it. */
export function workloadName(pod: MeshObject<KubernetesPod>): string {
  return pod.spec.ownerName === "" ? pod.meta.name : pod.spec.ownerName;
}

/** A cluster's pods by name and address, with the locality of the node they run on. */
export class WorkloadIndex {
  readonly #byName = new Map<string, Workload>();
  readonly #byAddress = new Map<string, Workload>();

  constructor(cluster: KubernetesCluster) {
    const nodes = new Map(cluster.nodes.map((node) => [node.meta.name, localityOfLabels(node.meta.labels)]));
    for (const pod of cluster.pods) {
      const labelled = pod.meta.labels["istio-locality"];
      const locality = labelled === undefined ? (nodes.get(pod.spec.nodeName) ?? noLocality) : parseLocality(labelled.replaceAll(".", "/"));
      const workload = { pod, locality };
      this.#byName.set(`${pod.meta.namespace}/${pod.meta.name}`, workload);
      for (const ip of pod.spec.ips) this.#byAddress.set(ip, workload);
    }
  }

  /** The pod an endpoint refers to, or the one that has its address. */
  find(endpoint: KubernetesEndpoint, address: string): Workload | undefined {
    if (endpoint.podName !== "") return this.#byName.get(`${endpoint.podNamespace}/${endpoint.podName}`);
    return this.#byAddress.get(address);
  }

  /** A pod by name, or by any of the addresses. */
  findProxy(namespace: string, name: string, addresses: readonly string[]): Workload | undefined {
    const named = this.#byName.get(`${namespace}/${name}`);
    if (named !== undefined) return named;
    return addresses.map((address) => this.#byAddress.get(address)).find((workload) => workload?.pod.meta.namespace === namespace);
  }
}

function localityOfLabels(labels: Readonly<Record<string, string>>): Locality {
  return {
    region: labels["topology.kubernetes.io/region"] ?? labels["failure-domain.beta.kubernetes.io/region"] ?? "",
    zone: labels["topology.kubernetes.io/zone"] ?? labels["failure-domain.beta.kubernetes.io/zone"] ?? "",
    subZone: labels["topology.istio.io/subzone"] ?? "",
  };
}
