// The two containers and the volumes that a pod gets, as plain JSON.
import type { GivenFlags } from "../intercept/flags.ts";
import { healthPort, initName, type InjectOptions, prometheusPort, proxyName, proxyUid, statusPort } from "./options.ts";
import type { JsonObject } from "./pods.ts";

/** What of a pod decides about its containers. */
export interface SidecarInput {
  readonly annotations: Readonly<Record<string, string>>;
  /** Of `isthmus intercept apply`, from those annotations. */
  readonly interception: GivenFlags;
  readonly workload: { readonly kind: string; readonly apiVersion: string; readonly name: string; readonly namespace: string };
  readonly serviceAccount: string;
  /** Values of ISTIO_KUBE_APP_PROBERS and ISTIO_PROMETHEUS_ANNOTATIONS; undefined = not set. */
  readonly probers: string | undefined;
  readonly prometheus: string | undefined;
}

const meshVolume = "isthmus-mesh";
const certsVolume = "isthmus-certs";
const meshFolder = "/etc/isthmus/mesh";
const certsFolder = "/etc/isthmus/certs";
// Istio's names and places of what asking istiod takes; the ConfigMap is the one that istiod writes into every namespace.
const tokenVolume = "istio-token";
const tokenFolder = "/var/run/secrets/tokens";
const rootsVolume = "istiod-ca-cert";
const rootsFolder = "/var/run/secrets/istio";
const rootsConfigMap = "istio-ca-root-cert";

/** The ports by name, so that they answer from the start, and whatever the interception. */
const ports = [`--health=[::]:${healthPort}`, `--status=[::]:${statusPort}`, `--prometheus=[::]:${prometheusPort}`];

const proxyArgs = ({ caAddress }: InjectOptions): readonly string[] => [
  "run",
  "--mesh",
  meshFolder,
  ...(caAddress === undefined ? ["--certs", certsFolder] : [`--ca-address=${caAddress}`]),
  ...ports,
];

/** Sets the packet rules and ends; the only one with capabilities. Undefined where nothing is intercepted. */
export function initContainer({ annotations, interception }: SidecarInput, options: InjectOptions): JsonObject | undefined {
  if (interception["istio-inbound-interception-mode"] === "NONE") return undefined;
  const flags = Object.entries(interception).map(([name, value]) => `--${name}=${value}`);
  return {
    name: initName,
    ...imageOf(annotations, options),
    args: ["intercept", "apply", ...flags, ...(options.dnsCapture ? ["--redirect-dns"] : [])],
    resources: { requests: { cpu: "10m", memory: "64Mi" }, limits: { cpu: "2", memory: "256Mi" } },
    securityContext: {
      allowPrivilegeEscalation: false,
      capabilities: { add: ["NET_ADMIN", "NET_RAW"], drop: ["ALL"] },
      privileged: false,
      // iptables keeps its lock file under /run.
      readOnlyRootFilesystem: false,
      runAsGroup: 0,
      runAsNonRoot: false,
      runAsUser: 0,
    },
  };
}

/** The proxy, as a native sidecar: it starts before the application's containers and ends after them, in jobs too. */
export function proxyContainer(input: SidecarInput, options: InjectOptions): JsonObject {
  const { annotations, interception } = input;
  const level = annotations["sidecar.istio.io/logLevel"];
  return {
    name: proxyName,
    ...imageOf(annotations, options),
    restartPolicy: "Always",
    args: [...proxyArgs(options), ...(level === undefined ? [] : [`--log-level=${level}`])],
    env: environment(input, options),
    ports: [{ containerPort: prometheusPort, name: "http-envoy-prom", protocol: "TCP" }],
    // The application's containers start when this has succeeded once.
    startupProbe: { ...readiness, periodSeconds: 1, timeoutSeconds: 3, failureThreshold: 600 },
    readinessProbe: {
      ...readiness,
      ...number(annotations, "initialDelaySeconds"),
      periodSeconds: 15,
      timeoutSeconds: 3,
      failureThreshold: 4,
      ...number(annotations, "periodSeconds"),
      ...number(annotations, "failureThreshold"),
    },
    // Runs when the pod begins to end; SIGTERM comes when the application's containers have ended.
    lifecycle: { preStop: { exec: { command: ["isthmus", "request", `--debug-port=${statusPort}`, "POST", "drain"] } } },
    resources: resources(annotations),
    securityContext: proxySecurity(interception["istio-inbound-interception-mode"] === "TPROXY"),
    volumeMounts: [
      { name: meshVolume, mountPath: meshFolder, readOnly: true },
      ...(options.caAddress === undefined
        ? [{ name: certsVolume, mountPath: certsFolder, readOnly: true }]
        : [
            { name: tokenVolume, mountPath: tokenFolder, readOnly: true },
            { name: rootsVolume, mountPath: rootsFolder, readOnly: true },
          ]),
    ],
  };
}

