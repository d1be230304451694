// Translates every recorded scenario for every recorded node and compares, resource by resource, with what Istio's own
// control plane sends.
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { normalise } from "./normalise.ts";
import { isthmusProgram, referenceFolder } from "./reference.ts";

/** Resource types in the order of the table. */
export const resourceTypes = ["cds", "eds", "lds", "rds", "nds"] as const;

/** One of them. */
export type ResourceType = (typeof resourceTypes)[number];

/** Resources of all kinds that must agree at least; raised with each gain, never lowered. */
export const translateFloor = 332;

/** How one type of one node compares. */
export interface Comparison {
  /** Names in either, the recorded one or ours. */
  readonly total: number;
  readonly agreed: number;
  /** What differs, a line each: the name, and where or why. */
  readonly differences: readonly string[];
}

/** One node of one scenario. */
export interface TranslatedNode {
  readonly scenario: string;
  readonly node: string;
  readonly types: Readonly<Record<ResourceType, Comparison>>;
  /** Why there is no translation at all. */
  readonly failure?: string;
}

/** Compares every node of every scenario. */
export function runTranslate(): TranslatedNode[] {
  const scenarios = path.join(referenceFolder, "scenarios");
  return subfolders(scenarios).flatMap((scenario) =>
    subfolders(path.join(scenarios, scenario, "golden")).map((node) => compareNode(path.join(scenarios, scenario), scenario, node)),
  );
}

function compareNode(folder: string, scenario: string, node: string): TranslatedNode {
  const golden = path.join(folder, "golden", node);
  const command = ["translate", "--mesh", path.join(folder, "mesh"), "--node-file", path.join(golden, "node.json")];
  const result = spawnSync(isthmusProgram, command, {
    encoding: "utf8",
    timeout: 30_000,
    maxBuffer: 256 << 20,
    // Without being told otherwise, istiod hands addresses out one after the other.
    env: { ...process.env, PILOT_ENABLE_IP_AUTOALLOCATE: "true", ...readEnvironment(path.join(folder, "mesh", "env")) },
  });
  let ours: Partial<Record<ResourceType, unknown>> = {};
  let failure: string | undefined;
  try {
    ours = JSON.parse(result.stdout) as typeof ours;
  } catch {
    failure = result.error?.message ?? (result.stderr.trim().split("\n").slice(-3).join(" | ") || `exit code ${result.status}`);
  }
  const types = Object.fromEntries(
    resourceTypes.map((type) => {
      const file = path.join(golden, `${type}.json`);
      const theirs: unknown = fs.existsSync(file) ? JSON.parse(fs.readFileSync(file, "utf8")) : undefined;
      return [type, compare(byName(type, theirs), byName(type, ours[type]))];
    }),
  ) as Record<ResourceType, Comparison>;
  return { scenario, node, types, ...(failure === undefined ? {} : { failure }) };
}

// What the control plane was told when the scenario was recorded, as KEY=VALUE lines.
function readEnvironment(file: string): Readonly<Record<string, string>> {
  if (!fs.existsSync(file)) return {};
  return Object.fromEntries(
    [...fs.readFileSync(file, "utf8").matchAll(/^(?:export )?([A-Z_]+)=(.*)$/gm)].map(([, key = "", value = ""]) => [key, value]),
  );
}

interface Named {
  readonly name?: string;
  readonly cluster_name?: string;
  readonly table?: Readonly<Record<string, unknown>>;
}

// A response is `{type_url, resources}`; a bare list of resources is taken too. The name table is one resource, so its
// hosts are compared one by one.
function byName(type: ResourceType, response: unknown): Map<string, unknown> {
  const list = (Array.isArray(response) ? response : ((response as { resources?: unknown[] } | undefined)?.resources ?? [])) as Named[];
  if (type === "nds") return new Map(list.flatMap(({ table }) => Object.entries(table ?? {})));
  return new Map(list.map((resource) => [resource.name ?? resource.cluster_name ?? "", resource]));
}

function compare(theirs: ReadonlyMap<string, unknown>, ours: ReadonlyMap<string, unknown>): Comparison {
  const names = [...new Set([...theirs.keys(), ...ours.keys()])].sort();
  const differences = names.flatMap((name) => {
    if (!theirs.has(name)) return [`${name}: not in the recording`];
    if (!ours.has(name)) return [`${name}: missing`];
    const where = firstDifference(normalise(theirs.get(name)), normalise(ours.get(name)));
    return where === undefined ? [] : [`${name}: ${where}`];
  });
  return { total: names.length, agreed: names.length - differences.length, differences };
}

function firstDifference(theirs: unknown, ours: unknown, at = ""): string | undefined {
  if (JSON.stringify(theirs) === JSON.stringify(ours)) return undefined;
  if (
    typeof theirs !== "object" ||
    typeof ours !== "object" ||
    theirs === null ||
    ours === null ||
    Array.isArray(theirs) !== Array.isArray(ours)
  ) {
    return `${at || "/"} is ${clip(ours)}, recorded ${clip(theirs)}`;
  }
  const left = theirs as Readonly<Record<string, unknown>>;
  const right = ours as Readonly<Record<string, unknown>>;
  for (const key of new Set([...Object.keys(left), ...Object.keys(right)])) {
    const found = firstDifference(left[key], right[key], `${at}/${key}`);
    if (found !== undefined) return found;
  }
  return undefined;
}

function clip(value: unknown): string {
  const text = JSON.stringify(value) ?? "absent";
  return text.length > 160 ? `${text.slice(0, 160)}...` : text;
}

function subfolders(folder: string): string[] {
  return fs
    .readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name)
    .sort();
}
