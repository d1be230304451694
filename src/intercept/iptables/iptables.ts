// The iptables back end: one transaction of iptables-restore for each table, from what iptables-save says is there.
import { compareRules } from "../back-end.ts";
import type { BackEnd, Finding, Inspection, Problem } from "../back-end.ts";
import type { RunProgram } from "../machine.ts";
import { isOwnChain, tables } from "../rule.ts";
import type { Rule, Table } from "../rule.ts";
import { type ChainPlan, type Leftovers, planTable, renderTransaction } from "./render.ts";
import { canonicalRule, parseSaved } from "./saved.ts";
import type { SavedTables } from "./saved.ts";

/** Which of the two implementations of iptables; `""` is the one that `iptables` stands for. */
export type Variant = "nft" | "legacy" | "";

const families = [
  { family: 4, program: "iptables" },
  { family: 6, program: "ip6tables" },
] as const;

/** Programs of a variant and family, e.g. `ip6tables-nft-save`. */
export function programName(variant: Variant, family: 4 | 6, suffix: "" | "-save" | "-restore"): string {
  return `${family === 4 ? "iptables" : "ip6tables"}${variant === "" ? "" : `-${variant}`}${suffix}`;
}

/** The back end by programs of one variant. */
export function createIptables(variant: Variant, run: RunProgram): BackEnd {
  const saved = (family: 4 | 6): SavedTables | Problem => {
    const program = programName(variant, family, "-save");
    const ran = run([program]);
    return ran.ok ? parseSaved(ran.stdout) : { problem: `${program}: ${ran.absent ? "there is no such program" : ran.problem}` };
  };
  return {
    name: programName(variant, 4, ""),
    inspect: (rules, ipv6) => {
      const seen: Inspection[] = [];
      for (const { family, program } of families) {
        const state = saved(family);
        const wanted = family === 4 || ipv6 ? rules : [];
        // Without IPv6 its programs need not be there, or may have no kernel to speak to.
        if ("problem" in state) {
          if (wanted.length === 0 && family === 6) continue;
          return state;
        }
        seen.push(inspectFamily(program, state, wanted, family));
      }
      return {
        findings: seen.flatMap(({ findings }) => findings),
        ahead: seen.flatMap(({ ahead }) => ahead),
        present: seen.some(({ present }) => present),
        marks: [...new Set(seen.flatMap(({ marks }) => marks))],
      };
    },
    set: (rules, ipv6) => {
      for (const { family } of families) {
        const wanted = family === 4 || ipv6 ? rules : [];
        const state = saved(family);
        if ("problem" in state) {
          if (wanted.length === 0 && family === 6) continue;
          return state;
        }
        // Away goes first what redirects; in place comes first what redirections rely on.
        const order = wanted.length === 0 ? tables.toReversed() : tables;
        const transactions = order.map((table) => {
          const plan = planTable(wanted, table, family);
          return renderTransaction(table, plan, leftoversOf(state, table, plan));
        });
        const input = transactions.join("");
        if (input === "") continue;
        const program = programName(variant, family, "-restore");
        const ran = run([program, "--noflush", "--wait", "10"], input);
        if (!ran.ok) return { problem: `${program}: ${ran.absent ? "there is no such program" : ran.problem}` };
      }
      return undefined;
    },
  };
}

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

// Chain and rule in comparable form.
function bare(rule: string): string {
  const [, chain = "", rest = ""] = /^-A (\S+) ?(.*)$/.exec(rule) ?? [];
  return `${chain} ${canonicalRule(rest)}`;
}

function wantedIn(plan: readonly ChainPlan[]): ReadonlySet<string> {
  return new Set(plan.flatMap(({ chain, head, tail }) => [...head, ...tail].map((rule) => `${chain} ${canonicalRule(rule)}`)));
}

interface OwnState extends Leftovers {
  /** Rules of built-in chains that are not ours, but come before the last of ours. */
  readonly ahead: readonly string[];
}

function leftoversOf(state: SavedTables, table: Table, plan: readonly ChainPlan[]): OwnState {
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

function inspectFamily(program: string, state: SavedTables, rules: readonly Rule[], family: 4 | 6): Inspection {
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
      const wantedRules = [...(wanted?.head ?? []), ...(wanted?.tail ?? [])].map(canonicalRule);
      findings.push(
        ...compareRules(
          where,
          wantedRules,
          there.map((rule) => bare(rule).slice(chain.length + 1)),
        ),
      );
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
