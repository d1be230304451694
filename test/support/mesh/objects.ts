// Kubernetes and Istio objects of a test mesh as plain data: only what the translation reads, with the defaults of a small mesh.

/** An object as it stands in a file. */
export type MeshJson = Readonly<Record<string, unknown>>;

/** A port of a Service. A name with a protocol prefix (`http`, `tcp-...`) says what is spoken. */
export interface PortSpec {
  readonly name: string;
  readonly port: number;
  /** Where the application listens: a number, or the name of a container port. */
  readonly targetPort?: number | string;
}

/** A Pod and the ports it serves. */
export interface WorkloadSpec {
  readonly name: string;
  readonly ip: string;
  /** Port numbers by the name of the Service's port. */
  readonly ports: Readonly<Record<string, number>>;
  /** Default `default`. */
  readonly namespace?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly node?: string;
  /** It has a sidecar that takes mTLS. */
  readonly mutualTls?: boolean;
}

/** A proxy of nodes.yaml; interception NONE, so that it binds the addresses it stands for. */
export interface NodeSpec {
  readonly name: string;
  readonly ip: string;
  readonly cluster: string;
  readonly kind?: "sidecar" | "router";
  readonly namespace?: string;
  readonly network?: string;
  readonly labels?: Readonly<Record<string, string>>;
  /** `region/zone`. */
  readonly locality?: string;
  readonly metadata?: MeshJson;
}

/** The label by which Istio knows that a workload takes mTLS. */
export const takesMutualTls = { "security.istio.io/tlsMode": "istio" };

/** A Service. */
export function service(name: string, clusterIp: string, ports: readonly PortSpec[], more: MeshJson = {}): MeshJson {
  const { namespace = "default", labels = {}, spec = {} } = more as { namespace?: string; labels?: object; spec?: object };
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name, namespace, labels },
    spec: { clusterIP: clusterIp, selector: { app: name }, ports: ports.map((port) => ({ targetPort: port.port, ...port })), ...spec },
  };
}

/** A Pod with an EndpointSlice of its own that makes it an endpoint of `serviceName`. */
export function workload(serviceName: string, spec: WorkloadSpec): readonly MeshJson[] {
  return [pod(serviceName, spec), endpoints(serviceName, spec)];
}

/** The Pod of a workload. */
export function pod(app: string, { name, ip, ports, namespace = "default", labels = {}, node, mutualTls = false }: WorkloadSpec): MeshJson {
  const containerPorts = Object.entries(ports).map(([portName, containerPort]) => ({ name: portName, containerPort }));
  return {
    apiVersion: "v1",
    kind: "Pod",
    // Takes no outbound traffic: on one machine only the caller's sidecar may bind the addresses of the services.
    metadata: {
      name,
      namespace,
      labels: { app, ...labels, ...(mutualTls ? takesMutualTls : {}) },
      annotations: { "traffic.sidecar.istio.io/includeOutboundIPRanges": "" },
    },
    spec: {
      serviceAccountName: app,
      ...(node === undefined ? {} : { nodeName: node }),
      containers: [{ name: "app", image: "app", ports: containerPorts }],
    },
    status: { phase: "Running", podIP: ip, podIPs: [{ ip }] },
  };
}

/** The EndpointSlice of one workload. */
export function endpoints(serviceName: string, { name, ip, ports, namespace = "default", node }: WorkloadSpec): MeshJson {
  return {
    apiVersion: "discovery.k8s.io/v1",
    kind: "EndpointSlice",
    metadata: { name: `${serviceName}-${name}`, namespace, labels: { "kubernetes.io/service-name": serviceName } },
    addressType: "IPv4",
    ports: Object.entries(ports).map(([portName, port]) => ({ name: portName, port })),
    endpoints: [
      {
        addresses: [ip],
        conditions: { ready: true },
        targetRef: { kind: "Pod", name, namespace },
        ...(node === undefined ? {} : { nodeName: node }),
      },
    ],
  };
}

/** A Kubernetes node in a region and zone. */
export function kubernetesNode(name: string, region: string, zone: string): MeshJson {
  return {
    apiVersion: "v1",
    kind: "Node",
    metadata: { name, labels: { "topology.kubernetes.io/region": region, "topology.kubernetes.io/zone": zone } },
  };
}

/** An object of networking.istio.io in namespace `default` unless `namespace` says otherwise. */
export function istio(kind: string, name: string, spec: MeshJson, namespace = "default"): MeshJson {
  return { apiVersion: "networking.istio.io/v1", kind, metadata: { name, namespace }, spec };
}

/** An entry of nodes.yaml. */
export function proxyNode(spec: NodeSpec): MeshJson {
  const { name, ip, cluster, kind = "sidecar", namespace = "default", network = "", labels = {}, locality, metadata = {} } = spec;
  return {
    name,
    id: `${kind}~${ip}~${name}.${namespace}~${namespace}.svc.cluster.local`,
    ...(locality === undefined ? {} : { locality }),
    metadata: {
      CLUSTER_ID: cluster,
      NETWORK: network,
      NAMESPACE: namespace,
      NAME: name,
      SERVICE_ACCOUNT: name,
      INSTANCE_IPS: ip,
      INTERCEPTION_MODE: "NONE",
      LABELS: labels,
      ...metadata,
    },
  };
}
