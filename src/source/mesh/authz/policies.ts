// Which AuthorizationPolicies hold at a proxy, by action: those of the root namespace first, then its own namespace's.
import type { AuthorizationAction, AuthorizationPolicySpec } from "../istio/authorization-policy.ts";
import { isForProxy, type PolicySubject } from "../istio/policy-target.ts";
import type { MeshView } from "../mesh-view.ts";
import type { MeshObject } from "../object/mesh-object.ts";

/** A policy as it was written. */
export type AuthorizationPolicy = MeshObject<AuthorizationPolicySpec>;

/** The policies of one proxy, the oldest first within each namespace. */
export function policiesOf(mesh: MeshView, subject: PolicySubject): ReadonlyMap<AuthorizationAction, readonly AuthorizationPolicy[]> {
  const namespaces = [...new Set([mesh.config.rootNamespace, subject.namespace])];
  const chosen = namespaces.flatMap((namespace) =>
    mesh.authorizationPolicies.filter(({ meta, spec }) => meta.namespace === namespace && isForProxy(spec.target, namespace, subject)),
  );
  return Map.groupBy(chosen, ({ spec }) => spec.action);
}

/** What a rule is called in Envoy's configuration, in access logs and in statistics. */
export function ruleName(meta: { readonly namespace: string; readonly name: string }, index: number): string {
  return `ns[${meta.namespace}]-policy[${meta.name}]-rule[${index}]`;
}

/** The policy and rule behind such a name, or undefined when it is none. */
export function parseRuleName(name: string): { readonly namespace: string; readonly name: string; readonly rule: number } | undefined {
  const found = /^(?:istio-ext-authz-)?ns\[([^\]]*)\]-policy\[([^\]]*)\]-rule\[(\d+)\]/.exec(name);
  return found === null ? undefined : { namespace: found[1]!, name: found[2]!, rule: Number(found[3]) };
}
