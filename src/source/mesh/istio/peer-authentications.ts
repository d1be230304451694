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
  const { rootNamespace } = mesh.config;
  let ofMesh: PeerAuthentication | undefined;
  const namespaces = new Map<string, PeerAuthentication>();
  const workloads = new Map<string, PeerAuthentication[]>();
  for (const policy of mesh.peerAuthentications) {
    const { namespace } = policy.meta;
    const scope = scopeOf(policy, rootNamespace);
    if (scope === "mesh") ofMesh ??= policy;
    else if (scope === "namespace" && !namespaces.has(namespace)) namespaces.set(namespace, policy);
    else if (scope === "workload") {
      const known = workloads.get(namespace);
      if (known === undefined) workloads.set(namespace, [policy]);
      else known.push(policy);
    }
  }
  const ofNamespace = (namespace: string): MutualTlsMode => namespaces.get(namespace)?.spec.mode ?? ofMesh?.spec.mode ?? "PERMISSIVE";
  return {
    ofNamespace,
    ofWorkload: (namespace, labels) => {
      const inherited = ofNamespace(namespace);
      const own = workloads.get(namespace)?.find(({ spec }) => labelsMatch(spec.selector, labels))?.spec;
      if (own === undefined) return { mode: inherited, ports: noPorts };
      const mode = own.mode ?? inherited;
      return { mode, ports: new Map([...own.ports].map(([port, ofPort]) => [port, ofPort ?? mode])) };
    },
  };
}
