// Endpoints: what each one is, why it is called with or without mTLS, and which of a service's are not there.
import type { Cluster } from "../../envoy/cluster/cluster.ts";
import { indexPeerAuthentications, modeAtPort, scopeOf } from "../../source/mesh/istio/peer-authentications.ts";
import { compileLeftOut, type LeftOut, reachOf } from "../../source/mesh/outbound/endpoints.ts";
import { inNetwork } from "../../source/mesh/proxy.ts";
import type { KubernetesEndpoint } from "../../source/mesh/registry/kubernetes-objects.ts";
import { labelsMatch, type MeshEndpoint } from "../../source/mesh/registry/service.ts";
import { formatAddress } from "../../upstream/host.ts";
import type { Place, Reason } from "../explanation.ts";
import type { EndpointFacts, MeshKnowledge, MissingEndpoint } from "../knowledge.ts";
import { type ClusterOf, clusterOf, type MeshContext, nameOf } from "./context.ts";

type Endpoints = Pick<MeshKnowledge, "endpoint" | "missing">;

/** Knowledge of endpoints. */
export function knowEndpoints(context: MeshContext): Endpoints {
  const authentication = indexPeerAuthentications(context.view.mesh);
  const modeOf = ({ namespace, labels, port }: MeshEndpoint): string => modeAtPort(authentication.ofWorkload(namespace, labels), port);
  return {
    endpoint: (cluster, address) => {
      const of = clusterOf(context, cluster);
      const found = of?.service.endpoints.find((endpoint) => endpoint.portName === of.port.name && addressOf(endpoint) === address);
      return of && found && factsOf(context, of, found, modeOf(found));
    },
    missing: (cluster) => missingOf(context, cluster),
  };
}

const addressOf = ({ address, port }: MeshEndpoint): string => formatAddress({ address, port });

function factsOf(context: MeshContext, of: ClusterOf, endpoint: MeshEndpoint, mode: string): EndpointFacts {
  const { view } = context;
  const { cluster, network, workloadName, mutualTls } = endpoint;
  // A PeerAuthentication is enforced by the workload's sidecar; without one there is nobody to demand anything.
  const strict = mutualTls && mode === "STRICT";
  return {
    cluster,
    network,
    workload: workloadName,
    strict,
    whyTls: whyTls(context, of, endpoint, mode),
    astray: !inNetwork(view.proxy, network) && reachOf(view, of.service, endpoint, mutualTls, of.sniDnat) === "direct",
  };
}

function whyTls(context: MeshContext, { service, subset, port, rule }: ClusterOf, endpoint: MeshEndpoint, mode: string): Reason {
  const { view, places } = context;
  const policy = view.policyOf(service, subset, port);
  if (policy.tls !== undefined && rule !== undefined)
    return { text: `${nameOf(rule.meta)} says tls mode ${policy.tls.mode}`, place: places.of(rule.meta, ["spec", "trafficPolicy", "tls"]) };
  if (!view.mesh.config.enableAutoMtls) return { text: "enableAutoMtls of the mesh is false" };
  if (service.meshExternal) return { text: `${service.hostname} is outside the mesh (MESH_EXTERNAL)` };
  if (!endpoint.mutualTls)
    return { text: `auto mTLS: ${endpoint.workloadName || endpoint.address} has no sidecar (no label security.istio.io/tlsMode: istio)` };
  const place = policyPlace(context, endpoint);
  const because = place === undefined ? {} : { place };
  if (mode === "DISABLE") return { text: "auto mTLS: PeerAuthentication DISABLE holds for the workload", ...because };
  if (view.tlsOf(service, subset, port) === "none")
    return { text: "auto mTLS: not for a cluster whose callers choose the address, unless every endpoint takes it" };
  return { text: `auto mTLS: ${endpoint.workloadName || endpoint.address} has a sidecar, PeerAuthentication ${mode}`, ...because };
}

