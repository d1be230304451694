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
  const candidates: Candidate[] = [];
  const problems: string[] = [];
  const look = (backEnd: BackEnd): boolean => {
    const holds = backEnd.inspect([], false);
    if ("problem" in holds) problems.push(holds.problem);
    else candidates.push({ backEnd, holds });
    return !("problem" in holds);
  };
  // Istio's order, with nftables last as there it is never taken unasked.
  const nft = look(createIptables("nft", run));
  if (legacyCounts(choice, nft, run) && look(createIptables("legacy", run)) && legacyInUse(run)) candidates.reverse();
  if (candidates.length === 0) look(createIptables("", run));
  look(createNftables(run));
  const fitting = candidates.filter(({ backEnd }) => fits(backEnd.name, choice));
  const chosen = fitting.find(({ holds }) => holds.present) ?? fitting[0];
  if (chosen !== undefined) return { chosen, others: candidates.filter((candidate) => candidate !== chosen) };
  return {
    problem: `${choice === "auto" ? "neither iptables nor nft works here" : `${choice} does not work here`}: ${problems.join("; ")}`,
  };
}

// Asking iptables-legacy can create its tables, so it is asked only when it has some, is wanted, or nothing else will do.
function legacyCounts(choice: BackEndChoice, nft: boolean, run: RunProgram): boolean {
  return choice === "iptables-legacy" || !nft || run(["cat", "/proc/net/ip_tables_names"]).stdout.trim() !== "";
}

function legacyInUse(run: RunProgram): boolean {
  return /^-A /m.test(run(["iptables-legacy-save"]).stdout);
}

function fits(name: string, choice: BackEndChoice): boolean {
  return choice === "auto" || name === choice || (choice === "iptables" && name.startsWith("iptables"));
}
