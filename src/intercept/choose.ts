// Which back end to use: the one that is asked for, else the one that holds interception already, else what works here.
import type { BackEnd, Inspection, Problem } from "./back-end.ts";
import { createIptables } from "./iptables/iptables.ts";
import type { RunProgram } from "./machine.ts";
import { createNftables } from "./nftables/nftables.ts";

/** What the command line may force. */
export type BackEndChoice = "auto" | "iptables" | "iptables-nft" | "iptables-legacy" | "nftables";

/** A back end that works here, with what it holds of ours. */
export interface Candidate {
  readonly backEnd: BackEnd;
  readonly holds: Inspection;
}

/** The chosen one, and all others that work. */
export interface Chosen {
  readonly chosen: Candidate;
  readonly others: readonly Candidate[];
}

/** Looks at what is there; a problem when nothing works, or not what was forced. */
export function chooseBackEnd(choice: BackEndChoice, run: RunProgram): Chosen | Problem {
  // Names of legacy tables that exist: where there are none, asking iptables-legacy could create them.
  const legacyTables = run(["cat", "/proc/net/ip_tables_names"]).stdout.trim() !== "";
  const legacyInUse = legacyTables && /^-A /m.test(run(["iptables-legacy-save"]).stdout);
  const installed = (program: string): boolean => !run([program, "--version"]).absent;
  const named = (["nft", "legacy"] as const).filter((variant) => installed(`iptables-${variant}`));
  const variants = named.length > 0 ? named : installed("iptables") ? ([""] as const) : [];
  // Istio's order, with nftables last as there it is never taken unasked.
  const backEnds = [
    ...variants.toSorted((a) => (a === "legacy" && legacyInUse ? -1 : 0)).map((variant) => createIptables(variant, run)),
    ...(installed("nft") ? [createNftables(run)] : []),
  ];
  const candidates: Candidate[] = [];
  const problems: string[] = [];
  for (const backEnd of backEnds) {
    const holds = backEnd.inspect([], false);
    if ("problem" in holds) problems.push(holds.problem);
    else candidates.push({ backEnd, holds });
  }
  const fitting = candidates.filter(({ backEnd }) => fits(backEnd.name, choice));
  const chosen = fitting.find(({ holds }) => holds.present) ?? fitting[0];
  if (chosen !== undefined) return { chosen, others: candidates.filter((candidate) => candidate !== chosen) };
  const wanted = choice === "auto" ? "neither iptables nor nft works here" : `${choice} does not work here`;
  return { problem: `${wanted}: ${problems.join("; ") || "the programs are not installed"}` };
}

function fits(name: string, choice: BackEndChoice): boolean {
  return choice === "auto" || name === choice || (choice === "iptables" && name.startsWith("iptables"));
}
