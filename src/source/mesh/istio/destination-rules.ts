// Finds the DestinationRule that applies to a service for a client: its own namespace first, then the service's, then the root,
// each as far as exportTo lets the client see it.
import { isDeepStrictEqual } from "node:util";
import type { MeshView } from "../mesh-view.ts";
import { Kept } from "../object/kept.ts";
import type { MeshObject } from "../object/mesh-object.ts";
import { labelsMatch, type MeshService } from "../registry/service.ts";
import type { ClientTlsMode } from "./client-tls.ts";
import type { DestinationRuleSpec, Subset, TrafficPolicy } from "./destination-rule.ts";
import { bySpecificity, hostCovers, resolveHost } from "./host-name.ts";

/** Answers which rule a service has. */
export type DestinationRuleLookup = (service: MeshService) => DestinationRule | undefined;

/** A rule with its host in full. */
export type DestinationRule = MeshObject<DestinationRuleSpec>;

/** Rules by host, each host with one rule or, where their exportTo differ, several. */
type RulesByHost = Map<string, DestinationRule[]>;

/** Indexes the rules for a client of one namespace with these labels. */
export function indexDestinationRules(
  mesh: MeshView,
  clientNamespace: string,
  labels: Readonly<Record<string, string>>,
): DestinationRuleLookup {
  const { rootNamespace, destinationRuleExportTo } = mesh.config;
  // By namespace: rules its own clients may use, and rules that clients elsewhere may use.
  const own: RulesByHost = new Map();
  const exported = new Map<string, RulesByHost>();
  for (const rule of mesh.destinationRules) {
    const { namespace } = rule.meta;
    const full = withFullHost(rule);
    const { exportTo } = full.spec;
    const isPrivate =
      exportTo.length === 0 ? destinationRuleExportTo.includes(".") : exportTo.every((target) => target === "." || target === namespace);
    const isForOwn = exportTo.length === 0 || [".", "*", namespace].some((target) => exportTo.includes(target));
    // Rules of the root namespace are the mesh's defaults: its own proxies take only those that are private to them first.
    if (namespace === clientNamespace && (namespace === rootNamespace ? isPrivate : isForOwn)) addRule(own, full);
    if (isPrivate) continue;
    const others = exported.get(namespace) ?? new Map();
    exported.set(namespace, others);
    addRule(others, full);
  }
  const isFor = (rule: DestinationRule): boolean => {
    const { exportTo } = rule.spec;
    return exportTo.length === 0 || exportTo.includes("*") || exportTo.includes(clientNamespace);
  };
  const ownRules = indexed(own);
  const exportedRules = new Map([...exported].map(([namespace, rules]) => [namespace, indexed(rules)]));
  const find: DestinationRuleLookup = (service) => {
    const found = rulesOf(ownRules, service.hostname);
    // A rule of this host that selects other workloads still keeps rules of wider hosts and other namespaces away, as in Istio.
    if (found.length > 0) return selected(found, clientNamespace, labels);
    for (const namespace of [service.namespace, rootNamespace]) {
      const visible = rulesOf(exportedRules.get(namespace), service.hostname).filter(isFor);
      if (visible.length > 0) return visible.at(-1);
    }
    return undefined;
  };
  // Every builder asks for the same services, port by port.
  const answers = new Map<MeshService, DestinationRule | undefined>();
  return (service) => {
    if (!answers.has(service)) answers.set(service, find(service));
    return answers.get(service);
  };
}

// A rule stays the same object from load to load, so that what was made by it can be told to be so still.
const fullRules = new Kept<MeshObject<DestinationRuleSpec>, DestinationRule>();
const mergedRules = new Kept<DestinationRule, DestinationRule>();

function withFullHost(rule: MeshObject<DestinationRuleSpec>): DestinationRule {
  return fullRules.get(rule, [], () => ({
    meta: rule.meta,
    spec: {
      ...rule.spec,
      host: resolveHost(rule.spec.host, rule.meta.namespace),
      // What selects workloads selects those of its own namespace.
      ...(rule.spec.workloadSelector === undefined ? {} : { exportTo: ["."] }),
    },
  }));
}

