// AuthorizationPolicies and RequestAuthentications that do something else than they seem to: each is a warning.
import { attributeOf } from "../authz/attributes.ts";
import type { AuthorizationPolicy } from "../authz/policies.ts";
import { findHost } from "../authz/providers.ts";
import { type AuthorizationRule, isEmpty } from "../istio/authorization-policy.ts";
import type { PolicyTarget } from "../istio/policy-target.ts";
import type { MeshView } from "../mesh-view.ts";
import type { FieldPath } from "../object/fields.ts";
import type { ObjectMeta } from "../object/mesh-object.ts";
import { buildServiceRegistry } from "../registry/service-registry.ts";
import type { ObjectIssue } from "./object-issue.ts";

/** Every policy that surprises. */
export function checkAuthorization(mesh: MeshView): readonly ObjectIssue[] {
  const issues: ObjectIssue[] = [];
  const warn = (meta: ObjectMeta, path: FieldPath, message: string): void => {
    issues.push({ severity: "warning", meta, path, message });
  };
  for (const { meta, spec } of [...mesh.authorizationPolicies, ...mesh.requestAuthentications]) checkTarget(meta, spec.target, warn);
  for (const policy of mesh.authorizationPolicies) {
    if (policy.spec.action === "CUSTOM") checkProvider(mesh, policy, warn);
    if (policy.spec.action === "DENY") checkTcp(policy, warn);
  }
  return issues;
}

type Warn = (meta: ObjectMeta, path: FieldPath, message: string) => void;

function checkTarget(meta: ObjectMeta, { refs }: PolicyTarget, warn: Warn): void {
  const waypoint = refs.find(({ kind }) => kind !== "Gateway");
  if (waypoint !== undefined)
    warn(meta, ["spec"], `has no effect on ${waypoint.kind} ${waypoint.name}: only a waypoint would enforce it there`);
}

/** Such rules refuse what they match, so nothing gets past them; but it is not what was meant. */
function checkProvider(mesh: MeshView, { meta, spec }: AuthorizationPolicy, warn: Warn): void {
  const provider = mesh.config.authorizers.find(({ name }) => name === spec.provider);
  const lost = "so every request that its rules match is refused";
  if (provider === undefined)
    warn(meta, ["spec", "provider"], `names "${spec.provider}", which is no external authorizer of extensionProviders, ${lost}`);
  else if (findHost(provider.service, buildServiceRegistry(mesh).services) === undefined)
    warn(
      meta,
      ["spec", "provider"],
      `names "${spec.provider}", whose service ${provider.service} is not in the mesh or not the only one, ${lost}`,
    );
}

function checkTcp({ meta, spec }: AuthorizationPolicy, warn: Warn): void {
  for (const [index, rule] of spec.rules.entries())
    if (asksAboutRequestsAlone(rule))
      warn(
        meta,
        ["spec", "rules", index],
        "asks about requests alone, so it refuses every connection to a TCP port of its workloads: expected the ports it is meant for",
      );
}

function asksAboutRequestsAlone({ from, to, when }: AuthorizationRule): boolean {
  const attributes = when.map(({ key }) => attributeOf(key, { namespace: "" }));
  const asked =
    when.length > 0 ||
    to.some((operation) => !Object.values(operation).every(isEmpty)) ||
    from.some(({ requestPrincipals }) => !isEmpty(requestPrincipals));
  const tcp =
    attributes.some((attribute) => attribute?.httpOnly === false) ||
    to.some(({ ports }) => !isEmpty(ports)) ||
    from.some(({ requestPrincipals: _tokens, ...rest }) => !Object.values(rest).every(isEmpty));
  return asked && !tcp;
}
