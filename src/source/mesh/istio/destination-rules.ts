// Finds the DestinationRule that applies to a service for a client: its own namespace first, then the service's, then the root.
import type { MeshView } from "../mesh-view.ts";
import type { MeshObject } from "../object/mesh-object.ts";
import type { MeshService } from "../registry/service.ts";
import type { ClientTlsMode, DestinationRuleSpec, Subset, TrafficPolicy } from "./destination-rule.ts";
import { bySpecificity, hostCovers, resolveHost } from "./host-name.ts";

/** Answers which rule a service has. */
export type DestinationRuleLookup = (service: MeshService) => DestinationRule | undefined;

/** A rule with its host in full. */
export type DestinationRule = MeshObject<DestinationRuleSpec>;

interface IndexedRules {
  readonly exact: ReadonlyMap<string, DestinationRule>;
  /** Most specific first. */
  readonly wildcard: readonly DestinationRule[];
}

/** Indexes the rules for clients in one namespace. */
export function indexDestinationRules(mesh: MeshView, clientNamespace: string): DestinationRuleLookup {
  const byNamespace = new Map<string, IndexedRules>();
  for (const namespace of new Set(mesh.destinationRules.map((rule) => rule.meta.namespace))) {
    const exact = new Map<string, DestinationRule>();
    const wildcard: DestinationRule[] = [];
    for (const rule of mesh.destinationRules) {
      if (rule.meta.namespace !== namespace) continue;
      const host = resolveHost(rule.spec.host, namespace);
      const full = { meta: rule.meta, spec: { ...rule.spec, host } };
      if (host.startsWith("*")) wildcard.push(full);
      // Two rules for one host in one namespace: the older one keeps its policy, subsets are joined.
      else exact.set(host, mergeRules(exact.get(host), full));
    }
    byNamespace.set(namespace, { exact, wildcard: wildcard.toSorted((a, b) => bySpecificity(a.spec.host, b.spec.host)) });
  }
  return (service) => {
    for (const namespace of new Set([clientNamespace, service.namespace, mesh.config.rootNamespace])) {
      const rules = byNamespace.get(namespace);
      const found = rules?.exact.get(service.hostname) ?? rules?.wildcard.find((rule) => hostCovers(rule.spec.host, service.hostname));
      if (found !== undefined) return found;
    }
    return undefined;
  };
}

function mergeRules(older: DestinationRule | undefined, newer: DestinationRule): DestinationRule {
  if (older === undefined) return newer;
  const names = new Set(older.spec.subsets.map((subset) => subset.name));
  const added = newer.spec.subsets.filter((subset) => !names.has(subset.name));
  return { meta: older.meta, spec: { ...older.spec, subsets: [...older.spec.subsets, ...added] } };
}

/** The client TLS mode of a port: the subset's word before the rule's, a port's before the whole; undefined leaves it to auto mTLS. */
export function clientTlsMode(rule: DestinationRule | undefined, subset: Subset | undefined, port: number): ClientTlsMode | undefined {
  const ofRule = modeOf(rule?.spec.policy, port);
  return subset === undefined ? ofRule : (modeOf(subset.policy, port) ?? ofRule);
}

/** The same for endpoint metadata, where istiod does not let a subset inherit from its rule. */
export function endpointTlsMode(rule: DestinationRule | undefined, subset: Subset | undefined, port: number): ClientTlsMode | undefined {
  return modeOf(subset === undefined ? rule?.spec.policy : subset.policy, port);
}

function modeOf(policy: TrafficPolicy | undefined, port: number): ClientTlsMode | undefined {
  return policy?.ports.get(port)?.tlsMode ?? policy?.tlsMode;
}