/** The policy that holds for a workload: its own before its namespace's before the mesh's. */
function policyPlace({ view, places }: MeshContext, { namespace, labels }: MeshEndpoint): Place | undefined {
  const { mesh } = view;
  const policies = mesh.peerAuthentications;
  const scoped = policies.map((policy) => ({ policy, scope: scopeOf(policy, mesh.config.rootNamespace) }));
  const found =
    scoped.find(
      ({ policy, scope }) => scope === "workload" && policy.meta.namespace === namespace && labelsMatch(policy.spec.selector, labels),
    ) ??
    scoped.find(({ policy, scope }) => scope === "namespace" && policy.meta.namespace === namespace) ??
    scoped.find(({ scope }) => scope === "mesh");
  return found && places.of(found.policy.meta);
}

const words: Readonly<Record<LeftOut | "no_mutual_tls" | "no_address", string>> = {
  not_ready: "it is not ready",
  subset_labels: "its labels are not those of the subset",
  cluster_local: "it is in another cluster, and the service is clusterLocal",
  network_view: "its network is none of those this proxy asks to see (REQUESTED_NETWORK_VIEW)",
  node_local: "it is on another Node, and the Service has internalTrafficPolicy Local",
  no_address: "it has no address, and no gateway leads to its network from here",
  no_mutual_tls: "it takes no mTLS, and gateways of networks route by the SNI of mTLS",
};

function missingOf(context: MeshContext, cluster: Cluster): readonly MissingEndpoint[] {
  const { view } = context;
  const of = clusterOf(context, cluster);
  if (of === undefined) return [];
  const { service, port, subset, sniDnat } = of;
  const whyLeftOut = compileLeftOut(view, service, subset);
  const takesMutualTls = view.takesMutualTls(service, subset, port);
  const left = service.endpoints.flatMap((endpoint): readonly MissingEndpoint[] => {
    if (endpoint.portName !== port.name) return [];
    const reach = reachOf(view, service, endpoint, takesMutualTls(endpoint), sniDnat);
    const why = whyLeftOut(endpoint) ?? (reach === "no_mutual_tls" || reach === "no_address" ? reach : undefined);
    if (why === undefined) return [];
    const place =
      why === "subset_labels" && of.rule !== undefined && subset !== undefined
        ? { place: context.places.of(of.rule.meta, ["spec", "subsets", of.rule.spec.subsets.indexOf(subset)]) }
        : {};
    return [
      {
        address: addressOf(endpoint),
        cluster: endpoint.cluster,
        why,
        text: `${endpoint.workloadName === "" ? "" : `${endpoint.workloadName}: `}${words[why]}`,
        ...place,
      },
    ];
  });
  return [...left, ...unregistered(context, of)];
}

/** Endpoints of slices that never became endpoints of the service. */
function unregistered({ view, places }: MeshContext, { service, port }: ClusterOf): readonly MissingEndpoint[] {
  if (service.registry !== "Kubernetes") return [];
  const known = new Set(service.endpoints.map(({ cluster, address }) => `${cluster} ${address}`));
  return view.mesh.clusters.flatMap((cluster) =>
    cluster.endpointSlices
      .filter(({ meta, spec }) => meta.namespace === service.namespace && spec.serviceName === service.name)
      .flatMap(({ meta, spec }) =>
        spec.endpoints.flatMap((endpoint) =>
          endpoint.addresses
            .filter((address) => !known.has(`${cluster.name} ${address}`))
            .map((address): MissingEndpoint => {
              const number = spec.ports.find((each) => each.name === port.name)?.port;
              const shown = number === undefined ? address : formatAddress({ address, port: number });
              return {
                address: shown,
                cluster: cluster.name,
                ...whyUnregistered(
                  cluster.pods.map((pod) => `${pod.meta.namespace}/${pod.meta.name}`),
                  endpoint,
                ),
                place: places.of(meta),
              };
            }),
        ),
      ),
  );
}

function whyUnregistered(pods: readonly string[], endpoint: KubernetesEndpoint): Pick<MissingEndpoint, "why" | "text"> {
  const pod = `${endpoint.podNamespace}/${endpoint.podName}`;
  if (endpoint.podName !== "" && !pods.includes(pod)) return { why: "no_pod", text: `its Pod ${pod} is not in the directory` };
  if (!endpoint.ready && endpoint.terminating) return { why: "terminating", text: "it is terminating" };
  return { why: "no_port", text: "its slice has none of the service's ports" };
}
