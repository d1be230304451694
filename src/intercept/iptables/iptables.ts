// The iptables back end: one transaction of iptables-restore for each table, from what iptables-save says is there.
import type { BackEnd, Inspection, Problem } from "../back-end.ts";
import type { RunProgram } from "../machine.ts";
import { tables } from "../rule.ts";
import { inspectFamily, leftoversOf } from "./inspect.ts";
import { planTable, renderTransaction } from "./render.ts";
import { parseSaved } from "./saved.ts";
import type { SavedTables } from "./saved.ts";

/** Which of the two implementations of iptables; `""` is the one that `iptables` stands for. */
export type Variant = "nft" | "legacy" | "";

const families = [
  { family: 4, program: "iptables" },
  { family: 6, program: "ip6tables" },
] as const;

/** Programs of a variant and family, e.g. `ip6tables-nft-save`. */
function programName(variant: Variant, family: 4 | 6, suffix: "" | "-save" | "-restore"): string {
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
