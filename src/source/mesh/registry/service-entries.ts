// ServiceEntries as services: one service a host, addresses handed out where DNS capture needs one.
import type { MeshConfig } from "../mesh-config.ts";
import type { MeshView } from "../mesh-view.ts";
import type { ServiceEntrySpec, WorkloadEndpoint } from "../istio/service-entry.ts";
import { hasAddress } from "../istio/workload-entry.ts";
import { Kept } from "../object/kept.ts";
import type { MeshObject } from "../object/mesh-object.ts";
import { readTrafficDistribution, workloadName, workloadsOf } from "./kubernetes-services.ts";
import type { KubernetesCluster } from "./kubernetes-objects.ts";
import { entryEndpoint, selectEntries } from "./workload-entries.ts";
import type { Networks } from "./networks.ts";
import { parseProtocol } from "./protocol.ts";
import {
  compareText,
  labelsMatch,
  type MeshEndpoint,
  type MeshService,
  persistentSessionLabel,
  type ServicePort,
  type ServiceResolution,
} from "./service.ts";
import { withTopology } from "./topology-labels.ts";
import { allocateAddresses } from "./virtual-addresses.ts";
import { workloadEndpoint, workloadPort } from "./workload-endpoint.ts";

const resolutions: Readonly<Record<ServiceEntrySpec["resolution"], ServiceResolution>> = {
  NONE: "passthrough",
  STATIC: "eds",
  DNS: "dns",
  DNS_ROUND_ROBIN: "dns-round-robin",
  DYNAMIC_DNS: "dynamic-dns",
};

const readEntries = new Kept<MeshObject<ServiceEntrySpec>, readonly MeshService[]>();

/** Every host of every ServiceEntry. */
export function readServiceEntries(mesh: MeshView, networks: Networks): readonly MeshService[] {
  const addresses = allocateAddresses(mesh);
  const configCluster = mesh.clusters[0]?.name ?? "";
  return mesh.serviceEntries.flatMap((entry) => {
    const { hosts, workloadSelector } = entry.spec;
    const allocated = new Map(hosts.map((hostname) => [hostname, addresses.of(entry, hostname)]));
    // Whom a selector picks depends on every workload of the config cluster.
    const population = workloadSelector === undefined ? [] : [mesh.workloadEntries, mesh.clusters[0]];
    const handedOut = [...allocated.values()].join(" ");
    return readEntries.get(entry, [mesh.config, networks, configCluster, handedOut, ...population], () =>
      readServiceEntry(entry, {
        config: mesh.config,
        networks,
        configCluster,
        selected: selectWorkloads(mesh, networks, entry),
        allocated: (hostname) => allocated.get(hostname) ?? [],
      }),
    );
  });
}

interface EntrySources {
  readonly config: MeshConfig;
  readonly networks: Networks;
  readonly configCluster: string;
  readonly selected: readonly MeshEndpoint[];
  readonly allocated: (hostname: string) => readonly string[];
}

function readServiceEntry(entry: MeshObject<ServiceEntrySpec>, sources: EntrySources): readonly MeshService[] {
  const { config } = sources;
  const ports = entry.spec.ports.map((port): ServicePort => {
    const named = parseProtocol(port.protocol);
    return { name: port.name, port: port.number, protocol: named };
  });
  const selected = sources.selected;
  return entry.spec.hosts.map((hostname): MeshService => {
    const endpoints =
      entry.spec.workloadSelector !== undefined ? selected : entryEndpoints(entry.spec, hostname, sources.configCluster, sources.networks);
    const accounts = endpoints.filter((each) => each.serviceAccount !== "");
    const identities = [config.trustDomain, ...config.trustDomainAliases].flatMap((domain) =>
      accounts.map((each) => `spiffe://${domain}/ns/${entry.meta.namespace}/sa/${each.serviceAccount}`),
    );
    const { resolution } = entry.spec;
    // DNS without endpoints names the host itself; a wildcard cannot be looked up.
    const unresolvable = resolution.startsWith("DNS") && hostname.startsWith("*") && endpoints.length === 0;
    return {
      definition: {},
      hostname,
      name: hostname,
      namespace: entry.meta.namespace,
      createdAt: entry.meta.createdAt,
      registry: "External",
      meshExternal: entry.spec.meshExternal,
      resolution: unresolvable ? "passthrough" : resolutions[resolution],
      ports,
      addresses: entry.spec.addresses.length === 0 ? new Map() : new Map([[sources.configCluster, entry.spec.addresses]]),
      allocated: sources.allocated(hostname),
      headless: false,
      publishNotReady: false,
      nodeLocal: false,
      persistentSessions: (entry.meta.labels[persistentSessionLabel] ?? "") !== "",
      aliases: [],
      endpoints,
      identities: [...new Set([...entry.spec.subjectAltNames, ...identities])].toSorted(compareText),
      targets: new Map(),
      trafficDistribution: readTrafficDistribution("", entry.meta.annotations),
      exportTo: entry.spec.exportTo,
    };
  });
}

