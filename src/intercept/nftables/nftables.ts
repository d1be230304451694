// The native nftables back end: three tables of Istio's, replaced in one transaction of nft.
import { compareRules } from "../back-end.ts";
import type { BackEnd, Comparable, Finding, Inspection, Problem } from "../back-end.ts";
import type { RunProgram } from "../machine.ts";
import { tables } from "../rule.ts";
import type { Rule } from "../rule.ts";
import { canonicalStatement, type ListedTables, parseListing } from "./listing.ts";
import { chainName, hookOf, planChains, renderTransaction, tableName } from "./render.ts";

/** The back end by the program nft. */
export function createNftables(run: RunProgram): BackEnd {
  const listed = (): ListedTables | Problem => {
    const ran = run(["nft", "list", "ruleset", "inet"]);
    return ran.ok ? parseListing(ran.stdout) : { problem: `nft: ${ran.absent ? "there is no such program" : ran.problem}` };
  };
  return {
    name: "nftables",
    inspect: (rules) => {
      const state = listed();
      return "problem" in state ? state : inspectTables(state, rules);
    },
    set: (rules) => {
      const ran = run(["nft", "-f", "-"], renderTransaction(rules));
      return ran.ok ? undefined : { problem: `nft: ${ran.absent ? "there is no such program" : ran.problem}` };
    },
  };
}

function inspectTables(state: ListedTables, rules: readonly Rule[]): Inspection {
  const findings: Finding[] = [];
  const marks: number[] = [];
  const plan = planChains(rules);
  for (const table of tables) {
    const name = tableName(table);
    const there = state.get(name) ?? new Map<string, readonly string[]>();
    const wanted = plan.filter((chain) => chain.table === table);
    if (state.has(name) && wanted.length === 0) findings.push({ kind: "foreign", text: `table inet ${name}` });
    for (const chain of wanted) {
      const own = chainName(chain.chain);
      const where = `inet ${name} ${own}`;
      if (!there.has(own)) findings.push({ kind: "missing", text: where });
      const hook = hookOf(table, chain.chain);
      const statements = [...(hook === undefined ? [] : [hook]), ...chain.rules];
      findings.push(...compareRules(where, statements.map(comparable), (there.get(own) ?? []).map(comparable)));
    }
    for (const [chain, statements] of there) {
      if (chain === chainName("ISTIO_DIVERT")) marks.push(...statements.flatMap(markOf));
      if (!wanted.some((planned) => chainName(planned.chain) === chain)) findings.push({ kind: "foreign", text: `inet ${name} ${chain}` });
    }
  }
  // Tables of nftables see each packet on their own, so no rule of another table can come before ours in a chain.
  return { findings, ahead: [], present: tables.some((table) => state.has(tableName(table))), marks };
}

function markOf(statement: string): readonly number[] {
  const mark = /\bmeta mark set (0x[0-9a-f]+)$/.exec(statement)?.[1];
  return mark === undefined ? [] : [Number(mark)];
}

function comparable(statement: string): Comparable {
  return { text: statement.replace(/ packets \d+ bytes \d+/, ""), key: canonicalStatement(statement) };
}
