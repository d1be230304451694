// Rules as iptables says them, in the order of words that iptables-save uses.
import { isOwnChain, tables } from "../rule.ts";
import type { Match, Owner, Rule, Table, Target } from "../rule.ts";

/** The words of a rule behind `-A CHAIN`. */
function renderRule({ match, target }: Rule): string {
  return [...matchWords(match), ...targetWords(target)].join(" ");
}

function matchWords(match: Match): readonly string[] {
  const words: string[] = [];
  const { source, destination, inInterface, outInterface, protocol, connectionState, mark, connectionMark } = match;
  if (source !== undefined) words.push("-s", source);
  if (destination !== undefined) words.push(...not(destination), "-d", destination.is);
  if (inInterface !== undefined) words.push("-i", inInterface);
  if (outInterface !== undefined) words.push("-o", outInterface);
  if (protocol !== undefined) words.push("-p", protocol);
  words.push(...portWords(match));
  if (connectionState !== undefined) words.push("-m conntrack --ctstate", connectionState.join(","));
  if (mark !== undefined) words.push("-m mark", ...not(mark), "--mark", String(mark.is));
  if (connectionMark !== undefined) words.push("-m connmark --mark", String(connectionMark));
  return [...words, ...(match.owners ?? []).flatMap(ownerWords)];
}

function portWords({ sourcePort, destinationPorts: ports }: Match): readonly string[] {
  if (sourcePort !== undefined) return ["--sport", String(sourcePort)];
  if (ports === undefined) return [];
  return ports.is.length === 1
    ? [...not(ports), "--dport", String(ports.is[0])]
    : ["-m multiport", ...not(ports), "--dports", ports.is.join(",")];
}

function ownerWords(owner: Owner): readonly string[] {
  return ["-m owner", ...not(owner), `--${owner.kind}-owner`, String(owner.id)];
}

function not(wanted: { readonly not?: boolean }): readonly string[] {
  return wanted.not === true ? ["!"] : [];
}

const verdicts = {
  return: "RETURN",
  accept: "ACCEPT",
  drop: "DROP",
  "save-mark": "CONNMARK --save-mark",
  "restore-mark": "CONNMARK --restore-mark",
};

function targetWords(target: Target): readonly string[] {
  switch (target.kind) {
    case "jump":
      return ["-j", target.chain];
    case "redirect":
      return ["-j REDIRECT --to-ports", String(target.port)];
    case "tproxy":
      return ["-j TPROXY --on-port", String(target.port), "--tproxy-mark", `${target.mark}/0xffffffff`];
    case "set-mark":
      return ["-j MARK --set-mark", String(target.mark)];
    case "zone":
      return ["-j CT --zone", String(target.zone)];
    default:
      return ["-j", verdicts[target.kind]];
  }
}

/** One table's rules of one family, by chain, in order. `head` is what goes ahead of a built-in chain's other rules. */
export interface ChainPlan {
  readonly chain: string;
  readonly head: readonly string[];
  readonly tail: readonly string[];
}

/** The chains of a table in one family, own ones also when they are only jumped to. */
export function planTable(rules: readonly Rule[], table: Table, family: 4 | 6): readonly ChainPlan[] {
  const here = rules.filter((rule) => rule.table === table && (rule.family ?? family) === family);
  const names = new Set([
    ...here.map(({ chain }) => chain as string),
    ...here.flatMap(({ target }) => (target.kind === "jump" ? [target.chain] : [])),
  ]);
  return [...names].map((chain) => {
    const own = here.filter((rule) => rule.chain === chain);
    return {
      chain,
      head: own.filter(({ head }) => head === true).map(renderRule),
      tail: own.filter(({ head }) => head !== true).map(renderRule),
    };
  });
}

/** What a table holds of ours now, that a transaction must take away. */
export interface Leftovers {
  /** Own chains. */
  readonly chains: readonly string[];
  /** Rules of built-in chains, as iptables-save wrote them: `-A CHAIN ...`. */
  readonly rules: readonly string[];
}

/** One table's transaction for iptables-restore --noflush; empty when there is nothing to do. */
export function renderTransaction(table: Table, plan: readonly ChainPlan[], leftovers: Leftovers): string {
  if (plan.length === 0 && leftovers.chains.length === 0 && leftovers.rules.length === 0) return "";
  const wanted = plan.filter(({ chain }) => isOwnChain(chain)).map(({ chain }) => chain);
  const obsolete = leftovers.chains.filter((chain) => !wanted.includes(chain));
  const lines = [
    `*${table}`,
    // Naming a chain creates it, or empties it where it exists.
    ...[...wanted, ...obsolete].map((chain) => `:${chain} - [0:0]`),
    ...leftovers.rules.map((rule) => rule.replace(/^-A /, "-D ")),
    ...plan.flatMap(({ chain, head, tail }) => [
      ...head.map((rule, index) => `-I ${chain} ${index + 1} ${rule}`),
      ...tail.map((rule) => `-A ${chain} ${rule}`.trimEnd()),
    ]),
    ...obsolete.map((chain) => `-X ${chain}`),
    "COMMIT",
  ];
  return `${lines.join("\n")}\n`;
}

/** Everything of one family as a document for `iptables-restore --noflush` where nothing of it is there yet. */
export function renderDocument(rules: readonly Rule[], family: 4 | 6): string {
  return tables.map((table) => renderTransaction(table, planTable(rules, table, family), { chains: [], rules: [] })).join("");
}
