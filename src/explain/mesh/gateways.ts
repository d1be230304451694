// Gateways of other networks: the Service an endpoint address is of, the workload behind it, and that workload's own configuration.
import type { Node } from "../../envoy/bootstrap.ts";
import type { MeshObject } from "../../source/mesh/object/mesh-object.ts";
import type { KubernetesCluster, KubernetesPod, KubernetesService } from "../../source/mesh/registry/kubernetes-objects.ts";
import { labelsMatch } from "../../source/mesh/registry/service.ts";
import type { NetworkGateway } from "../../source/mesh/registry/networks.ts";
import { formatAddress } from "../../upstream/host.ts";
import type { FarGateway } from "../knowledge.ts";
import type { MeshContext } from "./context.ts";

/** The gateway at an address; undefined when it is none. */
export function gatewayAt(context: MeshContext, address: string): FarGateway | undefined {
  const { view, loaded, places } = context;
  const gateway = view.networks.gateways.find((each) => formatAddress(each) === address);
  if (gateway === undefined) return undefined;
  const { network, cluster: name, port } = gateway;
  const owner = findOwner(view.mesh.clusters, gateway);
  const named = [...loaded.nodes.values()].find((node) => node.id.startsWith(`router~${gateway.address}~`));
  const node = named ?? (owner && nodeBehind(owner, network));
  const target = owner?.service.spec.ports.find((each) => each.port === port)?.targetPort;
  return {
    network,
    cluster: name || (owner?.cluster.name ?? ""),
    ...(owner === undefined ? {} : { place: places.of(owner.service.meta) }),
    config: node && context.configOf(node),
    port: typeof target === "number" ? target : port,
  };
}

interface Owner {
  readonly cluster: KubernetesCluster;
  readonly service: MeshObject<KubernetesService>;
}

function findOwner(clusters: readonly KubernetesCluster[], gateway: NetworkGateway): Owner | undefined {
  return clusters
    .filter((cluster) => gateway.cluster === "" || cluster.name === gateway.cluster)
    .flatMap((cluster) => cluster.services.map((service) => ({ cluster, service })))
    .find(({ service: { spec } }) => [...spec.externalIps, ...spec.loadBalancer.map(({ ip }) => ip)].includes(gateway.address));
}

/** The node of a pod that the gateway's Service selects. A Gateway selects by labels, so a Service without pods still tells them. */
function nodeBehind({ cluster, service }: Owner, network: string): Node | undefined {
  const { selector } = service.spec;
  if (Object.keys(selector).length === 0) return undefined;
  const pod = cluster.pods.find(({ meta }) => meta.namespace === service.meta.namespace && labelsMatch(selector, meta.labels));
  const name = pod?.meta.name ?? service.meta.name;
  const ip = firstIp(pod) ?? "127.0.0.1";
  const { namespace } = service.meta;
  return {
    id: `router~${ip}~${name}.${namespace}~${namespace}.svc.cluster.local`,
    cluster: "",
    locality: { region: "", zone: "", subZone: "" },
    metadata: {
      CLUSTER_ID: cluster.name,
      NETWORK: network,
      NAMESPACE: namespace,
      NAME: name,
      INSTANCE_IPS: ip,
      // As istioctl and the charts deploy east-west gateways: each speaks for its own network.
      REQUESTED_NETWORK_VIEW: network,
      LABELS: pod?.meta.labels ?? selector,
    },
  };
}

const firstIp = (pod: MeshObject<KubernetesPod> | undefined): string | undefined => pod?.spec.ips[0];
