// The filters that a proxy's AuthorizationPolicies come to: CUSTOM first, then, behind the tokens, AUDIT, DENY and ALLOW.
import { extension, type Json } from "../envoy-json.ts";
import type { AuthorizationAction } from "../istio/authorization-policy.ts";
import { type AuthorizationPolicy, ruleName } from "./policies.ts";
import { type ExternalAuthorizer, externalPrefix, findAuthorizer } from "./providers.ts";
import { neverMatches, type RuleTarget, translateRule } from "./rule.ts";

/** Filters of one kind of chain. */
export interface AuthorizationFilters {
  /** CUSTOM: before tokens are looked at. */
  readonly custom: readonly Json[];
  /** AUDIT, DENY, ALLOW, each when there is a policy of it. */
  readonly local: readonly Json[];
}

/** What the filters are built of. */
export interface AuthorizationInput {
  readonly policies: ReadonlyMap<AuthorizationAction, readonly AuthorizationPolicy[]>;
  readonly trustDomains: readonly string[];
  /** Extension providers by name. */
  readonly authorizers: ReadonlyMap<string, ExternalAuthorizer>;
}

const localActions = [
  ["AUDIT", "LOG"],
  ["DENY", "DENY"],
  ["ALLOW", "ALLOW"],
] as const;

/** Builds the filters of HTTP chains, or those of TCP chains. */
export function authorizationFilters(input: AuthorizationInput, tcp: boolean): AuthorizationFilters {
  return {
    custom: customFilters(input, tcp),
    local: localActions.flatMap(([action, rbac]) => {
      const policies = input.policies.get(action) ?? [];
      if (policies.length === 0) return [];
      const { enforced, shadow } = rulesOf(policies, { action: rbac, tcp, trustDomains: input.trustDomains }, "");
      // istiod names the prefix of ALLOW where there are no such rules.
      const prefix = shadow !== undefined && rbac === "DENY" ? "istio_dry_run_deny_" : "istio_dry_run_allow_";
      return [
        rbacFilter(tcp, {
          ...(enforced === undefined ? {} : { rules: enforced }),
          ...(shadow === undefined ? {} : { shadow_rules: shadow }),
          shadow_rules_stat_prefix: prefix,
        }),
      ];
    }),
  };
}

/** Rules only mark the requests that the authorizer is to be asked about; without a usable one they refuse those requests. */
function customFilters({ policies, trustDomains, authorizers }: AuthorizationInput, tcp: boolean): readonly Json[] {
  const custom = policies.get("CUSTOM") ?? [];
  if (custom.length === 0) return [];
  const { enforced } = rulesOf(custom, { action: "DENY", tcp, trustDomains }, externalPrefix);
  const authorizer = findAuthorizer(authorizers, custom);
  if (typeof authorizer === "string") return [rbacFilter(tcp, { rules: suffixed(enforced) })];
  const ask = tcp ? authorizer.tcp : authorizer.http;
  if (ask === undefined) return [];
  return [
    rbacFilter(tcp, { ...(enforced === undefined ? {} : { shadow_rules: enforced }), shadow_rules_stat_prefix: "istio_ext_authz_" }),
    ask,
  ];
}

function suffixed(rules: Rules | undefined): Rules {
  const named = Object.entries(rules?.policies ?? {}).map(([name, policy]) => [`${name}-deny-due-to-bad-CUSTOM-action`, policy]);
  return { action: "DENY", policies: Object.fromEntries(named) as Readonly<Record<string, Json>> };
}

interface Rules {
  readonly action?: string;
  /** Absent when no rule holds on this kind of chain. */
  readonly policies?: Readonly<Record<string, Json>>;
}

function rulesOf(
  policies: readonly AuthorizationPolicy[],
  target: Omit<RuleTarget, "namespace">,
  prefix: string,
): { readonly enforced: Rules | undefined; readonly shadow: Rules | undefined } {
  const rules = (chosen: readonly AuthorizationPolicy[]): Rules | undefined => {
    if (chosen.length === 0) return undefined;
    const named = chosen.flatMap((policy) => policyRules(policy, target, prefix));
    // ALLOW is what RBAC is when it says nothing.
    return {
      ...(target.action === "ALLOW" ? {} : { action: target.action }),
      ...(named.length === 0 ? {} : { policies: Object.fromEntries(named) }),
    };
  };
  return {
    enforced: rules(policies.filter(({ spec }) => !spec.dryRun)),
    shadow: rules(policies.filter(({ spec }) => spec.dryRun)),
  };
}

function policyRules(
  { meta, spec }: AuthorizationPolicy,
  target: Omit<RuleTarget, "namespace">,
  prefix: string,
): readonly (readonly [string, Json])[] {
  if (spec.rules.length === 0) return [[prefix + ruleName(meta, 0), neverMatches]];
  return spec.rules.flatMap((rule, index) => {
    const policy = translateRule(rule, { ...target, namespace: meta.namespace });
    return policy === undefined ? [] : [[prefix + ruleName(meta, index), policy] as const];
  });
}

function rbacFilter(tcp: boolean, config: Json): Json {
  return tcp
    ? extension("envoy.filters.network.rbac", "envoy.extensions.filters.network.rbac.v3.RBAC", { ...config, stat_prefix: "tcp." })
    : extension("envoy.filters.http.rbac", "envoy.extensions.filters.http.rbac.v3.RBAC", config);
}
