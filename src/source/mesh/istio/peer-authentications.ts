// Which PeerAuthentication holds for a workload: its own before its namespace's before the mesh's, the oldest of each, and what one
// leaves unset is left to the next. Nothing said at all is PERMISSIVE.
import type { MeshView } from "../mesh-view.ts";
import type { MeshObject } from "../object/mesh-object.ts";
import { labelsMatch } from "../registry/service.ts";
import type { MutualTlsMode, PeerAuthenticationSpec } from "./peer-authentication.ts";

/** A policy as it was written. */
export type PeerAuthentication = MeshObject<PeerAuthenticationSpec>;

/** How a policy takes effect; `ignored` is one that Istio accepts without acting on it. */
export type PolicyScope = "mesh" | "namespace" | "workload" | "ignored";

/** The modes of one workload. */
export interface WorkloadMutualTls {
  readonly mode: MutualTlsMode;
  /** Ports with a mode of their own. */
  readonly ports: ReadonlyMap<number, MutualTlsMode>;
}

/** Answers for every workload of a mesh. */
export interface PeerAuthenticationLookup {
  ofWorkload(namespace: string, labels: Readonly<Record<string, string>>): WorkloadMutualTls;
  /** What holds in a namespace before any workload's own policy: all that Istio knows of a service as a whole. */
  ofNamespace(namespace: string): MutualTlsMode;
}

/** Policies of the root namespace are the mesh's, and with a selector nobody's. */
export function scopeOf({ meta, spec }: PeerAuthentication, rootNamespace: string): PolicyScope {
  const selects = Object.keys(spec.selector).length > 0;
  if (meta.namespace === rootNamespace) return selects ? "ignored" : "mesh";
  return selects ? "workload" : "namespace";
}

/** The mode of one port. */
export function modeAtPort(policy: WorkloadMutualTls, port: number): MutualTlsMode {
  return policy.ports.get(port) ?? policy.mode;
}

const noPorts: WorkloadMutualTls["ports"] = new Map();

/** Indexes the policies, which MeshView has sorted by age. */
export function indexPeerAuthentications(mesh: MeshView): PeerAuthenticationLookup {
  const scoped = (wanted: PolicyScope): readonly PeerAuthentication[] =>
    mesh.peerAuthentications.filter((policy) => scopeOf(policy, mesh.config.rootNamespace) === wanted);
  const ofMesh = scoped("mesh")[0]?.spec.mode ?? "PERMISSIVE";
  const namespaces = new Map<string, MutualTlsMode>();
  // The oldest is set last, so that it stays.
  for (const { meta, spec } of scoped("namespace").toReversed()) namespaces.set(meta.namespace, spec.mode ?? ofMesh);
  const ofNamespace = (namespace: string): MutualTlsMode => namespaces.get(namespace) ?? ofMesh;
  const workloads = Map.groupBy(scoped("workload").map(withModes(ofNamespace)), (policy) => policy.namespace);
  // Every endpoint of a mesh is asked about, most of them in namespaces without a policy of their own.
  const inherited = new Map<string, WorkloadMutualTls>();
  const ofWhole = (namespace: string): WorkloadMutualTls => {
    const known = inherited.get(namespace) ?? { mode: ofNamespace(namespace), ports: noPorts };
    inherited.set(namespace, known);
    return known;
  };
  return {
    ofNamespace,
    ofWorkload: (namespace, labels) =>
      workloads.get(namespace)?.find(({ selector }) => labelsMatch(selector, labels))?.modes ?? ofWhole(namespace),
  };
}

/** A workload's policy with everything filled in that it leaves to its namespace. */
interface WorkloadPolicy {
  readonly namespace: string;
  readonly selector: PeerAuthenticationSpec["selector"];
  readonly modes: WorkloadMutualTls;
}

function withModes(ofNamespace: (namespace: string) => MutualTlsMode): (policy: PeerAuthentication) => WorkloadPolicy {
  return ({ meta: { namespace }, spec }) => {
    const mode = spec.mode ?? ofNamespace(namespace);
    const ports = new Map([...spec.ports].map(([port, ofPort]) => [port, ofPort ?? mode] as const));
    return { namespace, selector: spec.selector, modes: { mode, ports } };
  };
}
