// Rules as nft says them, in Istio's tables of family inet, the way `nft list` prints them.
import { tables } from "../rule.ts";
import type { Chain, Match, Owner, Rule, Table, Target } from "../rule.ts";

/** Istio's table of that kind. */
export function tableName(table: Table): string {
  return `istio-proxy-${table}`;
}

/** Istio's chain of that kind: `ISTIO_IN_REDIRECT` is `istio-in-redirect`. */
export function chainName(chain: Chain): string {
  return chain.toLowerCase().replaceAll("_", "-");
}

// Numbers, since names of priorities depend on the hook and on nft's version.
const priorities = { raw: -300, mangle: -150, nat: -100 } as const;

/** The statement that hangs a base chain into the kernel; undefined for the others. */
export function hookOf(table: Table, chain: Chain): string | undefined {
  if (chain !== "PREROUTING" && chain !== "OUTPUT") return undefined;
  // Output of mangle is of type route: a mark that is set there changes the way of the packet.
  const type = table === "nat" ? "nat" : table === "mangle" && chain === "OUTPUT" ? "route" : "filter";
  return `type ${type} hook ${chain.toLowerCase()} priority ${priorities[table]}`;
}

/** One rule's statements. */
function renderRule({ match, target, family }: Rule): string {
  // A mark or a zone is set as a side effect of being counted; a verdict comes last.
  const { before, after } = targetWords(target, family ?? 4);
  return [...matchWords(match, family ?? 4), ...before, "counter", ...after].join(" ");
}

function matchWords(match: Match, family: 4 | 6): readonly string[] {
  const ip = family === 4 ? "ip" : "ip6";
  const { inInterface, outInterface, source, destination, connectionState, mark, connectionMark } = match;
  const words: string[] = [];
  if (inInterface !== undefined) words.push("iifname", quoted(inInterface));
  if (outInterface !== undefined) words.push("oifname", quoted(outInterface));
  words.push(...protocolWords(match));
  if (source !== undefined) words.push(ip, "saddr", source);
  if (destination !== undefined) words.push(ip, "daddr", ...not(destination), destination.is);
  words.push(...portWords(match));
  if (connectionState !== undefined) words.push("ct state", connectionState.join(",").toLowerCase());
  if (mark !== undefined) words.push("meta mark", ...not(mark), String(mark.is));
  if (connectionMark !== undefined) words.push("ct mark", String(connectionMark));
  return [...words, ...(match.owners ?? []).flatMap(ownerWords)];
}

// A port implies its protocol. Istio drops invalid packets of TCP alone here, while its iptables rules drop them of any protocol.
function protocolWords({ protocol, sourcePort, destinationPorts, connectionState }: Match): readonly string[] {
  if (sourcePort !== undefined || destinationPorts !== undefined) return [];
  const implied = protocol ?? (connectionState === undefined ? undefined : "tcp");
  return implied === undefined ? [] : ["meta l4proto", implied];
}

function portWords({ protocol = "tcp", sourcePort, destinationPorts: ports }: Match): readonly string[] {
  if (sourcePort !== undefined) return [protocol, "sport", String(sourcePort)];
  if (ports === undefined) return [];
  return [protocol, "dport", ...not(ports), ports.is.length === 1 ? String(ports.is[0]) : `{ ${ports.is.join(", ")} }`];
}

function ownerWords(owner: Owner): readonly string[] {
  return [`meta sk${owner.kind}`, ...not(owner), typeof owner.id === "number" ? String(owner.id) : quoted(owner.id)];
}

function not(wanted: { readonly not?: boolean }): readonly string[] {
  return wanted.not === true ? ["!="] : [];
}

// iptables says eth+ for all interfaces that begin so, nft eth*.
function quoted(name: string): string {
  return `"${name.replace(/\+$/, "*")}"`;
}

interface TargetWords {
  readonly before: readonly string[];
  readonly after: readonly string[];
}

function targetWords(target: Target, family: 4 | 6): TargetWords {
  switch (target.kind) {
    case "jump":
      return { before: [], after: ["jump", chainName(target.chain)] };
    case "redirect":
      return { before: [], after: [`redirect to :${target.port}`] };
    case "tproxy":
      // nft's statement lets evaluation go on, unlike iptables' target.
      return { before: [`tproxy ${family === 4 ? "ip" : "ip6"} to :${target.port} meta mark set ${target.mark}`], after: ["accept"] };
    case "set-mark":
      return { before: [], after: [`meta mark set ${target.mark}`] };
    case "save-mark":
      return { before: [], after: ["ct mark set meta mark"] };
    case "restore-mark":
      return { before: [], after: ["meta mark set ct mark"] };
    case "zone":
      return { before: [], after: [`ct zone set ${target.zone}`] };
    default:
      return { before: [], after: [target.kind] };
  }
}

/** A chain with its rules. */
export interface NftChain {
  readonly table: Table;
  readonly chain: Chain;
  readonly rules: readonly string[];
}

/** Every chain that rules are in or jump to. Rules of IPv6 are among them where the settings cover IPv6. */
export function planChains(rules: readonly Rule[]): readonly NftChain[] {
  return tables.flatMap((table) => {
    const here = rules.filter((rule) => rule.table === table);
    const names = new Set<Chain>([
      ...here.map(({ chain }) => chain),
      ...here.flatMap(({ target }) => (target.kind === "jump" ? [target.chain] : [])),
    ]);
    return [...names].map((chain) => ({
      table,
      chain,
      rules: here.filter((rule) => rule.chain === chain).map(renderRule),
    }));
  });
}

/** One transaction for `nft -f`: whatever of ours is there goes, and the rules come, at once. */
export function renderTransaction(rules: readonly Rule[]): string {
  const chains = planChains(rules);
  const lines: string[] = [];
  for (const table of tables) {
    const name = tableName(table);
    const here = chains.filter((chain) => chain.table === table);
    // Deleting what is not there is an error, so it is made sure of first.
    lines.push(`add table inet ${name}`, `delete table inet ${name}`);
    if (here.length === 0) continue;
    lines.push(`add table inet ${name}`);
    for (const { chain } of here) {
      const hook = hookOf(table, chain);
      lines.push(`add chain inet ${name} ${chainName(chain)}${hook === undefined ? "" : ` { ${hook}; }`}`);
    }
    for (const { chain, rules: own } of here) lines.push(...own.map((rule) => `add rule inet ${name} ${chainName(chain)} ${rule}`));
  }
  return `${lines.join("\n")}\n`;
}
