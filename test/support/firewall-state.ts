// The packet rules of this network namespace as they are, to be put back after something that sets its own and leaves them, as a
// Docker engine does. Only what was added since goes, so that what others change meanwhile stays.
import { spawnSync } from "node:child_process";
import fs from "node:fs";

const families = ["iptables", "ip6tables"] as const;
const forwarding = ["/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv6/conf/all/forwarding"] as const;
const commandMs = 20_000;

/** What was seen, and the way back to it. */
export interface FirewallState {
  restore(): void;
}

/** Remembers the rules of both families and whether packets are forwarded. */
export function firewallState(): FirewallState {
  const rules = families.map((family) => ({ family, before: saved(family) }));
  const switches = forwarding.filter((file) => fs.existsSync(file)).map((file) => ({ file, before: fs.readFileSync(file, "utf8") }));
  return {
    restore: () => {
      for (const { family, before } of rules) {
        const input = restoringInput(before, saved(family));
        if (input !== "") spawnSync(`${family}-restore`, ["--noflush"], { input, timeout: commandMs });
      }
      for (const { file, before } of switches) if (fs.readFileSync(file, "utf8") !== before) fs.writeFileSync(file, before);
    },
  };
}

const saved = (family: string): string => spawnSync(`${family}-save`, { encoding: "utf8", timeout: commandMs }).stdout ?? "";

/** What `iptables-restore --noflush` has to be given to get from what `iptables-save` says now to what it said before. */
export function restoringInput(before: string, now: string): string {
  const tablesBefore = readTables(before);
  return [...readTables(now)].map(([name, table]) => restoringTable(name, table, tablesBefore.get(name) ?? emptyTable())).join("");
}

interface Table {
  /** Policies by chain; `-` for a chain that is not built in. */
  readonly chains: Map<string, string>;
  readonly rules: string[];
}

const emptyTable = (): Table => ({ chains: new Map<string, string>(), rules: [] });

function restoringTable(name: string, now: Table, before: Table): string {
  const own = [...now.chains].filter(([chain, policy]) => policy === "-" && !before.chains.has(chain)).map(([chain]) => chain);
  const lines = [
    // A table that was not there had its built-in chains open.
    ...[...now.chains]
      .map(([chain, policy]) => ({ chain, policy, was: before.chains.get(chain) ?? "ACCEPT" }))
      .filter(({ policy, was }) => policy !== "-" && policy !== was)
      .map(({ chain, was }) => `:${chain} ${was} [0:0]`),
    ...own.map((chain) => `-F ${chain}`),
    ...now.rules
      .filter((rule) => !before.rules.includes(rule) && !own.includes(rule.split(" ")[1] ?? ""))
      .map((rule) => `-D${rule.slice(2)}`),
    ...own.map((chain) => `-X ${chain}`),
  ];
  return lines.length === 0 ? "" : `*${name}\n${lines.join("\n")}\nCOMMIT\n`;
}

function readTables(text: string): ReadonlyMap<string, Table> {
  const tables = new Map<string, Table>();
  let table = emptyTable();
  for (const line of text.split("\n")) {
    const [first = "", second = ""] = line.split(" ");
    if (line.startsWith("*")) tables.set(line.slice(1), (table = emptyTable()));
    else if (line.startsWith(":")) table.chains.set(first.slice(1), second);
    else if (line.startsWith("-A ")) table.rules.push(line);
  }
  return tables;
}
