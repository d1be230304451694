// One rule of an AuthorizationPolicy as an Envoy RBAC policy.
import type { Json } from "../envoy-json.ts";
import { type AuthorizationRule, type Condition, isEmpty, type Operation, type Source } from "../istio/authorization-policy.ts";
import { type Attribute, attributeOf, hostAttribute, methodAttribute, pathAttribute, type RuleContext } from "./attributes.ts";
import { withAliases } from "./trust-domains.ts";

/** Where a rule is translated for. */
export interface RuleTarget extends RuleContext {
  readonly action: "ALLOW" | "DENY" | "LOG";
  readonly tcp: boolean;
  /** The mesh's trust domain, then its aliases. */
  readonly trustDomains: readonly string[];
}

interface Clause extends Condition {
  readonly attribute: Attribute;
}

/**
 * The RBAC policy, or undefined when the rule cannot hold on a TCP chain: there an ALLOW rule that asks about a request is left
 * out, and a DENY or LOG rule loses those conditions, so that each errs on the side of refusing.
 */
export function translateRule(rule: AuthorizationRule, target: RuleTarget): Json | undefined {
  const when = rule.when.flatMap((condition) => clause(attributeOf(condition.key, target), migrated(condition.key, condition, target)));
  const common = (part: Attribute["part"]): readonly Clause[] => when.filter(({ attribute }) => attribute.part === part);
  const to = rule.to.length === 0 ? [[]] : rule.to.map((operation) => operationClauses(operation, target));
  const from = rule.from.length === 0 ? [[]] : rule.from.map((source) => sourceClauses(source, target));
  const all = [...when, ...to.flat(), ...from.flat()];
  if (target.tcp && target.action === "ALLOW" && all.some(({ attribute }) => attribute.httpOnly)) return undefined;
  return {
    permissions: to.map((clauses) => conjunction([...clauses, ...common("permission")], target, permissionWords)),
    principals: from.map((clauses) => conjunction([...clauses, ...common("principal")], target, principalWords)),
  };
}

/** A policy that no request meets: what a policy without rules comes to. */
export const neverMatches: Json = {
  permissions: [{ not_rule: { any: true } }],
  principals: [{ not_id: { any: true } }],
};

interface Words {
  readonly and: (parts: readonly Json[]) => Json;
  readonly or: (parts: readonly Json[]) => Json;
  readonly not: (part: Json) => Json;
}

const permissionWords: Words = {
  and: (rules) => ({ and_rules: { rules } }),
  or: (rules) => ({ or_rules: { rules } }),
  not: (rule) => ({ not_rule: rule }),
};
const principalWords: Words = {
  and: (ids) => ({ and_ids: { ids } }),
  or: (ids) => ({ or_ids: { ids } }),
  not: (id) => ({ not_id: id }),
};

function conjunction(clauses: readonly Clause[], { tcp }: RuleTarget, words: Words): Json {
  const parts = clauses.filter(({ attribute }) => !(tcp && attribute.httpOnly)).flatMap((each) => clauseParts(each, words));
  return words.and(parts.length === 0 ? [{ any: true }] : parts);
}

function clauseParts({ attribute, values, notValues }: Clause, words: Words): readonly Json[] {
  const { each, together } = attribute;
  const anyOf = (list: readonly string[]): Json => (together === undefined ? words.or(list.map((value) => each!(value))) : together(list));
  return [...(values.length === 0 ? [] : [anyOf(values)]), ...(notValues.length === 0 ? [] : [words.not(anyOf(notValues))])];
}

/** Istio's order, which decides nothing but what a dump looks like. */
function operationClauses({ hosts, methods, paths, ports }: Operation, target: RuleTarget): readonly Clause[] {
  return [
    ...clause(hostAttribute, hosts),
    ...clause(methodAttribute, methods),
    ...clause(pathAttribute, paths),
    ...clause(attributeOf("destination.port", target), ports),
  ];
}

const sourceKeys = [
  ["source.principal", "principals"],
  ["request.auth.principal", "requestPrincipals"],
  ["source.serviceAccount", "serviceAccounts"],
  ["source.namespace", "namespaces"],
  ["remote.ip", "remoteIpBlocks"],
  ["source.ip", "ipBlocks"],
] as const;

function sourceClauses(source: Source, target: RuleTarget): readonly Clause[] {
  return sourceKeys.flatMap(([key, field]) => clause(attributeOf(key, target), migrated(key, source[field], target)));
}

function clause(attribute: Attribute | undefined, condition: Condition): readonly Clause[] {
  return attribute === undefined || isEmpty(condition) ? [] : [{ attribute, values: condition.values, notValues: condition.notValues }];
}

function migrated(key: string, condition: Condition, { trustDomains }: RuleTarget): Condition {
  if (key !== "source.principal") return condition;
  return { values: withAliases(condition.values, trustDomains), notValues: withAliases(condition.notValues, trustDomains) };
}
