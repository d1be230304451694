// Istio's MeshConfig (`meshconfig.yaml`), narrowed to what decides the resources of a proxy.
import { type AutoAllocateSettings, defaultAutoAllocate, readAutoAllocate } from "./auto-allocate.ts";
import { type AuthorizerSettings, readExtensionProviders } from "./istio/extension-provider.ts";
import { readTcpKeepalive, type TcpKeepalive } from "./istio/connection-pool.ts";
import { type GatewayTopology, nothingInFront, readGatewayTopology } from "./istio/gateway-topology.ts";
import { type LocalitySetting, readLocalitySetting } from "./istio/locality-setting.ts";
import { readRetries, type Retries } from "./istio/route/http-policy.ts";
import { type MeshTlsParameters, noTlsParameters, readTlsParameters } from "./istio/tls-parameters.ts";
import { readDuration } from "./object/duration.ts";
import { type Fields, isMapping } from "./object/fields.ts";
import { type LabelSelector, readLabelSelector } from "./object/label-selector.ts";

/** A service setting that keeps hosts inside their own cluster, or takes that back. */
export interface ClusterLocalRule {
  readonly hosts: readonly string[];
  readonly clusterLocal: boolean;
}

/** MeshConfig. */
export interface MeshConfig {
  /** `accessLogFile`; empty (Istio's default) writes no access log. */
  readonly accessLogFile: string;
  readonly accessLogEncoding: "TEXT" | "JSON";
  /** `accessLogFormat`; empty means Istio's own format. */
  readonly accessLogFormat: string;
  /** Default `cluster.local`. */
  readonly trustDomain: string;
  readonly trustDomainAliases: readonly string[];
  /** Default `istio-system`. */
  readonly rootNamespace: string;
  /** `outboundTrafficPolicy.mode`; default ALLOW_ANY. */
  readonly outboundPolicy: "ALLOW_ANY" | "REGISTRY_ONLY";
  /** h2UpgradePolicy: HTTP/1.1 goes on as HTTP/2 where no DestinationRule says otherwise. */
  readonly h2Upgrade: boolean;
  /** proto3 JSON duration; default `10s`. */
  readonly connectTimeout: string;
  /** proto3 JSON duration; default `60s`. */
  readonly dnsRefreshRate: string;
  /** proto3 JSON duration; default `0s`, so that a silent client never holds a listener filter. */
  readonly protocolDetectionTimeout: string;
  /** Default true. */
  readonly enableAutoMtls: boolean;
  readonly clusterLocal: readonly ClusterLocalRule[];
  /** `localityLbSetting`, for services whose DestinationRule has none. */
  readonly locality: LocalitySetting;
  /** `tcpKeepalive` of every upstream connection; undefined sends no probes. */
  readonly tcpKeepalive: TcpKeepalive | undefined;
  /** `defaultDestinationRuleExportTo`: `.` keeps rules without exportTo in their namespace. */
  readonly destinationRuleExportTo: readonly string[];
  /** `defaultServiceExportTo`, for services and entries without exportTo: `.`, `*` (the default) or `~`. */
  readonly serviceExportTo: readonly string[];
  /** `defaultVirtualServiceExportTo`, in the same way. */
  readonly virtualServiceExportTo: readonly string[];
  /** `defaultHttpRetryPolicy`, for routes without retries of their own; undefined: Istio's. */
  readonly retries: Retries | undefined;
  /** `extensionProviders` that action CUSTOM can name. */
  readonly authorizers: readonly AuthorizerSettings[];
  /** `discoverySelectors`: a namespace is discovered when one of them selects its labels; empty discovers all. */
  readonly discoverySelectors: readonly LabelSelector[];
  /** `meshMTLS`, of the servers of the mesh. */
  readonly meshMtls: MeshTlsParameters;
  /** `tlsDefaults`, of gateways and of clients that begin TLS of their own. */
  readonly tlsDefaults: MeshTlsParameters;
  /** `defaultConfig.discoveryAddress`; default `istiod.istio-system.svc:15012`. */
  readonly discoveryAddress: string;
  /** `defaultConfig.gatewayTopology`, for gateways whose node has no PROXY_CONFIG. */
  readonly gatewayTopology: GatewayTopology;
  /** `defaultConfig.proxyMetadata`, e.g. ISTIO_META_DNS_CAPTURE. */
  readonly proxyMetadata: Readonly<Record<string, string>>;
  /** How ServiceEntry hosts get addresses; from `proxyMetadata`, then from the environment and flags of the process. */
  readonly autoAllocate: AutoAllocateSettings;
}

/** What an empty `meshconfig.yaml` means. */
export const defaultMeshConfig: MeshConfig = {
  accessLogFile: "",
  accessLogEncoding: "TEXT",
  accessLogFormat: "",
  trustDomain: "cluster.local",
  trustDomainAliases: [],
  rootNamespace: "istio-system",
  outboundPolicy: "ALLOW_ANY",
  h2Upgrade: false,
  connectTimeout: "10s",
  dnsRefreshRate: "60s",
  protocolDetectionTimeout: "0s",
  enableAutoMtls: true,
  clusterLocal: [],
  locality: { enabled: true, distribute: [], failover: [], failoverPriority: [] },
  tcpKeepalive: undefined,
  destinationRuleExportTo: ["*"],
  serviceExportTo: ["*"],
  virtualServiceExportTo: ["*"],
  retries: undefined,
  authorizers: [],
  discoverySelectors: [],
  meshMtls: noTlsParameters,
  tlsDefaults: noTlsParameters,
  discoveryAddress: "istiod.istio-system.svc:15012",
  gatewayTopology: nothingInFront,
  proxyMetadata: {},
  autoAllocate: defaultAutoAllocate,
};

