// What the objects behind a configuration say, as steps ask for it. Implemented over a mesh directory in mesh/; without it an
// explanation has the same steps with fewer reasons.
import type { Metadata } from "../envoy/address.ts";
import type { Cluster } from "../envoy/cluster/cluster.ts";
import type { CheckedRequest } from "../filter/http/jwt-authn/token-check.ts";
import type { LocalReply } from "../http/local-reply.ts";
import type { ExplainConfig } from "./config.ts";
import type { Place, Reason, WarningCode } from "./explanation.ts";

/** A finding that is a warning as well. */
export interface Finding extends Reason {
  readonly code: WarningCode;
}

/** What a mesh endpoint is, beside its address. */
export interface EndpointFacts {
  readonly cluster: string;
  readonly network: string;
  readonly workload: string;
  /** Its server side takes nothing but mTLS. */
  readonly strict: boolean;
  /** Why it is called with or without mTLS. */
  readonly whyTls: Reason;
  /** It is on another network and called directly all the same, as that network has no gateway. */
  readonly astray: boolean;
}

/** An endpoint of a service that a cluster does not have. */
export interface MissingEndpoint extends Reason {
  readonly address: string;
  readonly cluster: string;
  readonly why: string;
}

/** A gateway of another network, as the endpoint that stands for it. */
export interface FarGateway {
  readonly network: string;
  readonly cluster: string;
  /** The Service it is the address of. */
  readonly place?: Place;
  /** Its own configuration; undefined when no workload of it is in the directory. */
  readonly config: ExplainConfig | undefined;
  /** The port its listener has. */
  readonly port: number;
}

/** What a name is to the cluster's own DNS. */
export interface ClusterName {
  readonly addresses: readonly string[];
  readonly reason: Reason;
}

/** What a workload's sidecar sees of this proxy. */
export interface Caller {
  readonly mutualTls: boolean;
  readonly serverName: string;
  /** Undefined: a TCP connection. Its tokens are taken out where filters do that. */
  readonly request: CheckedRequest | undefined;
  /** When tokens are judged, in seconds since the epoch. */
  readonly nowSeconds: number;
}

/** What filters for tokens and authorization make of a request or connection. */
export interface Judgement {
  /** What is answered in place of letting it in, with the rule by the name the access log has; `none`: no ALLOW policy matches. */
  readonly refusal: (LocalReply & { readonly policy: string | undefined }) | undefined;
  readonly reasons: readonly Reason[];
  /** Who has a say as well and is not asked here. */
  readonly open: readonly Reason[];
  /** What was taken for granted, since it is not part of the question. */
  readonly assumed: readonly string[];
}

/** The policies of one workload, by what its filters call them. */
export interface PolicyObjects {
  /** A rule of an AuthorizationPolicy that matches. */
  rule(name: string): Reason | undefined;
  /** The policies of rules that were tried in vain. */
  untried(names: readonly string[]): readonly Reason[];
  /** The rule of a RequestAuthentication behind a provider; `keysFrom`: where its keys would come from, when they are not there. */
  tokenRule(provider: string): (Reason & { readonly keysFrom: string | undefined }) | undefined;
  /** Who is asked because of a rule of CUSTOM. */
  authorizer(ruleName: string): (Reason & { readonly name: string }) | undefined;
}

/** The objects behind one proxy's configuration. */
export interface MeshKnowledge {
  /** Whose name it is that the table answered with. */
  aboutName(owner: string, addresses: readonly string[]): readonly Reason[];
  /** A Service of the proxy's own cluster, as that cluster's own DNS answers it. */
  clusterDns(name: string): ClusterName | undefined;
  /** Why the mesh does not name it, nearest names included. */
  whyNoName(name: string): readonly Finding[];
  /** Services at an address and port. */
  atAddress(ip: string, port: number): readonly Reason[];
  /** What there is instead when no listener takes an address and port, and what hides a service there. */
  whyNoListener(host: string, ip: string | undefined, port: number): readonly Finding[];
  /** Why nobody answers at an address of the mesh that a connection goes to by itself; undefined: somebody may. */
  unanswered(ip: string, port: number): Reason | undefined;
  outboundPolicy(): Reason;
  /** The object a route or chain came from; `route` is the position in its virtual host. */
  source(metadata: Metadata, route?: { readonly config: string; readonly virtualHost: string; readonly index: number }): Reason | undefined;
  aboutCluster(cluster: Cluster): readonly Reason[];
  /** Why there is no cluster of a name. */
  whyNoCluster(name: string): readonly Finding[];
  warnings(cluster: Cluster): readonly Finding[];
  /** The endpoint of a cluster at an address; undefined when it is none of the service's own. */
  endpoint(cluster: Cluster, address: string): EndpointFacts | undefined;
  missing(cluster: Cluster): readonly MissingEndpoint[];
  /** What the policies of the endpoint's workload make of a caller; undefined when it has none, or no sidecar. */
  judge(cluster: Cluster, address: string, caller: Caller): Judgement | undefined;
  /** The policies of the proxy itself. */
  readonly policies: PolicyObjects;
  gateway(address: string): FarGateway | undefined;
  /** Gateway servers at a port, and what they export. */
  aboutServers(port: number): readonly Reason[];
}
