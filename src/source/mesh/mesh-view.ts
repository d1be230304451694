// The mesh as its directory describes it: typed objects of every cluster and Istio's resources, before any node is known.
// Immutable; a reload makes a new view.
import { defaultMeshConfig, type MeshConfig } from "./mesh-config.ts";
import type { MeshNetworks } from "./mesh-networks.ts";
import type { AuthorizationPolicySpec } from "./istio/authorization-policy.ts";
import type { DestinationRuleSpec } from "./istio/destination-rule.ts";
import type { GatewaySpec } from "./istio/gateway.ts";
import type { PeerAuthenticationSpec } from "./istio/peer-authentication.ts";
import type { RequestAuthenticationSpec } from "./istio/request-authentication.ts";
import type { ServiceEntrySpec } from "./istio/service-entry.ts";
import type { SidecarSpec } from "./istio/sidecar.ts";
import type { VirtualServiceSpec } from "./istio/virtual-service.ts";
import type { WasmPluginSpec } from "./istio/wasm-plugin.ts";
import type { WorkloadEntrySpec } from "./istio/workload-entry.ts";
import type { MeshObject } from "./object/mesh-object.ts";
import type { KubernetesCluster } from "./registry/kubernetes-objects.ts";

/** Everything a translation reads. Objects are sorted by age, then by name and namespace. */
export interface MeshView {
  readonly config: MeshConfig;
  readonly networks: MeshNetworks;
  /** What the host names of network gateways resolved to; a name that is not here has no gateway. A directory alone has none. */
  readonly gatewayAddresses: ReadonlyMap<string, readonly string[]>;
  /** Sorted by name; the first also holds Istio's resources, as the config cluster of a multi-primary mesh. */
  readonly clusters: readonly KubernetesCluster[];
  readonly gateways: readonly MeshObject<GatewaySpec>[];
  readonly serviceEntries: readonly MeshObject<ServiceEntrySpec>[];
  readonly workloadEntries: readonly MeshObject<WorkloadEntrySpec>[];
  readonly destinationRules: readonly MeshObject<DestinationRuleSpec>[];
  readonly virtualServices: readonly MeshObject<VirtualServiceSpec>[];
  readonly sidecars: readonly MeshObject<SidecarSpec>[];
  readonly peerAuthentications: readonly MeshObject<PeerAuthenticationSpec>[];
  readonly authorizationPolicies: readonly MeshObject<AuthorizationPolicySpec>[];
  readonly requestAuthentications: readonly MeshObject<RequestAuthenticationSpec>[];
  readonly wasmPlugins: readonly MeshObject<WasmPluginSpec>[];
  /** Key sets that were fetched, as JSON, by `jwksKey`; a set that is not here verifies nothing. A directory alone has none. */
  readonly jwks: ReadonlyMap<string, string>;
}

/** A mesh with nothing in it. */
export const emptyMeshView: MeshView = {
  config: defaultMeshConfig,
  networks: new Map(),
  gatewayAddresses: new Map(),
  clusters: [],
  gateways: [],
  serviceEntries: [],
  workloadEntries: [],
  destinationRules: [],
  virtualServices: [],
  sidecars: [],
  peerAuthentications: [],
  authorizationPolicies: [],
  requestAuthentications: [],
  wasmPlugins: [],
  jwks: new Map(),
};

/** Istio's order of configuration: older first, then by name and namespace. */
export function byAge(a: MeshObject<unknown>, b: MeshObject<unknown>): number {
  if (a.meta.createdAt !== b.meta.createdAt) return a.meta.createdAt - b.meta.createdAt;
  const [left, right] = [`${a.meta.name}.${a.meta.namespace}`, `${b.meta.name}.${b.meta.namespace}`];
  return left < right ? -1 : left > right ? 1 : 0;
}
