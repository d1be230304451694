// networking.istio.io DestinationRule: subsets and the policies of traffic to a host; the parts of a policy have files of their own.
import { readExportTo } from "./export-to.ts";
import type { Fields } from "../object/fields.ts";
import { type ConnectionPool, readConnectionPool } from "./connection-pool.ts";
import { type LoadBalancer, readLoadBalancer } from "./load-balancer.ts";
import { type OutlierDetection, readOutlierDetection } from "./outlier-detection.ts";

/** ClientTLSSettings.mode values with a translation. */
export type ClientTlsMode = "DISABLE" | "ISTIO_MUTUAL";

/** What a traffic policy sets; undefined TLS means auto mTLS, anything else undefined Istio's defaults. */
export interface PolicySettings {
  readonly tlsMode?: ClientTlsMode;
  readonly loadBalancer?: LoadBalancer;
  readonly connectionPool?: ConnectionPool;
  readonly outlierDetection?: OutlierDetection;
}

/** A traffic policy. */
export interface TrafficPolicy {
  readonly settings: PolicySettings;
  /** `portLevelSettings`: settings of one port replace the whole policy for it. */
  readonly ports: ReadonlyMap<number, PolicySettings>;
}

/** A named subset of a service's endpoints. */
export interface Subset {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly policy: TrafficPolicy | undefined;
}

/** DestinationRule.spec. */
export interface DestinationRuleSpec {
  readonly host: string;
  readonly policy: TrafficPolicy | undefined;
  readonly subsets: readonly Subset[];
  /** Namespaces whose clients the rule is for: names, `.` its own, `*` all; empty is left to MeshConfig. */
  readonly exportTo: readonly string[];
}

/** Reads a DestinationRule. */
export function readDestinationRule(root: Fields): DestinationRuleSpec {
  const spec = root.child("spec");
  if (spec === undefined) {
    root.error("spec", "is missing, expected a host");
    return { host: "", policy: undefined, subsets: [], exportTo: [] };
  }
  const rule = {
    host: spec.requiredString("host").toLowerCase(),
    policy: readPolicy(spec.child("trafficPolicy")),
    subsets: spec.list("subsets", readSubset),
    exportTo: readExportTo(spec),
  };
  spec.refused("workloadSelector");
  spec.finish();
  return rule;
}

function readSubset(item: Fields): Subset {
  const subset = { name: item.requiredString("name"), labels: item.stringMap("labels"), policy: readPolicy(item.child("trafficPolicy")) };
  item.finish();
  return subset;
}

function readPolicy(policy: Fields | undefined): TrafficPolicy | undefined {
  if (policy === undefined) return undefined;
  const ports = new Map<number, PolicySettings>();
  policy.list("portLevelSettings", (item) => {
    const port = item.child("port");
    const number = port?.requiredPort("number") ?? 0;
    port?.finish();
    const settings = readSettings(item);
    // The first of two settings for one port holds, as in Istio.
    if (!ports.has(number)) ports.set(number, settings);
    item.finish();
  });
  const settings = readSettings(policy);
  policy.notHonoured("tunnel", "proxyProtocol", "retryBudget");
  policy.finish();
  return { settings, ports };
}

function readSettings(fields: Fields): PolicySettings {
  const loadBalancer = readLoadBalancer(fields);
  const connectionPool = readConnectionPool(fields);
  const outlierDetection = readOutlierDetection(fields);
  return {
    ...readTls(fields.child("tls")),
    ...(loadBalancer === undefined ? {} : { loadBalancer }),
    ...(connectionPool === undefined ? {} : { connectionPool }),
    ...(outlierDetection === undefined ? {} : { outlierDetection }),
  };
}

function readTls(tls: Fields | undefined): { readonly tlsMode?: ClientTlsMode } {
  if (tls === undefined) return {};
  const tlsMode = tls.oneOf("mode", ["DISABLE", "ISTIO_MUTUAL"]);
  tls.refused(
    "clientCertificate",
    "privateKey",
    "caCertificates",
    "credentialName",
    "subjectAltNames",
    "sni",
    "insecureSkipVerify",
    "caCrl",
  );
  tls.finish();
  return tlsMode === undefined ? {} : { tlsMode };
}
