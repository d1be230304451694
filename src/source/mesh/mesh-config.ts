// Istio's MeshConfig (`meshconfig.yaml`), narrowed to what decides the resources of a proxy.
import { isIP } from "node:net";
import type { Fields } from "./object/fields.ts";

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
  /** proto3 JSON duration; default `10s`. */
  readonly connectTimeout: string;
  /** proto3 JSON duration; default `60s`. */
  readonly dnsRefreshRate: string;
  /** proto3 JSON duration; default `0s`, so that a silent client never holds a listener filter. */
  readonly protocolDetectionTimeout: string;
  /** Default true. */
  readonly enableAutoMtls: boolean;
  readonly clusterLocal: readonly ClusterLocalRule[];
  /** `defaultConfig.proxyMetadata`, e.g. ISTIO_META_DNS_CAPTURE. */
  readonly proxyMetadata: Readonly<Record<string, string>>;
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
  connectTimeout: "10s",
  dnsRefreshRate: "60s",
  protocolDetectionTimeout: "0s",
  enableAutoMtls: true,
  clusterLocal: [],
  proxyMetadata: {},
};

/** Reads MeshConfig; the defaults are Istio's. */
export function readMeshConfig(root: Fields): MeshConfig {
  const policy = root.child("outboundTrafficPolicy");
  const outboundPolicy = policy?.oneOf("mode", ["ALLOW_ANY", "REGISTRY_ONLY"]);
  policy?.finish();
  const defaults = root.child("defaultConfig");
  const config: MeshConfig = {
    accessLogFile: root.string("accessLogFile") ?? defaultMeshConfig.accessLogFile,
    accessLogEncoding: root.oneOf("accessLogEncoding", ["TEXT", "JSON"]) ?? defaultMeshConfig.accessLogEncoding,
    accessLogFormat: root.string("accessLogFormat") ?? defaultMeshConfig.accessLogFormat,
    trustDomain: root.string("trustDomain") ?? defaultMeshConfig.trustDomain,
    trustDomainAliases: root.strings("trustDomainAliases"),
    rootNamespace: root.string("rootNamespace") ?? defaultMeshConfig.rootNamespace,
    outboundPolicy: outboundPolicy ?? defaultMeshConfig.outboundPolicy,
    connectTimeout: readDuration(root, "connectTimeout") ?? defaultMeshConfig.connectTimeout,
    dnsRefreshRate: readDuration(root, "dnsRefreshRate") ?? defaultMeshConfig.dnsRefreshRate,
    protocolDetectionTimeout: readDuration(root, "protocolDetectionTimeout") ?? defaultMeshConfig.protocolDetectionTimeout,
    enableAutoMtls: root.boolean("enableAutoMtls") ?? defaultMeshConfig.enableAutoMtls,
    clusterLocal: root.list("serviceSettings", readServiceSetting),
    proxyMetadata: defaults?.stringMap("proxyMetadata") ?? {},
  };
  // What telemetry does is built in, and these only switch it on in Istio.
  root.ignore("defaultProviders", "extensionProviders", "enablePrometheusMerge", "ingressClass", "ingressService", "ingressSelector");
  root.ignore("ingressControllerMode", "configSources", "discoverySelectors", "enableTracing", "proxyListenPort", "proxyInboundListenPort", "proxyHttpPort");
  root.notHonoured("localityLbSetting", "inboundTrafficPolicy", "tcpKeepalive", "h2UpgradePolicy", "pathNormalization", "defaultHttpRetryPolicy");
  root.notHonoured("outboundClusterStatName", "inboundClusterStatName", "verifyCertificateAtClient", "disableEnvoyListenerLog", "accessLogStreaming");
  root.notHonoured("meshMTLS", "tlsDefaults", "ca", "caCertificates", "certificates", "defaultServiceExportTo", "defaultVirtualServiceExportTo");
  root.notHonoured("defaultDestinationRuleExportTo", "enableEnvoyAccessLogService", "hboneIdleTimeout", "dnsRefreshRateJitter", "thriftConfig");
  root.finish();
  return config;
}

