// Joins one cluster's Kubernetes objects into services with endpoints: slices with their pods, pods with their nodes.
import type { Locality } from "../../../envoy/cluster/endpoint.ts";
import type { MeshObject } from "../object/mesh-object.ts";
import type { KubernetesCluster, KubernetesEndpoint, KubernetesPod, KubernetesService } from "./kubernetes-objects.ts";
import type { Networks } from "./networks.ts";
import { protocolOfPort } from "./protocol.ts";
import type { MeshEndpoint, MeshService, ServicePort, ServiceTargets } from "./service.ts";
import { withTopology } from "./topology-labels.ts";

/** One cluster's part of a service. */
export interface ClusterService {
  readonly cluster: string;
  readonly name: string;
  readonly namespace: string;
  readonly createdAt: number;
  readonly ports: readonly ServicePort[];
  readonly addresses: readonly string[];
  readonly headless: boolean;
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

/** Services of one cluster in file order; ExternalName services are left out, as they have neither address nor endpoints. */
export function readClusterServices(cluster: KubernetesCluster, networks: Networks): readonly ClusterService[] {
  const workloads = new WorkloadIndex(cluster);
  const slices = new Map<string, (typeof cluster.endpointSlices)[number][]>();
  for (const slice of cluster.endpointSlices) {
    const key = `${slice.meta.namespace}/${slice.spec.serviceName}`;
    const list = slices.get(key);
    if (list === undefined) slices.set(key, [slice]);
    else list.push(slice);
  }
  return cluster.services
    .filter((service) => service.spec.type !== "ExternalName")
    .map((service) => {
      const ports = service.spec.ports.map((port) => ({ name: port.name, port: port.port, protocol: protocolOfPort(port) }));
      const names = new Set(ports.map((port) => port.name));
      const endpoints: MeshEndpoint[] = [];
      const accounts = new Set<string>();
      for (const slice of slices.get(`${service.meta.namespace}/${service.meta.name}`) ?? []) {
        for (const endpoint of slice.spec.endpoints) {
          for (const address of endpoint.addresses) {
            const workload = workloads.find(endpoint, address);
            // A pod that is not there yet would mean an endpoint without identity; it joins when its pod does.
            if (workload === undefined && endpoint.podName !== "") continue;
            if (endpoint.terminating && !endpoint.ready && !service.spec.publishNotReadyAddresses) continue;
            if (workload !== undefined) accounts.add(`ns/${workload.pod.meta.namespace}/sa/${workload.pod.spec.serviceAccount}`);
            for (const port of slice.spec.ports) {
              if (names.has(port.name)) endpoints.push(buildEndpoint(cluster.name, networks, service, endpoint, address, port, workload));
            }
          }
        }
      }
      return {
        cluster: cluster.name,
        name: service.meta.name,
        namespace: service.meta.namespace,
        createdAt: service.meta.createdAt,
        ports,
        addresses: service.spec.clusterIps,
        headless: service.spec.headless,
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
    });
}

function buildEndpoint(
  cluster: string,
  networks: Networks,
  service: MeshObject<KubernetesService>,
  endpoint: KubernetesEndpoint,
  address: string,
  port: { readonly name: string; readonly port: number },
  workload: Workload | undefined,
): MeshEndpoint {
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
    ready: endpoint.ready || service.spec.publishNotReadyAddresses,
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

/** `region/zone/subzone`, each part optional. */
export function parseLocality(text: string): Locality {
  const [region = "", zone = "", ...rest] = text.split("/");
  return { region, zone, subZone: rest.join("/") };
}
