// Finds the DestinationRule that applies to a service for a client: its own namespace first, then the service's, then the root.
import type { MeshView } from "../mesh-view.ts";
import type { MeshService } from "../registry/service.ts";
import type { ClientTlsMode, DestinationRuleSpec, Subset, TrafficPolicy } from "./destination-rule.ts";
import { bySpecificity, hostCovers, resolveHost } from "./host-name.ts";

/** Answers which rule a service has. */
export type DestinationRuleLookup = (service: MeshService) => DestinationRuleSpec | undefined;

interface IndexedRules {
  readonly exact: ReadonlyMap<string, DestinationRuleSpec>;
  /** Most specific first. */
  readonly wildcard: readonly DestinationRuleSpec[];
}

/** Indexes the rules for clients in one namespace. */
export function indexDestinationRules(mesh: MeshView, clientNamespace: string): DestinationRuleLookup {
  const byNamespace = new Map<string, IndexedRules>();
  for (const namespace of new Set(mesh.destinationRules.map((rule) => rule.meta.namespace))) {
    const exact = new Map<string, DestinationRuleSpec>();
    const wildcard: DestinationRuleSpec[] = [];
    for (const rule of mesh.destinationRules) {
      if (rule.meta.namespace !== namespace) continue;
      const host = resolveHost(rule.spec.host, namespace);
      if (host.startsWith("*")) wildcard.push({ ...rule.spec, host });
      // Two rules for one host in one namespace: the older one keeps its policy, subsets are joined.
      else exact.set(host, mergeRules(exact.get(host), { ...rule.spec, host }));
    }
    byNamespace.set(namespace, { exact, wildcard: wildcard.toSorted((a, b) => bySpecificity(a.host, b.host)) });
  }
  return (service) => {
    for (const namespace of new Set([clientNamespace, service.namespace, mesh.config.rootNamespace])) {
      const rules = byNamespace.get(namespace);
      const found = rules?.exact.get(service.hostname) ?? rules?.wildcard.find((rule) => hostCovers(rule.host, service.hostname));
      if (found !== undefined) return found;
    }
    return undefined;
  };
}

function mergeRules(older: DestinationRuleSpec | undefined, newer: DestinationRuleSpec): DestinationRuleSpec {
  if (older === undefined) return newer;
  const names = new Set(older.subsets.map((subset) => subset.name));
  return { ...older, subsets: [...older.subsets, ...newer.subsets.filter((subset) => !names.has(subset.name))] };
}

/** The client TLS mode of a port: the subset's word before the rule's, a port's before the whole; undefined leaves it to auto mTLS. */
export function clientTlsMode(rule: DestinationRuleSpec | undefined, subset: Subset | undefined, port: number): ClientTlsMode | undefined {
  return subset === undefined ? modeOf(rule?.policy, port) : (modeOf(subset.policy, port) ?? modeOf(rule?.policy, port));
}

function modeOf(policy: TrafficPolicy | undefined, port: number): ClientTlsMode | undefined {
  return policy?.ports.get(port)?.tlsMode ?? policy?.tlsMode;
}