function readServiceSetting(item: Fields): ClusterLocalRule {
  const settings = item.child("settings");
  const rule = { hosts: item.strings("hosts"), clusterLocal: settings?.boolean("clusterLocal") ?? false };
  settings?.finish();
  item.finish();
  return rule;
}

/** A proto3 JSON or Go duration (`10s`, `1.5s`, `100ms`, `1m`) as proto3 JSON seconds. */
export function readDuration(fields: Fields, key: string): string | undefined {
  const text = fields.string(key);
  if (text === undefined) return undefined;
  const seconds = parseDurationSeconds(text);
  if (seconds === undefined) {
    fields.error(key, `is "${text}", expected a duration such as 10s or 100ms`);
    return undefined;
  }
  return encodeDuration(seconds);
}

const unitSeconds: Readonly<Record<string, number>> = { h: 3600, m: 60, s: 1, ms: 1e-3, us: 1e-6, "µs": 1e-6, ns: 1e-9 };

/** Seconds of a Go duration, or undefined when it is none. */
export function parseDurationSeconds(text: string): number | undefined {
  if (!/^(\d+(\.\d+)?(h|ms|m|s|us|µs|ns))+$/.test(text)) return text === "0" ? 0 : undefined;
  let seconds = 0;
  for (const [, amount, unit] of text.matchAll(/(\d+(?:\.\d+)?)(h|ms|m|s|us|µs|ns)/g)) seconds += Number(amount) * (unitSeconds[unit ?? "s"] ?? 1);
  return seconds;
}

/** proto3 JSON: no fraction, or one of 3, 6 or 9 digits. */
export function encodeDuration(seconds: number): string {
  for (const digits of [0, 3, 6]) {
    const text = seconds.toFixed(digits);
    if (Math.abs(Number(text) - seconds) < 1e-9) return `${text}s`;
  }
  return `${seconds.toFixed(9)}s`;
}

/** A gateway that a network is reached through (MeshNetworks). */
export interface NetworkGatewayConfig {
  /** Either an IP address ... */
  readonly address: string;
  /** ... or a Kubernetes service whose external addresses are taken. */
  readonly registryServiceName: string;
  readonly port: number;
}

/** One network of `networks.yaml`. */
export interface MeshNetwork {
  readonly fromRegistry: readonly string[];
  readonly fromCidr: readonly string[];
  readonly gateways: readonly NetworkGatewayConfig[];
}

/** Istio's MeshNetworks (`networks.yaml`): network name to its description. */
export type MeshNetworks = ReadonlyMap<string, MeshNetwork>;

/** Reads MeshNetworks. */
export function readMeshNetworks(root: Fields): MeshNetworks {
  const networks = root.map("networks", (network) => {
    const endpoints = network.list("endpoints", (item) => {
      const entry = { registry: item.string("fromRegistry") ?? "", cidr: item.string("fromCidr") ?? "" };
      item.finish();
      return entry;
    });
    const gateways = network.list("gateways", (item) => {
      const gateway = {
        address: item.string("address") ?? "",
        registryServiceName: item.string("registryServiceName") ?? "",
        port: item.requiredPort("port"),
      };
      item.ignore("locality");
      item.finish();
      if ((gateway.address === "") === (gateway.registryServiceName === "")) item.error("address", "expected either address or registryServiceName");
      if (gateway.address !== "" && isIP(gateway.address) === 0) item.warn("address", "is no IP address; gateways given by host name are left out");
      return gateway;
    });
    network.finish();
    return {
      fromRegistry: endpoints.map((each) => each.registry).filter((each) => each !== ""),
      fromCidr: endpoints.map((each) => each.cidr).filter((each) => each !== ""),
      gateways,
    };
  });
  root.finish();
  return networks;
}
