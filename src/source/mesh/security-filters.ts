// The filters that a proxy's AuthorizationPolicies and RequestAuthentications put before everything else of a chain.
import { jwtFilter } from "./authn/jwt-filter.ts";
import { authorizationFilters } from "./authz/filters.ts";
import { policiesOf } from "./authz/policies.ts";
import { buildAuthorizers } from "./authz/providers.ts";
import type { Json } from "./envoy-json.ts";
import type { PolicySubject } from "./istio/policy-target.ts";
import type { MeshView } from "./mesh-view.ts";
import type { Proxy } from "./proxy.ts";
import type { MeshService } from "./registry/service.ts";

/** Filters in their order. */
export interface SecurityFilters {
  /** In connection managers: external authorization, tokens, then the rules; all of `phases`. */
  readonly http: readonly Json[];
  /** The same apart, for what comes in between. */
  readonly phases: { readonly custom: readonly Json[]; readonly authn: readonly Json[]; readonly authz: readonly Json[] };
  /** Before TCP proxies. */
  readonly tcp: readonly Json[];
}

/** Builds the filters of one proxy. */
export function securityFilters(
  mesh: MeshView,
  proxy: Pick<Proxy, "namespace" | "type">,
  labels: Readonly<Record<string, string>>,
  services: readonly MeshService[],
): SecurityFilters {
  const subject: PolicySubject = { namespace: proxy.namespace, labels };
  const { config } = mesh;
  const input = {
    policies: policiesOf(mesh, subject),
    trustDomains: [config.trustDomain, ...config.trustDomainAliases],
    authorizers: buildAuthorizers(config.authorizers, services),
  };
  const http = authorizationFilters(input, false);
  const tcp = authorizationFilters(input, true);
  const phases = { custom: http.custom, authn: jwtFilter(mesh, subject, proxy.type === "router"), authz: http.local };
  return {
    http: [...phases.custom, ...phases.authn, ...phases.authz],
    phases,
    tcp: [...tcp.custom, ...tcp.local],
  };
}