function entryEndpoints(spec: ServiceEntrySpec, hostname: string, cluster: string, networks: Networks): readonly MeshEndpoint[] {
  if (spec.resolution === "NONE" || spec.resolution === "DYNAMIC_DNS") return [];
  if (spec.endpoints.length === 0) {
    if (!spec.resolution.startsWith("DNS") || hostname.startsWith("*")) return [];
    const self: WorkloadEndpoint = {
      address: hostname,
      ports: new Map(),
      labels: {},
      network: "",
      locality: "",
      weight: 0,
      serviceAccount: "",
    };
    return spec.ports.map((port) => writtenEndpoint(self, port, cluster, networks));
  }
  return spec.endpoints.flatMap((endpoint) => spec.ports.map((port) => writtenEndpoint(endpoint, port, cluster, networks)));
}

function writtenEndpoint(
  endpoint: WorkloadEndpoint,
  port: ServiceEntrySpec["ports"][number],
  cluster: string,
  networks: Networks,
): MeshEndpoint {
  // Only what the entry itself says: its addresses are not those of the cluster that holds the entry.
  const network = endpoint.network === "" ? networks.networkOf("", endpoint.address, endpoint.labels) : endpoint.network;
  return workloadEndpoint(endpoint, { name: port.name, number: workloadPort(endpoint, port) }, { cluster, network });
}

/** Machines, and pods of the config cluster, that an entry's workloadSelector picks in the entry's own namespace. */
function selectWorkloads(mesh: MeshView, networks: Networks, entry: MeshObject<ServiceEntrySpec>): readonly MeshEndpoint[] {
  const selector = entry.spec.workloadSelector;
  const [cluster] = mesh.clusters;
  if (selector === undefined || Object.keys(selector).length === 0) return [];
  const byName = entry.spec.resolution.startsWith("DNS");
  const machines = selectEntries(mesh.workloadEntries, entry.meta.namespace, selector)
    // A name is good for a cluster that resolves it.
    .filter((machine) => byName || hasAddress(machine.spec))
    .flatMap((machine) =>
      entry.spec.ports.map((port) =>
        entryEndpoint(machine, { name: port.name, number: workloadPort(machine.spec, port) }, cluster?.name ?? "", networks),
      ),
    );
  return cluster === undefined ? machines : [...selectPods(cluster, networks, entry, selector), ...machines];
}

function selectPods(
  cluster: KubernetesCluster,
  networks: Networks,
  entry: MeshObject<ServiceEntrySpec>,
  selector: Readonly<Record<string, string>>,
): readonly MeshEndpoint[] {
  const workloads = workloadsOf(cluster);
  return cluster.pods
    .filter((pod) => pod.meta.namespace === entry.meta.namespace && labelsMatch(selector, pod.meta.labels))
    .flatMap((pod) => {
      const [address] = pod.spec.ips;
      const workload = workloads.findProxy(pod.meta.namespace, pod.meta.name, []);
      if (address === undefined || workload === undefined) return [];
      const network = networks.networkOf(cluster.name, address, pod.meta.labels);
      const { locality } = workload;
      return entry.spec.ports.map((port): MeshEndpoint => ({
        address,
        moreAddresses: [],
        portName: port.name,
        port: port.targetPort === 0 ? port.number : port.targetPort,
        cluster: cluster.name,
        network,
        locality,
        weight: 0,
        mutualTls: pod.meta.labels["security.istio.io/tlsMode"] === "istio",
        nodeName: pod.spec.nodeName,
        ready: true,
        draining: false,
        labels: withTopology(pod.meta.labels, { cluster: cluster.name, network, node: pod.spec.nodeName, locality }),
        serviceAccount: pod.spec.serviceAccount,
        namespace: pod.meta.namespace,
        workloadName: workloadName(pod),
        hostname: "",
        subdomain: "",
      }));
    });
}
