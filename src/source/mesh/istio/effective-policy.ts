// The part of a DestinationRule that holds for one port and subset: a port's settings replace the whole policy they stand in,
// a subset's replace the rule's one by one.
import type { PolicySettings, Subset, TrafficPolicy } from "./destination-rule.ts";
import type { DestinationRule } from "./destination-rules.ts";

const nothing: PolicySettings = {};

/** What holds for a port of a service, and of one of its subsets when given. */
export function effectivePolicy(rule: DestinationRule | undefined, subset: Subset | undefined, port: number): PolicySettings {
  const ofRule = policyAtPort(rule?.spec.policy, port);
  if (subset?.policy === undefined) return ofRule;
  const ofSubset = policyAtPort(subset.policy, port);
  return subset.policy.ports.has(port) ? ofSubset : { ...ofRule, ...ofSubset };
}

/** A policy as it holds for one port: what the port's settings leave out is not inherited. */
export function policyAtPort(policy: TrafficPolicy | undefined, port: number): PolicySettings {
  return policy === undefined ? nothing : (policy.ports.get(port) ?? policy.settings);
}
