// The table of kinds: which reader understands a document, and what becomes of one that none does.
import { type AuthorizationPolicySpec, readAuthorizationPolicy } from "../istio/authorization-policy.ts";
import { type DestinationRuleSpec, readDestinationRule } from "../istio/destination-rule.ts";
import { type GatewaySpec, readGateway } from "../istio/gateway.ts";
import { type PeerAuthenticationSpec, readPeerAuthentication } from "../istio/peer-authentication.ts";
import { readRequestAuthentication, type RequestAuthenticationSpec } from "../istio/request-authentication.ts";
import { readServiceEntry, type ServiceEntrySpec } from "../istio/service-entry.ts";
import { readSidecar, type SidecarSpec } from "../istio/sidecar.ts";
import { readVirtualService, type WrittenVirtualService } from "../istio/virtual-service.ts";
import { readWasmPlugin, type WasmPluginSpec } from "../istio/wasm-plugin.ts";
import { readWorkloadEntry, type WorkloadEntrySpec } from "../istio/workload-entry.ts";
import { checkWorkloadGroup } from "../istio/workload-group.ts";
import type { Fields } from "../object/fields.ts";
import type { MeshObject, ObjectMeta } from "../object/mesh-object.ts";
import {
  type KubernetesEndpointSlice,
  type KubernetesPod,
  type KubernetesService,
  readEndpoints,
  readEndpointSlice,
  readPod,
  readService,
} from "../registry/kubernetes-objects.ts";

import { type KubernetesSecret, readSecret } from "../registry/kubernetes-secret.ts";

/** An object of a kind the mesh reads. */
export type KnownObject =
  | { readonly kind: "Service"; readonly object: MeshObject<KubernetesService> }
  | { readonly kind: "EndpointSlice"; readonly object: MeshObject<KubernetesEndpointSlice> }
  | { readonly kind: "Endpoints"; readonly object: MeshObject<readonly KubernetesEndpointSlice[]> }
  | { readonly kind: "Pod"; readonly object: MeshObject<KubernetesPod> }
  | { readonly kind: "Secret"; readonly object: MeshObject<KubernetesSecret> }
  | { readonly kind: "Node" | "Namespace" | "ServiceAccount"; readonly object: MeshObject<null> }
  | { readonly kind: "Gateway"; readonly object: MeshObject<GatewaySpec> }
  | { readonly kind: "ServiceEntry"; readonly object: MeshObject<ServiceEntrySpec> }
  | { readonly kind: "WorkloadEntry"; readonly object: MeshObject<WorkloadEntrySpec> }
  | { readonly kind: "WorkloadGroup"; readonly object: MeshObject<null> }
  | { readonly kind: "DestinationRule"; readonly object: MeshObject<DestinationRuleSpec> }
  | { readonly kind: "VirtualService"; readonly object: MeshObject<WrittenVirtualService> }
  | { readonly kind: "Sidecar"; readonly object: MeshObject<SidecarSpec> }
  | { readonly kind: "PeerAuthentication"; readonly object: MeshObject<PeerAuthenticationSpec> }
  | { readonly kind: "AuthorizationPolicy"; readonly object: MeshObject<AuthorizationPolicySpec> }
  | { readonly kind: "RequestAuthentication"; readonly object: MeshObject<RequestAuthenticationSpec> }
  | { readonly kind: "WasmPlugin"; readonly object: MeshObject<WasmPluginSpec> };

type Reader = (root: Fields, meta: ObjectMeta) => KnownObject;

const kubernetes: Readonly<Record<string, Reader>> = {
  "v1/Service": (root, meta) => ({ kind: "Service", object: { meta, spec: readService(root) } }),
  "v1/Endpoints": (root, meta) => ({ kind: "Endpoints", object: { meta, spec: readEndpoints(root, meta) } }),
  "v1/Pod": (root, meta) => ({ kind: "Pod", object: { meta, spec: readPod(root, meta) } }),
  "v1/Secret": (root, meta) => ({ kind: "Secret", object: { meta, spec: readSecret(root) } }),
  "v1/Node": (_root, meta) => ({ kind: "Node", object: { meta, spec: null } }),
  "v1/Namespace": (_root, meta) => ({ kind: "Namespace", object: { meta, spec: null } }),
  "v1/ServiceAccount": (_root, meta) => ({ kind: "ServiceAccount", object: { meta, spec: null } }),
  "discovery.k8s.io/v1/EndpointSlice": (root, meta) => ({ kind: "EndpointSlice", object: { meta, spec: readEndpointSlice(root, meta) } }),
};

