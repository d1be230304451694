// What iptables and nftables have in common for interception: set the rules, or say how what is there differs.
import type { Rule } from "./rule.ts";

/** One thing that is not as it should be. */
export interface Finding {
  /** `missing`: one of the rules is not there. `foreign`: what is in Istio's chains or jumps there and is not one of the rules. */
  readonly kind: "missing" | "foreign" | "order";
  /** Where and what, on one line. */
  readonly text: string;
}

/** The state of a network namespace. */
export interface Inspection {
  readonly findings: readonly Finding[];
  /** Rules of others that see packets before ours do, and may take them. Not wrong by themselves. */
  readonly ahead: readonly string[];
  /** True when anything of ours is there. */
  readonly present: boolean;
  /** Packet marks of TPROXY that rules there set. */
  readonly marks: readonly number[];
}

/** Something that could not be done, as a sentence. */
export interface Problem {
  readonly problem: string;
}

/** A way to have rules in the kernel. */
export interface BackEnd {
  readonly name: string;
  /** How the rules differ from what is there; no rules means that nothing of ours should be. */
  readonly inspect: (rules: readonly Rule[], ipv6: boolean) => Inspection | Problem;
  /** Makes what is there agree with the rules. No rules: takes everything of ours away. */
  readonly set: (rules: readonly Rule[], ipv6: boolean) => Problem | undefined;
}

/** A rule to compare. */
export interface Comparable {
  /** As it is shown. */
  readonly text: string;
  /** Equal for equal rules, however they were written. */
  readonly key: string;
}

/** How rules differ from those wanted: what lacks, what is too much, and whether only the order is wrong. */
export function compareRules(where: string, wanted: readonly Comparable[], there: readonly Comparable[]): readonly Finding[] {
  const missing = without(wanted, there).map(({ text }): Finding => ({ kind: "missing", text: `${where}: ${text}` }));
  const foreign = without(there, wanted).map(({ text }): Finding => ({ kind: "foreign", text: `${where}: ${text}` }));
  if (missing.length + foreign.length > 0 || wanted.every(({ key }, index) => key === there[index]?.key)) return [...missing, ...foreign];
  return [{ kind: "order", text: `${where}: the rules are there in another order` }];
}

function without(list: readonly Comparable[], other: readonly Comparable[]): readonly Comparable[] {
  const left = new Map<string, number>();
  for (const { key } of other) left.set(key, (left.get(key) ?? 0) + 1);
  return list.filter(({ key }) => {
    const count = left.get(key) ?? 0;
    left.set(key, count - 1);
    return count <= 0;
  });
}
