// Envoy config.rbac.v3.RBAC and the two filters that carry it, narrowed: who may do what. Whatever of a policy cannot be checked
// is an error, for leaving it out would let someone in or keep someone out.
import type { CidrRange } from "../address.ts";
import type { MetadataMatcher } from "../metadata-matcher.ts";
import type { HeaderMatcher, StringMatcher } from "../string-matcher.ts";

/** config.rbac.v3.Permission: what is done. */
export type RbacPermission =
  | { readonly kind: "any" }
  | { readonly kind: "and" | "or"; readonly rules: readonly RbacPermission[] }
  | { readonly kind: "not"; readonly rule: RbacPermission }
  | { readonly kind: "header"; readonly header: HeaderMatcher }
  /** The path without its query. */
  | { readonly kind: "urlPath"; readonly matcher: StringMatcher }
  | { readonly kind: "uriTemplate"; readonly template: string }
  | { readonly kind: "destinationIp"; readonly range: CidrRange }
  | { readonly kind: "destinationPort"; readonly port: number }
  /** Start inclusive, end exclusive. */
  | { readonly kind: "destinationPortRange"; readonly start: number; readonly end: number }
  | { readonly kind: "requestedServerName"; readonly matcher: StringMatcher }
  /** What filters before have said of the request (or, in a network filter, of the connection). */
  | { readonly kind: "metadata"; readonly matcher: MetadataMatcher };

/** config.rbac.v3.Principal: who does it. */
export type RbacPrincipal =
  | { readonly kind: "any" }
  | { readonly kind: "and" | "or"; readonly ids: readonly RbacPrincipal[] }
  | { readonly kind: "not"; readonly id: RbacPrincipal }
  /** TLS peer whose first URI SAN, else first DNS SAN, else subject matches; without a matcher any verified peer. */
  | { readonly kind: "authenticated"; readonly principalName?: StringMatcher }
  /** `direct`: the connection's peer. `remote`: after x-forwarded-for or PROXY protocol. `source` is the deprecated source_ip, equal to `direct`-with-PROXY. */
  | { readonly kind: "ip"; readonly which: "source" | "direct" | "remote"; readonly range: CidrRange }
  | { readonly kind: "header"; readonly header: HeaderMatcher }
  | { readonly kind: "urlPath"; readonly matcher: StringMatcher }
  | { readonly kind: "metadata"; readonly matcher: MetadataMatcher };

/** config.rbac.v3.Policy: matches when one permission and one principal do. */
export interface RbacPolicy {
  readonly name: string;
  readonly permissions: readonly RbacPermission[];
  readonly principals: readonly RbacPrincipal[];
}

/** config.rbac.v3.RBAC. Policies in the order Envoy tries them: sorted by name. */
export interface RbacRules {
  readonly action: "ALLOW" | "DENY" | "LOG";
  readonly policies: readonly RbacPolicy[];
}

/** extensions.filters.http.rbac.v3.RBAC. */
export interface HttpRbacConfig {
  /** Absent: everything passes. */
  readonly rules?: RbacRules;
  readonly rulesStatPrefix: string;
  /** Evaluated and told in statistics and dynamic metadata, nothing more. */
  readonly shadowRules?: RbacRules;
  readonly shadowRulesStatPrefix: string;
}

/** extensions.filters.http.rbac.v3.RBACPerRoute: replaces the filter's rules; without `rbac` the filter is off. */
export interface HttpRbacPerRoute {
  readonly rbac?: HttpRbacConfig;
}

/** extensions.filters.network.rbac.v3.RBAC. */
export interface NetworkRbacConfig {
  readonly rules?: RbacRules;
  readonly statPrefix: string;
  readonly shadowRules?: RbacRules;
  readonly shadowRulesStatPrefix: string;
  readonly enforcement: "ONE_TIME_ON_FIRST_BYTE" | "CONTINUOUS";
}
