// Turns endpoints by locality into priorities and weights, as seen from the caller's locality.
import type { Locality } from "../../../envoy/cluster/endpoint.ts";
import type { Json } from "../envoy-json.ts";
import type { LocalitySetting } from "../istio/locality-setting.ts";
import { parseLocality } from "../registry/topology-labels.ts";
import type { LocalityChoice } from "./locality.ts";

/** An endpoint as it will be sent. */
export interface PlacedEndpoint {
  readonly weight: number;
  readonly json: Json;
  /** Its workload's labels with those of its place. */
  readonly labels: Readonly<Record<string, string>>;
}

/** Endpoints of one locality and priority. */
export interface LocalityGroup {
  readonly locality: Locality;
  readonly endpoints: readonly PlacedEndpoint[];
  /** 0 first. */
  readonly priority: number;
  /** Undefined for a locality without endpoints. */
  readonly weight: number | undefined;
}

/** Who asks. */
export interface Caller {
  readonly locality: Locality;
  readonly labels: Readonly<Record<string, string>>;
}

/** Applies a setting; `byLabels` is false where Istio does not look at labels (clusters resolved by DNS). */
export function orderLocalities(
  groups: readonly LocalityGroup[],
  choice: LocalityChoice,
  caller: Caller,
  byLabels: boolean,
): readonly LocalityGroup[] {
  const { setting, failover } = choice;
  if (setting === undefined) return groups;
  if (setting.distribute.length > 0) return distribute(groups, setting.distribute, caller.locality);
  if (!failover) return groups;
  if (setting.failoverPriority.length === 0) return failOver(groups, setting.failover, caller.locality);
  const ordered = byLabels ? compress(groups.flatMap((group) => splitByLabels(group, setting.failoverPriority, caller.labels))) : groups;
  return setting.failover.length === 0 ? ordered : failOver(ordered, setting.failover, caller.locality);
}

function distribute(groups: readonly LocalityGroup[], rules: LocalitySetting["distribute"], locality: Locality): readonly LocalityGroup[] {
  const rule = rules.find((each) => covers(each.from, locality));
  if (rule === undefined) return groups;
  const weights = new Map<LocalityGroup, number | undefined>();
  for (const [pattern, share] of rule.to) {
    const covered = groups.filter((group) => !weights.has(group) && covers(pattern, group.locality));
    const total = covered.reduce((sum, group) => sum + (group.weight ?? 1), 0);
    for (const group of covered) weights.set(group, Math.ceil(((group.weight ?? 1) * share) / total) || group.weight);
  }
  return groups.map((group) => (weights.has(group) ? { ...group, weight: weights.get(group) } : { ...group, endpoints: [] }));
}

/** True when a `region/zone/subzone` covers a locality: `*` is any, and so is what is missing. */
function covers(pattern: string, locality: Locality): boolean {
  const { region, zone, subZone } = parseLocality(pattern);
  const open = (part: string): boolean => part === "*" || part === "";
  return (
    (region === "*" || region === locality.region) &&
    (open(zone) || zone === locality.zone) &&
    (open(subZone) || subZone === locality.subZone)
  );
}

// Steps of distance that failOver tells apart: same subzone, zone, region, failover region, elsewhere.
const distances = 5;

function failOver(groups: readonly LocalityGroup[], rules: LocalitySetting["failover"], from: Locality): readonly LocalityGroup[] {
  const rule = rules.find((each) => each.from === from.region);
  return compress(groups.map((group) => ({ ...group, priority: group.priority * distances + distance(from, group.locality, rule?.to) })));
}

function distance(from: Locality, to: Locality, nextRegion: string | undefined): number {
  if (from.region !== to.region) return nextRegion === undefined || nextRegion === to.region ? 3 : 4;
  if (from.zone !== to.zone) return 2;
  return from.subZone === to.subZone ? 0 : 1;
}

/** Splits a locality by how many of the labels its endpoints share with the caller, counted from the first. */
function splitByLabels(group: LocalityGroup, names: readonly string[], labels: Caller["labels"]): readonly LocalityGroup[] {
  if (Object.keys(labels).length === 0) return [group];
  const wanted = names.map((text) => {
    const [name = "", value, ...rest] = text.split("=");
    return { name, value: value === undefined || rest.length > 0 ? labels[name] : value };
  });
  const byPriority = new Map<number, PlacedEndpoint[]>();
  for (const endpoint of group.endpoints) {
    const first = wanted.findIndex(({ name, value }) => (value ?? "") !== (endpoint.labels[name] ?? ""));
    const priority = first === -1 ? 0 : wanted.length - first;
    const list = byPriority.get(priority);
    if (list === undefined) byPriority.set(priority, [endpoint]);
    else list.push(endpoint);
  }
  return [...byPriority]
    .toSorted(([a], [b]) => a - b)
    .map(([priority, endpoints]) => ({
      locality: group.locality,
      endpoints,
      priority,
      weight: endpoints.reduce((sum, each) => sum + each.weight, 0),
    }));
}

/** Priorities without gaps, as Envoy asks for. */
function compress(groups: readonly LocalityGroup[]): readonly LocalityGroup[] {
  const used = [...new Set(groups.map((group) => group.priority))].toSorted((a, b) => a - b);
  return groups.map((group) => ({ ...group, priority: used.indexOf(group.priority) }));
}
