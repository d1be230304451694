// Readers of the Kubernetes kinds a mesh is made of. They take what decides routing and identity and leave the rest of
// these large kinds alone; they do not join objects with each other (kubernetes-services.ts does).
import type { Fields } from "../object/fields.ts";
import type { MeshObject, ObjectMeta } from "../object/mesh-object.ts";
import type { KubernetesSecret } from "./kubernetes-secret.ts";

/** A port of a Service. */
export interface KubernetesServicePort {
  readonly name: string;
  readonly port: number;
  readonly protocol: string;
  readonly appProtocol: string;
  /** A number, or the name of a container port; the service's own port when not given. */
  readonly targetPort: number | string;
}

/** v1 Service. */
export interface KubernetesService {
  readonly type: string;
  /** ClusterIPs, empty for a headless service. */
  readonly clusterIps: readonly string[];
  readonly headless: boolean;
  readonly externalName: string;
  readonly externalIps: readonly string[];
  readonly loadBalancer: readonly { readonly ip: string; readonly hostname: string }[];
  readonly selector: Readonly<Record<string, string>>;
  readonly ports: readonly KubernetesServicePort[];
  readonly publishNotReadyAddresses: boolean;
  /** `internalTrafficPolicy: Local`: only endpoints on the caller's own node. */
  readonly nodeLocal: boolean;
  readonly trafficDistribution: string;
}

/** One address set of an EndpointSlice, or one address of an Endpoints subset. */
export interface KubernetesEndpoint {
  readonly addresses: readonly string[];
  readonly ready: boolean;
  /** Still answers, ready or not. */
  readonly serving: boolean;
  /** On its way out, if it is not ready. */
  readonly terminating: boolean;
  readonly hostname: string;
  readonly nodeName: string;
  readonly podName: string;
  readonly podNamespace: string;
  readonly zone: string;
}

/** discovery.k8s.io/v1 EndpointSlice; a v1 Endpoints subset reads as one of these. */
export interface KubernetesEndpointSlice {
  readonly serviceName: string;
  /** Endpoints by host name (`addressType: FQDN`), which Istio leaves out. */
  readonly byName: boolean;
  readonly ports: readonly { readonly name: string; readonly port: number }[];
  readonly endpoints: readonly KubernetesEndpoint[];
}

/** v1 Pod. */
export interface KubernetesPod {
  readonly ips: readonly string[];
  readonly serviceAccount: string;
  readonly nodeName: string;
  readonly hostname: string;
  readonly subdomain: string;
  readonly containerPorts: readonly { readonly name: string; readonly port: number }[];
  readonly ownerKind: string;
  readonly ownerName: string;
}

/** Every Kubernetes object of one cluster that the mesh reads. */
export interface KubernetesCluster {
  readonly name: string;
  readonly services: readonly MeshObject<KubernetesService>[];
  readonly endpointSlices: readonly MeshObject<KubernetesEndpointSlice>[];
  readonly pods: readonly MeshObject<KubernetesPod>[];
  readonly nodes: readonly MeshObject<null>[];
  readonly namespaces: readonly MeshObject<null>[];
  readonly serviceAccounts: readonly MeshObject<null>[];
  readonly secrets: readonly MeshObject<KubernetesSecret>[];
}

/** v1 Service. */
export function readService(root: Fields): KubernetesService {
  const spec = root.child("spec");
  const ports = spec?.list("ports", readServicePort) ?? [];
  const clusterIp = spec?.string("clusterIP") ?? "";
  const clusterIps = spec?.strings("clusterIPs") ?? [];
  const ips = (clusterIps.length > 0 ? clusterIps : [clusterIp]).filter((ip) => ip !== "" && ip !== "None");
  const type = spec?.string("type") ?? "ClusterIP";
  const names = new Set<string>();
  for (const port of ports) {
    if (names.has(port.name)) spec?.error("ports", `has two ports named "${port.name}", expected a name for each`);
    names.add(port.name);
  }
  return {
    type,
    clusterIps: ips,
    headless: type !== "ExternalName" && ips.length === 0,
    externalName: spec?.string("externalName") ?? "",
    externalIps: spec?.strings("externalIPs") ?? [],
    loadBalancer:
      root
        .child("status")
        ?.child("loadBalancer")
        ?.list("ingress", (item) => ({ ip: item.string("ip") ?? "", hostname: item.string("hostname") ?? "" })) ?? [],
    selector: spec?.stringMap("selector") ?? {},
    ports,
    publishNotReadyAddresses: spec?.boolean("publishNotReadyAddresses") ?? false,
    nodeLocal: spec?.oneOf("internalTrafficPolicy", ["Cluster", "Local"]) === "Local",
    trafficDistribution: spec?.string("trafficDistribution") ?? "",
  };
}

