// networking.istio.io DestinationRule: subsets and the policies of traffic to a host; the parts of a policy have files of their own.
import { readExportTo } from "./export-to.ts";
import type { Fields } from "../object/fields.ts";
import { type ClientTlsSettings, originatesTls, readClientTls } from "./client-tls.ts";
import { type ConnectionPool, readConnectionPool } from "./connection-pool.ts";
import { type LoadBalancer, readLoadBalancer } from "./load-balancer.ts";
import { type OutlierDetection, readOutlierDetection } from "./outlier-detection.ts";

/** What a traffic policy sets; undefined TLS means auto mTLS, anything else undefined Istio's defaults. */
export interface PolicySettings {
  readonly tls?: ClientTlsSettings;
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
  /** Labels of the workloads of its own namespace that the rule is for; undefined: every client. */
  readonly workloadSelector: Readonly<Record<string, string>> | undefined;
}

/** Reads a DestinationRule. */
export function readDestinationRule(root: Fields): DestinationRuleSpec {
  const spec = root.child("spec");
  if (spec === undefined) {
    root.error("spec", "is missing, expected a host");
    return { host: "", policy: undefined, subsets: [], exportTo: [], workloadSelector: undefined };
  }
  const rule = {
    host: spec.requiredString("host").toLowerCase(),
    policy: readPolicy(spec.child("trafficPolicy")),
    subsets: spec.list("subsets", readSubset),
    exportTo: readExportTo(spec),
    workloadSelector: readWorkloadSelector(spec),
  };
  checkSelected(root, spec, rule);
  spec.finish();
  return rule;
}

function readWorkloadSelector(spec: Fields): Readonly<Record<string, string>> | undefined {
  const selector = spec.child("workloadSelector");
  if (selector === undefined) return undefined;
  const labels = selector.stringMap("matchLabels");
  for (const [key, value] of Object.entries(labels)) {
    if (key === "") selector.error("matchLabels", "has an empty key");
    if (key.includes("*") || value.includes("*")) selector.error("matchLabels", `has the wildcard ${key}=${value}, expected plain labels`);
  }
  selector.finish();
  return labels;
}

function checkSelected(root: Fields, spec: Fields, rule: DestinationRuleSpec): void {
  const own = root.child("metadata")?.string("namespace");
  if (rule.workloadSelector !== undefined) {
    if (rule.exportTo.some((target) => target !== "." && target !== own))
      spec.error("exportTo", "goes beyond the rule's own namespace, which a rule with workloadSelector cannot");
    return;
  }
  const policies = [rule.policy, ...rule.subsets.map(({ policy }) => policy)];
  const settings = policies.flatMap((policy) => (policy === undefined ? [] : [policy.settings, ...policy.ports.values()]));
  if (settings.some(({ tls }) => tls !== undefined && originatesTls(tls) && tls.credentialName !== ""))
    spec.warn(
      "workloadSelector",
      "is missing, and without it credentialName is for gateways alone: sidecars call in plaintext, as in Istio",
    );
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
  const tls = readClientTls(fields.child("tls"));
  return {
    ...(tls === undefined ? {} : { tls }),
    ...(loadBalancer === undefined ? {} : { loadBalancer }),
    ...(connectionPool === undefined ? {} : { connectionPool }),
    ...(outlierDetection === undefined ? {} : { outlierDetection }),
  };
}
