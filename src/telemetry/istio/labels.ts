// The labels of Istio's standard metrics (https://istio.io/latest/docs/reference/config/metrics/), as its stats filter gives
// them without metadata exchange. Made when a series is first met.
import type { Metadata } from "../../envoy/address.ts";
import { grpcStatusNumber, isGrpcRequest } from "../format/grpc-status.ts";
import { formatFlags } from "../response-flag.ts";
import { escapeLabel } from "../stats/prometheus.ts";
import type { StreamInfo, TlsPeer } from "../stream-info.ts";
import { parseWorkload, unknownWorkload, type Workload } from "./workload.ts";

/** On which side of the exchange a listener stands. */
export type Reporter = "source" | "destination";

/** What holds for everything that one listener reports. */
export interface ReporterContext {
  readonly reporter: Reporter;
  readonly own: Workload;
  /** Without a service behind the cluster the authority names the destination: at the outbound side of sidecars. */
  readonly hostFallback: boolean;
  /** The metadata of a cluster; undefined for one that is not there. */
  readonly clusterMetadata: (cluster: string) => Metadata | undefined;
}

/** Label names and values in the order in which they are written. */
export type Labels = readonly (readonly [name: string, value: string])[];

/** Clusters that stand for no service and are named themselves. */
const namedClusters = new Set(["BlackHoleCluster", "PassthroughCluster", "InboundPassthroughCluster"]);
/** A DNS name has no more. What is longer is no name, and a label is kept for good. */
const maxHostLength = 253;

/** The connection whose other end is the peer. */
export const peerTls = (info: StreamInfo, reporter: Reporter): TlsPeer | undefined =>
  reporter === "source" ? info.upstreamTls : info.connection.tls;

/** The peer's SPIFFE id; empty for one that showed none, or one that nobody vouches for. */
export const principalOf = (tls: TlsPeer | undefined): string => (tls?.validated === true ? (tls.uriSans[0] ?? "") : "");

/** The metadata that says which workload an endpoint is; empty when none does. */
export function endpointWorkload(info: StreamInfo): string {
  const workload = info.upstreamMetadata?.["istio"]?.["workload"];
  return typeof workload === "string" ? workload : "";
}

/** The authority where it can be a label, or empty. */
export const authorityLabel = (info: StreamInfo): string => (info.authority.length > maxHostLength ? "" : info.authority);

/** Labels of a finished request. */
export function requestLabels(info: StreamInfo, context: ReporterContext): Labels {
  const grpc = isGrpcRequest(info);
  return [
    ...partyLabels(info, context),
    ["request_protocol", grpc ? "grpc" : "http"],
    ["response_code", String(info.responseCode)],
    ["grpc_response_status", grpc ? String(grpcStatusNumber(info) ?? "") : ""],
    ...endLabels(info, context.reporter),
  ];
}

/** Labels of a TCP connection, at the time when its peer became known. */
export function connectionLabels(info: StreamInfo, context: ReporterContext): Labels {
  return [...partyLabels(info, context), ["request_protocol", "tcp"], ...endLabels(info, context.reporter)];
}

/** The labels of what is beyond the number of series that are kept apart. */
export const overflowLabels = (labels: Labels): Labels => labels.map(([name, value]) => [name, name === "reporter" ? value : "overflow"]);

/** As between the braces of Prometheus' text format. */
export const labelText = (labels: Labels): string => labels.map(([name, value]) => `${name}="${escapeLabel(value)}"`).join(",");

function partyLabels(info: StreamInfo, context: ReporterContext): Labels {
  const { reporter, own } = context;
  const tls = peerTls(info, reporter);
  const principal = principalOf(tls);
  const local = tls?.localUriSan ?? "";
  // Who calls is told by its certificate alone; who was called by its endpoint too.
  const stated = reporter === "source" ? parseWorkload(endpointWorkload(info)) : unknownWorkload;
  const peer = { ...stated, namespace: namespaceOf(principal) || stated.namespace };
  const service = destinationService(info, context);
  const source = reporter === "source";
  return [
    ["reporter", reporter],
    ...workloadLabels("source", source ? own : peer, source ? local : principal),
    ...workloadLabels("destination", source ? peer : own, source ? principal : local),
    ["destination_service", service.host || (source ? "unknown" : orUnknown(own.canonicalService))],
    ["destination_service_name", service.name || (source ? "unknown" : orUnknown(own.canonicalService))],
    ["destination_service_namespace", orUnknown(source ? peer.namespace || service.namespace : own.namespace)],
  ];
}

function workloadLabels(side: "source" | "destination", workload: Workload, principal: string): Labels {
  return [
    [`${side}_workload`, orUnknown(workload.name)],
    [`${side}_canonical_service`, orUnknown(workload.canonicalService)],
    [`${side}_canonical_revision`, workload.canonicalRevision || "latest"],
    [`${side}_workload_namespace`, orUnknown(workload.namespace)],
    [`${side}_principal`, orUnknown(principal)],
    [`${side}_app`, orUnknown(workload.app)],
    [`${side}_version`, orUnknown(workload.version)],
    [`${side}_cluster`, orUnknown(workload.cluster)],
  ];
}

function endLabels(info: StreamInfo, reporter: Reporter): Labels {
  const tls = peerTls(info, reporter);
  const mutual = principalOf(tls) !== "" && tls?.localUriSan !== "";
  return [
    ["response_flags", formatFlags(info.flags, [])],
    // The source cannot know what the destination makes of it.
    ["connection_security_policy", reporter === "source" ? "unknown" : mutual ? "mutual_tls" : "none"],
  ];
}

interface DestinationService {
  readonly host: string;
  readonly name: string;
  readonly namespace: string;
}

function destinationService(info: StreamInfo, { hostFallback, clusterMetadata }: ReporterContext): DestinationService {
  const host = hostFallback ? authorityLabel(info) : "";
  // REGISTRY_ONLY answers by itself where ALLOW_ANY has its cluster.
  const cluster = info.upstreamCluster || (info.routeName === "block_all" ? "BlackHoleCluster" : "");
  if (namedClusters.has(cluster)) return { host, name: cluster, namespace: "" };
  const services = clusterMetadata(cluster)?.["istio"]?.["services"];
  const first: unknown = Array.isArray(services) ? services[0] : undefined;
  if (typeof first !== "object" || first === null) return { host, name: host, namespace: "" };
  const { host: stated, name, namespace } = first as Readonly<Record<string, unknown>>;
  const known = typeof stated === "string" ? stated : host;
  return {
    host: known,
    name: typeof name === "string" ? name : (known.split(".")[0] ?? ""),
    namespace: typeof namespace === "string" ? namespace : "",
  };
}

/** The namespace in `spiffe://TRUST_DOMAIN/ns/NAMESPACE/sa/ACCOUNT`, or empty. */
const namespaceOf = (principal: string): string => /^spiffe:\/\/[^/]*\/ns\/([^/]+)\/sa\//.exec(principal)?.[1] ?? "";

const orUnknown = (value: string): string => value || "unknown";
