// What is the same for every pod of one injection: image, cluster, network, and where a pod finds its mesh and its certificate.

/** Settings of an injection. */
export interface InjectOptions {
  /** Of init container and sidecar; a pod's `sidecar.istio.io/proxyImage` wins. */
  readonly image: string;
  readonly imagePullPolicy: "Always" | "IfNotPresent" | "Never" | undefined;
  /** Cluster and network that the pods run in. */
  readonly cluster: string;
  readonly network: string | undefined;
  /** Namespace of objects that name none. */
  readonly namespace: string;
  /** ConfigMap with the mesh directory: keys meshconfig.yaml, networks.yaml, istio.yaml, and k8s-CLUSTER.yaml for each of `clusters`. */
  readonly meshConfigMap: string;
  /** Clusters whose k8s/CLUSTER.yaml the ConfigMap has. */
  readonly clusters: readonly string[];
  /** Secret with cert-chain.pem, key.pem and root-cert.pem; undefined = `isthmus.` and the pod's service account. */
  readonly certsSecret: string | undefined;
  /** HOST:PORT of istiod's certificate service; given, pods need no Secret: they ask it with their service account's token. */
  readonly caAddress: string | undefined;
  /** Lead DNS queries to the sidecar. */
  readonly dnsCapture: boolean;
}

/** Istio's user and group of a proxy, whose traffic is not intercepted. */
export const proxyUid = 1337;
/** Istio's names, which its tools look for. */
export const initName = "istio-init";
/** The sidecar's. */
export const proxyName = "istio-proxy";
/** Istio's default of `status.sidecar.istio.io/port`. */
export const statusPort = 15020;
/** Readiness. */
export const healthPort = 15021;
/** The proxy's own metrics. */
export const prometheusPort = 15090;