// Istio's audience and life of a token, which the kubelet renews.
const tokenSource: JsonObject = { serviceAccountToken: { audience: "istio-ca", expirationSeconds: 43_200, path: "istio-token" } };

/** Mesh directory, and certificate or what one is asked for with. The pod waits for all, but not for those files that a mesh may lack. */
export function volumes({ serviceAccount }: SidecarInput, options: InjectOptions): readonly JsonObject[] {
  const { meshConfigMap: name, clusters, certsSecret, caAddress } = options;
  const item = (key: string, path: string): JsonObject => ({ key, path });
  const needed = [
    item("meshconfig.yaml", "meshconfig.yaml"),
    ...clusters.map((cluster) => item(`k8s-${cluster}.yaml`, `k8s/${cluster}.yaml`)),
  ];
  const sources = [
    { configMap: { name, items: needed } },
    { configMap: { name, optional: true, items: [item("networks.yaml", "networks.yaml"), item("istio.yaml", "istio/istio.yaml")] } },
  ];
  return [
    { name: meshVolume, projected: { sources } },
    ...(caAddress === undefined
      ? [{ name: certsVolume, secret: { secretName: certsSecret ?? `isthmus.${serviceAccount}` } }]
      : [
          { name: tokenVolume, projected: { sources: [tokenSource] } },
          { name: rootsVolume, configMap: { name: rootsConfigMap } },
        ]),
  ];
}

const readiness: JsonObject = { httpGet: { path: "/healthz/ready", port: healthPort } };

function imageOf(annotations: SidecarInput["annotations"], { image, imagePullPolicy }: InjectOptions): JsonObject {
  return { image: annotations["sidecar.istio.io/proxyImage"] ?? image, ...(imagePullPolicy === undefined ? {} : { imagePullPolicy }) };
}

function environment({ interception, workload, probers, prometheus }: SidecarInput, options: InjectOptions): readonly JsonObject[] {
  const field = (name: string, fieldPath: string): JsonObject => ({ name, valueFrom: { fieldRef: { fieldPath } } });
  const { kind, apiVersion, name, namespace } = workload;
  const values: Readonly<Record<string, string | undefined>> = {
    ISTIO_META_CLUSTER_ID: options.cluster,
    ISTIO_META_NETWORK: options.network,
    ISTIO_META_INTERCEPTION_MODE: interception["istio-inbound-interception-mode"],
    ISTIO_META_DNS_CAPTURE: options.dnsCapture && interception["istio-inbound-interception-mode"] !== "NONE" ? "true" : undefined,
    ISTIO_META_WORKLOAD_NAME: name,
    ISTIO_META_OWNER: `kubernetes://apis/${apiVersion}/namespaces/${namespace}/${kind.toLowerCase()}s/${name}`,
    ISTIO_KUBE_APP_PROBERS: probers,
    ISTIO_PROMETHEUS_ANNOTATIONS: prometheus,
  };
  return [
    field("POD_NAME", "metadata.name"),
    field("POD_NAMESPACE", "metadata.namespace"),
    field("INSTANCE_IP", "status.podIP"),
    field("SERVICE_ACCOUNT", "spec.serviceAccountName"),
    ...Object.entries(values).flatMap(([key, value]) => (value === undefined ? [] : [{ name: key, value }])),
  ];
}

// TPROXY sets a socket option that takes NET_ADMIN, which an ordinary user's process would not get from `add`.
function proxySecurity(tproxy: boolean): JsonObject {
  return {
    allowPrivilegeEscalation: false,
    capabilities: { ...(tproxy ? { add: ["NET_ADMIN"] } : {}), drop: ["ALL"] },
    privileged: false,
    readOnlyRootFilesystem: true,
    runAsGroup: proxyUid,
    runAsNonRoot: !tproxy,
    runAsUser: tproxy ? 0 : proxyUid,
  };
}

// Istio's defaults, but for the memory: a process of Node with two workers.
function resources(annotations: SidecarInput["annotations"]): JsonObject {
  const own = (name: string): string | undefined => annotations[`sidecar.istio.io/${name}`];
  return {
    requests: { cpu: own("proxyCPU") ?? "100m", memory: own("proxyMemory") ?? "256Mi" },
    limits: { cpu: own("proxyCPULimit") ?? "2", memory: own("proxyMemoryLimit") ?? "1Gi" },
  };
}

function number(annotations: SidecarInput["annotations"], name: string): JsonObject {
  const value = annotations[`readiness.status.sidecar.istio.io/${name}`];
  return value !== undefined && /^\d{1,6}$/.test(value) ? { [name]: Number(value) } : {};
}
