// What of ours iptables-save shows, and how it differs from what should be there.
import { compareRules } from "../back-end.ts";
import type { Comparable, Finding, Inspection } from "../back-end.ts";
import { isOwnChain, tables } from "../rule.ts";
import type { Rule, Table } from "../rule.ts";
import { type ChainPlan, type Leftovers, planTable } from "./render.ts";
import { canonicalRule } from "./saved.ts";
import type { SavedTables } from "./saved.ts";

/**
 * Rules that this program and Istio's put straight into built-in chains, beside jumps to own chains. They are recognised only
 * beside own chains, so that interception that was applied with other settings, by either, can be taken away.
 */
const ownShapes = [
  /^-A PREROUTING -i \S+ -j RETURN$/,
  /^-A OUTPUT -o \S+ -j RETURN$/,
  /^-A PREROUTING -p tcp -m mark --mark \S+ -j CONNMARK --save-mark\b/,
  /^-A OUTPUT -o lo -p tcp -m mark --mark \S+ -j RETURN$/,
  /^-A OUTPUT ! -d \S+ -o lo -p tcp -m owner --[ug]id-owner \d+ -j MARK --set-xmark 0x53a\/0xffffffff$/,
  /^-A OUTPUT -p tcp -m connmark --mark \S+ -j CONNMARK --restore-mark\b/,
];

function isOwnRule(rule: string, wanted: ReadonlySet<string>, besideOwnChains: boolean): boolean {
  return / -[jg] ISTIO_\S+$/.test(rule) || wanted.has(bare(rule)) || (besideOwnChains && ownShapes.some((shape) => shape.test(rule)));
}

// The words behind `-A CHAIN`.
function ruleText(rule: string): string {
  return rule.replace(/^-A \S+ ?/, "");
}

function comparable(text: string): Comparable {
  return { text, key: canonicalRule(text) };
}

// Chain and rule in comparable form.
function bare(rule: string): string {
  return `${rule.split(" ")[1] ?? ""} ${canonicalRule(ruleText(rule))}`;
}

function wantedIn(plan: readonly ChainPlan[]): ReadonlySet<string> {
  return new Set(plan.flatMap(({ chain, head, tail }) => [...head, ...tail].map((rule) => `${chain} ${canonicalRule(rule)}`)));
}

interface OwnState extends Leftovers {
  /** Rules of built-in chains that are not ours, but come before the last of ours. */
  readonly ahead: readonly string[];
}

/** What a table holds of ours, and what stands before it. */
export function leftoversOf(state: SavedTables, table: Table, plan: readonly ChainPlan[]): OwnState {
  const there = state.get(table) ?? new Map<string, readonly string[]>();
  const chains = [...there.keys()].filter(isOwnChain);
  const wanted = wantedIn(plan);
  const rules: string[] = [];
  const ahead: string[] = [];
  for (const [chain, chainRules] of there) {
    if (isOwnChain(chain)) continue;
    const own = chainRules.map((rule) => isOwnRule(rule, wanted, chains.length > 0));
    rules.push(...chainRules.filter((_, index) => own[index]));
    ahead.push(...chainRules.filter((_, index) => !own[index] && index < own.lastIndexOf(true)));
  }
  return { chains, rules, ahead };
}

/** How one family differs from the rules; `program` is named in what is found. */
export function inspectFamily(program: string, state: SavedTables, rules: readonly Rule[], family: 4 | 6): Inspection {
  const findings: Finding[] = [];
  const ahead: string[] = [];
  const marks: number[] = [];
  let present = false;
  for (const table of tables) {
    const plan = planTable(rules, table, family);
    const own = leftoversOf(state, table, plan);
    present ||= own.chains.length > 0 || own.rules.length > 0;
    ahead.push(...own.ahead.map((rule) => `${program} ${table} ${rule}`));
    const names = new Set([...plan.map(({ chain }) => chain), ...own.chains, ...own.rules.map((rule) => rule.split(" ")[1] ?? "")]);
    for (const chain of names) {
      const where = `${program} -t ${table} ${chain}`;
      const wanted = plan.find((planned) => planned.chain === chain);
      const there = isOwnChain(chain) ? (state.get(table)?.get(chain) ?? []) : own.rules.filter((rule) => rule.startsWith(`-A ${chain} `));
      const wantedRules = [...(wanted?.head ?? []), ...(wanted?.tail ?? [])];
      findings.push(...compareRules(where, wantedRules.map(comparable), there.map(ruleText).map(comparable)));
      if (isOwnChain(chain) && wanted !== undefined && !own.chains.includes(chain)) findings.push({ kind: "missing", text: where });
      if (isOwnChain(chain) && wanted === undefined) findings.push({ kind: "foreign", text: where });
      if (chain === "ISTIO_DIVERT") marks.push(...there.flatMap(markOf));
    }
  }
  return { findings, ahead, present, marks };
}

function markOf(rule: string): readonly number[] {
  const mark = /--set-xmark (0x[0-9a-f]+)\//.exec(rule)?.[1];
  return mark === undefined ? [] : [Number(mark)];
}