/** Reads MeshConfig; the defaults are Istio's. */
export function readMeshConfig(root: Fields): MeshConfig {
  const policy = root.child("outboundTrafficPolicy");
  const outboundPolicy = policy?.oneOf("mode", ["ALLOW_ANY", "REGISTRY_ONLY"]);
  policy?.finish();
  const defaults = root.child("defaultConfig");
  const retries = root.child("defaultHttpRetryPolicy");
  const proxyMetadata = defaults?.stringMap("proxyMetadata") ?? {};
  const allocation = readAutoAllocate(proxyMetadata, defaultAutoAllocate);
  for (const { path, message } of allocation.issues) defaults?.child("proxyMetadata")?.error(path.join("."), message);
  const config: MeshConfig = {
    accessLogFile: root.string("accessLogFile") ?? defaultMeshConfig.accessLogFile,
    accessLogEncoding: root.oneOf("accessLogEncoding", ["TEXT", "JSON"]) ?? defaultMeshConfig.accessLogEncoding,
    accessLogFormat: root.string("accessLogFormat") ?? defaultMeshConfig.accessLogFormat,
    trustDomain: root.string("trustDomain") ?? defaultMeshConfig.trustDomain,
    trustDomainAliases: root.strings("trustDomainAliases"),
    rootNamespace: root.string("rootNamespace") ?? defaultMeshConfig.rootNamespace,
    outboundPolicy: outboundPolicy ?? defaultMeshConfig.outboundPolicy,
    h2Upgrade: root.oneOf("h2UpgradePolicy", ["DO_NOT_UPGRADE", "UPGRADE"]) === "UPGRADE",
    connectTimeout: readDuration(root, "connectTimeout") ?? defaultMeshConfig.connectTimeout,
    dnsRefreshRate: readDuration(root, "dnsRefreshRate") ?? defaultMeshConfig.dnsRefreshRate,
    protocolDetectionTimeout: readDuration(root, "protocolDetectionTimeout") ?? defaultMeshConfig.protocolDetectionTimeout,
    enableAutoMtls: root.boolean("enableAutoMtls") ?? defaultMeshConfig.enableAutoMtls,
    clusterLocal: root.list("serviceSettings", readServiceSetting),
    locality: readLocalitySetting(root, "localityLbSetting") ?? defaultMeshConfig.locality,
    tcpKeepalive: readTcpKeepalive(root),
    destinationRuleExportTo: root.strings("defaultDestinationRuleExportTo"),
    serviceExportTo: readExportTo(root, "defaultServiceExportTo"),
    virtualServiceExportTo: readExportTo(root, "defaultVirtualServiceExportTo"),
    retries: retries && readRetries(retries),
    authorizers: readExtensionProviders(root),
    discoverySelectors: root.list("discoverySelectors", readLabelSelector),
    meshMtls: readTlsParameters(root, "meshMTLS"),
    tlsDefaults: readTlsParameters(root, "tlsDefaults"),
    discoveryAddress: defaults?.string("discoveryAddress") ?? defaultMeshConfig.discoveryAddress,
    gatewayTopology: readGatewayTopology(defaults),
    proxyMetadata,
    autoAllocate: allocation.settings,
  };
  if (config.accessLogEncoding === "JSON" && config.accessLogFormat !== "" && !isJsonObject(config.accessLogFormat)) {
    root.error("accessLogFormat", "is no JSON object, expected one as accessLogEncoding is JSON");
  }
  // What telemetry does is built in, and these only switch it on in Istio.
  root.ignore("defaultProviders", "enablePrometheusMerge", "ingressClass", "ingressService", "ingressSelector");
  root.ignore("ingressControllerMode", "configSources", "enableTracing", "proxyListenPort", "proxyInboundListenPort", "proxyHttpPort");
  root.notHonoured("inboundTrafficPolicy", "pathNormalization");
  root.notHonoured(
    "outboundClusterStatName",
    "inboundClusterStatName",
    "verifyCertificateAtClient",
    "disableEnvoyListenerLog",
    "accessLogStreaming",
  );
  root.notHonoured("ca", "caCertificates", "certificates");
  root.notHonoured("enableEnvoyAccessLogService", "hboneIdleTimeout", "dnsRefreshRateJitter", "thriftConfig");
  root.finish();
  return config;
}

/** As in Istio a default is `.`, `*` or, with names of namespaces alone, nobody. */
function readExportTo(root: Fields, key: string): readonly string[] {
  const targets = root.strings(key);
  if (targets.length === 0 || targets.includes(".")) return targets.length === 0 ? ["*"] : ["."];
  if (targets.includes("*")) return ["*"];
  if (!targets.includes("~")) root.warn(key, "names namespaces alone, which a default exports nothing to: expected . or *");
  return ["~"];
}

function isJsonObject(text: string): boolean {
  try {
    return isMapping(JSON.parse(text));
  } catch {
    return false;
  }
}

function readServiceSetting(item: Fields): ClusterLocalRule {
  const settings = item.child("settings");
  const rule = { hosts: item.strings("hosts"), clusterLocal: settings?.boolean("clusterLocal") ?? false };
  settings?.finish();
  item.finish();
  return rule;
}
