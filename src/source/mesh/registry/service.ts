// The model both registries yield: a service as the whole mesh sees it, with the endpoints of all clusters.
import type { Locality } from "../../../envoy/cluster/endpoint.ts";
import type { Subset } from "../istio/destination-rule.ts";
import type { Protocol } from "./protocol.ts";

/** A port of a service. */
export interface ServicePort {
  readonly name: string;
  readonly port: number;
  readonly protocol: Protocol;
}

/** One address of a workload behind one port of a service. */
export interface MeshEndpoint {
  /** An IP address, or a host name for services resolved by DNS. */
  readonly address: string;
  /** The same workload's addresses of the other family, in a dual stack mesh. */
  readonly moreAddresses: readonly string[];
  /** The service port's name that this endpoint serves. */
  readonly portName: string;
  readonly port: number;
  readonly cluster: string;
  /** Empty: reachable from every network. */
  readonly network: string;
  readonly locality: Locality;
  /** Relative weight, 0 = not given. */
  readonly weight: number;
  /** The workload's sidecar accepts mTLS. */
  readonly mutualTls: boolean;
  /** The Kubernetes node it runs on, empty when unknown. */
  readonly nodeName: string;
  /** Known to be ready; undefined for endpoints that nobody probes (ServiceEntry). */
  readonly ready: boolean | undefined;
  /** Not ready and on its way out, but good for the sessions it has. */
  readonly draining: boolean;
  readonly labels: Readonly<Record<string, string>>;
  readonly serviceAccount: string;
  readonly namespace: string;
  readonly workloadName: string;
  /** Host and subdomain of a pod in a headless service, for its own DNS name. */
  readonly hostname: string;
  readonly subdomain: string;
}

/** What one cluster's workloads serve behind a service: used to find a proxy's own ports. */
export interface ServiceTargets {
  readonly selector: Readonly<Record<string, string>>;
  readonly ports: readonly { readonly port: ServicePort; readonly targetPort: number | string }[];
}

/**
 * How endpoints are found: `eds` from the mesh, `dns` by resolving host names, `dns-round-robin` one address at a time,
 * `passthrough` the caller's own destination. `dynamic-dns` names are for waypoints to resolve: sidecars and gateways have no
 * cluster for them.
 */
export type ServiceResolution = "eds" | "dns" | "dns-round-robin" | "passthrough" | "dynamic-dns";

/** A service of the mesh. */
export interface MeshService {
  /**
   * The same object from load to load for as long as nothing differs but endpoints and their identities: what is made of the rest
   * need not be made again. A headless service's names and listeners are made of its endpoints, so for one it is never kept.
   */
  readonly definition: object;
  readonly hostname: string;
  /** Short name; the hostname for services outside Kubernetes. */
  readonly name: string;
  readonly namespace: string;
  readonly createdAt: number;
  readonly registry: "Kubernetes" | "External";
  readonly meshExternal: boolean;
  readonly resolution: ServiceResolution;
  readonly ports: readonly ServicePort[];
  /** Virtual addresses (or CIDRs) by cluster, in the clusters' order. */
  readonly addresses: ReadonlyMap<string, readonly string[]>;
  /** Addresses handed out to a ServiceEntry without any, IPv4 first. */
  readonly allocated: readonly string[];
  readonly headless: boolean;
  /** The name table of a headless service lists endpoints that are not ready too. */
  readonly publishNotReady: boolean;
  /** Only endpoints on the caller's own node are used. */
  readonly nodeLocal: boolean;
  /** The label `istio.io/persistent-session` is set: a host that drains is still good for the session it has. */
  readonly persistentSessions: boolean;
  /** Host names of the ExternalName services that lead here, by namespace and name. */
  readonly aliases: readonly string[];
  readonly endpoints: readonly MeshEndpoint[];
  /** SPIFFE ids a peer of this service may have, sorted. */
  readonly identities: readonly string[];
  /** By cluster. */
  readonly targets: ReadonlyMap<string, ServiceTargets>;
  /** `spec.trafficDistribution`: the endpoints to prefer; anything but `any` makes their readiness known to the caller. */
  readonly trafficDistribution: "any" | "same-zone" | "same-node";
  /** Namespaces that see the service; empty or `*` = all, `.` = its own. */
  readonly exportTo: readonly string[];
}

/** The name of a cluster, listener statistics and SNI key: `direction|port|subset|host`. */
export function clusterName(direction: "outbound" | "inbound", subset: Subset | undefined, hostname: string, port: number): string {
  return `${direction}|${port}|${subset?.name ?? ""}|${hostname}`;
}

/** The SNI, and the name of an SNI-DNAT cluster: `outbound_.port_.subset_.host`. */
export function sniName(subset: Subset | undefined, hostname: string, port: number): string {
  return `outbound_.${port}_.${subset?.name ?? ""}_.${hostname}`;
}

/** The label that keeps a session at its host while that drains; istiod's PERSISTENT_SESSION_LABEL as it is by default. */
export const persistentSessionLabel = "istio.io/persistent-session";

/** True when every wanted label is there with its value. */
export function labelsMatch(wanted: Readonly<Record<string, string>>, labels: Readonly<Record<string, string>>): boolean {
  return Object.entries(wanted).every(([name, value]) => labels[name] === value);
}

/** Code point order, the same on every machine. */
export function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
