// networking.istio.io DestinationRule, narrowed to subsets and client TLS; what else it carries is listed as not honoured.
import type { Fields } from "../object/fields.ts";

/** ClientTLSSettings.mode values with a translation. */
export type ClientTlsMode = "DISABLE" | "ISTIO_MUTUAL";

/** A traffic policy; undefined TLS inherits, and means auto mTLS at the top. */
export interface TrafficPolicy {
  readonly tlsMode?: ClientTlsMode;
  /** `portLevelSettings`: settings of one port replace the whole policy for it. */
  readonly ports: ReadonlyMap<number, { readonly tlsMode?: ClientTlsMode }>;
}

/** A named subset of a service's endpoints. */
export interface Subset {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly policy: TrafficPolicy;
}

/** DestinationRule.spec. */
export interface DestinationRuleSpec {
  readonly host: string;
  readonly policy: TrafficPolicy;
  readonly subsets: readonly Subset[];
}

const noPolicy: TrafficPolicy = { ports: new Map() };

/** Reads a DestinationRule. */
export function readDestinationRule(root: Fields): DestinationRuleSpec {
  const spec = root.child("spec");
  if (spec === undefined) {
    root.error("spec", "is missing, expected a host");
    return { host: "", policy: noPolicy, subsets: [] };
  }
  const rule = {
    host: spec.requiredString("host").toLowerCase(),
    policy: readPolicy(spec.child("trafficPolicy")),
    subsets: spec.list("subsets", readSubset),
  };
  spec.notHonoured("exportTo");
  spec.refused("workloadSelector");
  spec.finish();
  return rule;
}

function readSubset(item: Fields): Subset {
  const subset = { name: item.requiredString("name"), labels: item.stringMap("labels"), policy: readPolicy(item.child("trafficPolicy")) };
  item.finish();
  return subset;
}

function readPolicy(policy: Fields | undefined): TrafficPolicy {
  if (policy === undefined) return noPolicy;
  const ports = new Map<number, { readonly tlsMode?: ClientTlsMode }>();
  policy.list("portLevelSettings", (item) => {
    const port = item.child("port");
    const number = port?.requiredPort("number") ?? 0;
    port?.finish();
    ports.set(number, readTls(item.child("tls")));
    item.notHonoured("loadBalancer", "connectionPool", "outlierDetection");
    item.finish();
  });
  const tls = readTls(policy.child("tls"));
  policy.notHonoured("loadBalancer", "connectionPool", "outlierDetection", "tunnel", "proxyProtocol", "retryBudget");
  policy.finish();
  return { ...tls, ports };
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