const istio: Readonly<Record<string, Reader>> = {
  Gateway: (root, meta) => ({ kind: "Gateway", object: { meta, spec: readGateway(root) } }),
  ServiceEntry: (root, meta) => ({ kind: "ServiceEntry", object: { meta, spec: readServiceEntry(root, meta) } }),
  WorkloadEntry: (root, meta) => ({ kind: "WorkloadEntry", object: { meta, spec: readWorkloadEntry(root, meta) } }),
  WorkloadGroup: (root, meta) => ({ kind: "WorkloadGroup", object: { meta, spec: checkWorkloadGroup(root) } }),
  DestinationRule: (root, meta) => ({ kind: "DestinationRule", object: { meta, spec: readDestinationRule(root) } }),
  VirtualService: (root, meta) => ({ kind: "VirtualService", object: { meta, spec: readVirtualService(root) } }),
  Sidecar: (root, meta) => ({ kind: "Sidecar", object: { meta, spec: readSidecar(root) } }),
};

const readPlugin: Reader = (root, meta) => ({ kind: "WasmPlugin", object: { meta, spec: readWasmPlugin(root) } });

/** What to do with a document. */
export type KindVerdict =
  | { readonly kind: "read"; readonly read: Reader }
  /** Refused, because leaving it out could change who may reach whom. */
  | { readonly kind: "refused"; readonly message: string }
  /** Without effect, and said so. */
  | { readonly kind: "unused"; readonly message: string };

const networkingVersions: ReadonlySet<string> = new Set([
  "networking.istio.io/v1",
  "networking.istio.io/v1beta1",
  "networking.istio.io/v1alpha3",
]);

const securityVersions: ReadonlySet<string> = new Set(["security.istio.io/v1", "security.istio.io/v1beta1"]);

const security: Readonly<Record<string, Reader>> = {
  PeerAuthentication: (root, meta) => ({ kind: "PeerAuthentication", object: { meta, spec: readPeerAuthentication(root) } }),
  AuthorizationPolicy: (root, meta) => ({ kind: "AuthorizationPolicy", object: { meta, spec: readAuthorizationPolicy(root, meta) } }),
  RequestAuthentication: (root, meta) => ({ kind: "RequestAuthentication", object: { meta, spec: readRequestAuthentication(root) } }),
};

/** Finds the reader of a document; `place` is the part of the directory it stands in. */
export function readerFor(place: "k8s" | "istio", apiVersion: string, kind: string): KindVerdict {
  if (apiVersion.startsWith("security.istio.io/")) return securityReaderFor(place, apiVersion, kind);
  const plugin = apiVersion === "extensions.istio.io/v1alpha1" && kind === "WasmPlugin";
  const read = plugin ? readPlugin : networkingVersions.has(apiVersion) ? istio[kind] : kubernetes[`${apiVersion}/${kind}`];
  if (read === undefined) return { kind: "unused", message: `${kind} of ${apiVersion} has no effect: this kind is not read` };
  const expected = plugin || networkingVersions.has(apiVersion) ? "istio" : "k8s";
  if (expected !== place) return { kind: "unused", message: `${kind} of ${apiVersion} has no effect here, expected it under ${expected}/` };
  return { kind: "read", read };
}

/** A policy that is left out could change who may reach whom, so one that is not read is refused. */
function securityReaderFor(place: "k8s" | "istio", apiVersion: string, kind: string): KindVerdict {
  const read = securityVersions.has(apiVersion) && Object.hasOwn(security, kind) ? security[kind] : undefined;
  if (read === undefined)
    return { kind: "refused", message: `${kind} is not supported, and leaving it out could change who may reach whom` };
  if (place === "istio") return { kind: "read", read };
  return { kind: "refused", message: `${kind} is not read here, expected it under istio/: leaving it out could change who may reach whom` };
}