function readServicePort(item: Fields): KubernetesServicePort {
  const port = item.requiredPort("port");
  const target = item.raw("targetPort");
  const named = typeof target === "string" && target !== "";
  return {
    name: item.string("name") ?? "",
    port,
    protocol: item.oneOf("protocol", ["TCP", "UDP", "SCTP"]) ?? "TCP",
    appProtocol: item.string("appProtocol") ?? "",
    targetPort: named ? target : (item.port("targetPort") ?? port),
  };
}

/** discovery.k8s.io/v1 EndpointSlice. */
export function readEndpointSlice(root: Fields, meta: ObjectMeta): KubernetesEndpointSlice {
  const serviceName = meta.labels["kubernetes.io/service-name"] ?? "";
  if (serviceName === "") root.error("metadata", "has no label kubernetes.io/service-name, expected the name of the slice's service");
  return {
    serviceName,
    byName: root.oneOf("addressType", ["IPv4", "IPv6", "FQDN"]) === "FQDN",
    ports: root.list("ports", readEndpointPort),
    endpoints: root.list("endpoints", (item) => {
      const conditions = item.child("conditions");
      const target = item.child("targetRef");
      const isPod = target?.string("kind") === "Pod";
      return {
        addresses: item.strings("addresses"),
        // Absent means unknown, which the API asks consumers to take as ready.
        ready: conditions?.boolean("ready") ?? true,
        serving: conditions?.boolean("serving") ?? true,
        // Absent means unknown as well, which Istio takes as terminating.
        terminating: conditions?.boolean("terminating") ?? true,
        hostname: item.string("hostname") ?? "",
        nodeName: item.string("nodeName") ?? "",
        podName: isPod ? (target.string("name") ?? "") : "",
        podNamespace: isPod ? (target.string("namespace") ?? meta.namespace) : "",
        zone: item.string("zone") ?? "",
      };
    }),
  };
}

/** v1 Endpoints: every subset becomes one slice of the service with the same name. */
export function readEndpoints(root: Fields, meta: ObjectMeta): readonly KubernetesEndpointSlice[] {
  const readAddress =
    (ready: boolean) =>
    (item: Fields): KubernetesEndpoint => {
      const target = item.child("targetRef");
      const isPod = target?.string("kind") === "Pod";
      return {
        addresses: [item.requiredString("ip")],
        ready,
        serving: true,
        terminating: !ready,
        hostname: item.string("hostname") ?? "",
        nodeName: item.string("nodeName") ?? "",
        podName: isPod ? (target.string("name") ?? "") : "",
        podNamespace: isPod ? (target.string("namespace") ?? meta.namespace) : "",
        zone: "",
      };
    };
  return root.list("subsets", (subset) => ({
    serviceName: meta.name,
    byName: false,
    ports: subset.list("ports", readEndpointPort),
    endpoints: [...subset.list("addresses", readAddress(true)), ...subset.list("notReadyAddresses", readAddress(false))],
  }));
}

const readEndpointPort = (item: Fields): { readonly name: string; readonly port: number } => ({
  name: item.string("name") ?? "",
  port: item.requiredPort("port"),
});

/** v1 Pod. */
export function readPod(root: Fields, meta: ObjectMeta): KubernetesPod {
  const spec = root.child("spec");
  const status = root.child("status");
  const ip = status?.string("podIP");
  const ips = status?.list("podIPs", (item) => item.string("ip") ?? "").filter((each) => each !== "") ?? [];
  const owner = root
    .child("metadata")
    ?.list("ownerReferences", (item) => ({
      kind: item.string("kind") ?? "",
      name: item.string("name") ?? "",
      controller: item.boolean("controller"),
    }))
    .find((each) => each.controller === true);
  const hash = meta.labels["pod-template-hash"];
  const isDeployment = owner?.kind === "ReplicaSet" && hash !== undefined && owner.name.endsWith(`-${hash}`);
  return {
    ips: ips.length > 0 ? ips : ip === undefined ? [] : [ip],
    serviceAccount: spec?.string("serviceAccountName") ?? "default",
    nodeName: spec?.string("nodeName") ?? "",
    hostname: spec?.string("hostname") ?? "",
    subdomain: spec?.string("subdomain") ?? "",
    containerPorts: (spec?.list("containers", (container) => container.list("ports", readContainerPort)) ?? []).flat(),
    ownerKind: isDeployment ? "Deployment" : (owner?.kind ?? ""),
    ownerName: isDeployment ? owner.name.slice(0, -hash.length - 1) : (owner?.name ?? ""),
  };
}

const readContainerPort = (item: Fields): { readonly name: string; readonly port: number } => ({
  name: item.string("name") ?? "",
  port: item.requiredPort("containerPort"),
});