/** The first rule that selects the client's labels, else the last without a selector. */
function selected(
  rules: readonly DestinationRule[],
  clientNamespace: string,
  labels: Readonly<Record<string, string>>,
): DestinationRule | undefined {
  const own = rules.find(
    ({ meta, spec }) =>
      spec.workloadSelector !== undefined && meta.namespace === clientNamespace && labelsMatch(spec.workloadSelector, labels),
  );
  return own ?? rules.findLast(({ spec }) => spec.workloadSelector === undefined);
}

/** The rules of the most specific host that covers a name. */
function rulesOf(rules: HostRules | undefined, hostname: string): readonly DestinationRule[] {
  const exact = rules?.byHost.get(hostname);
  if (rules === undefined || exact !== undefined) return exact ?? [];
  const host = rules.wildcards.find((each) => hostCovers(each, hostname));
  return host === undefined ? [] : (rules.byHost.get(host) ?? []);
}

/** Rules for lookups: a thousand services must not mean a thousand walks over a thousand rules. */
interface HostRules {
  readonly byHost: RulesByHost;
  /** The most specific first. */
  readonly wildcards: readonly string[];
}

function indexed(byHost: RulesByHost): HostRules {
  return { byHost, wildcards: [...byHost.keys()].filter((host) => host.startsWith("*")).toSorted(bySpecificity) };
}

/** Adds a rule to those of its host: joined with every older one that is exported as far or less, else beside them. */
function addRule(rules: RulesByHost, rule: DestinationRule): void {
  const known = rules.get(rule.spec.host);
  if (known === undefined) {
    rules.set(rule.spec.host, [rule]);
    return;
  }
  // Istio lets the last of the older rules for the same workloads decide whether the new one stands beside them as well.
  let apart = true;
  for (const [index, older] of known.entries()) {
    if (!sameWorkloads(older, rule)) continue;
    apart = !canJoin(older.spec.exportTo, rule.spec.exportTo);
    if (!apart) known[index] = mergedRules.get(older, [rule], () => mergeRules(older, rule));
  }
  if (apart) known.push(rule);
}

function sameWorkloads({ spec: older }: DestinationRule, { spec: newer }: DestinationRule): boolean {
  if (older.workloadSelector === undefined || newer.workloadSelector === undefined)
    return older.workloadSelector === newer.workloadSelector;
  return isDeepStrictEqual(older.workloadSelector, newer.workloadSelector);
}

function canJoin(older: readonly string[], newer: readonly string[]): boolean {
  const covered = older.every((target) => newer.includes(target));
  return covered && (older.length > 0 || newer.length === 0);
}

/** Subsets are joined, the older rule keeps its policy if it has one. */
function mergeRules(older: DestinationRule, newer: DestinationRule): DestinationRule {
  const names = new Set(older.spec.subsets.map((subset) => subset.name));
  const added = newer.spec.subsets.filter((subset) => !names.has(subset.name));
  const policy = older.spec.policy ?? newer.spec.policy;
  return { meta: older.meta, spec: { ...older.spec, policy, subsets: [...older.spec.subsets, ...added] } };
}

/**
 * The TLS mode of a port for endpoint metadata; undefined leaves it to auto mTLS. For it istiod does not let a subset inherit from
 * its rule, but does let a port from its policy.
 */
export function endpointTlsMode(rule: DestinationRule | undefined, subset: Subset | undefined, port: number): ClientTlsMode | undefined {
  return modeOf(subset === undefined ? rule?.spec.policy : subset.policy, port);
}

function modeOf(policy: TrafficPolicy | undefined, port: number): ClientTlsMode | undefined {
  return (policy?.ports.get(port)?.tls ?? policy?.settings.tls)?.mode;
}
