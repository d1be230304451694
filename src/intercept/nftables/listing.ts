// What `nft list ruleset` prints of family inet, and rules in a form in which equal ones compare equal however they were written.
import { canonicalRange } from "../range.ts";

/** The chains of each table with their statements as printed, the hook among them. */
export type ListedTables = ReadonlyMap<string, ReadonlyMap<string, readonly string[]>>;

/** Reads nft's listing; tables of other families are passed over. */
export function parseListing(text: string): ListedTables {
  const tables = new Map<string, Map<string, string[]>>();
  let table: Map<string, string[]> | undefined;
  let chain: string[] | undefined;
  for (const line of text.split("\n")) {
    const [, family, tableName] = /^table (\S+) (\S+) \{/.exec(line) ?? [];
    const [, chainName] = /^\tchain (\S+) \{/.exec(line) ?? [];
    if (tableName !== undefined) {
      table = family === "inet" ? new Map() : undefined;
      if (table !== undefined) tables.set(tableName, table);
    } else if (chainName !== undefined) table?.set(chainName, (chain = []));
    else if (line.startsWith("\t\t")) chain?.push(line.trim());
    else chain = undefined;
  }
  return tables;
}

const priorityNames: Readonly<Record<string, string>> = { raw: "-300", mangle: "-150", dstnat: "-100" };

/** A rule, or the statement with the hook, as one comparable text. */
export function canonicalStatement(statement: string): string {
  const plain = statement
    .replaceAll('"', "")
    .replace(/counter packets \d+ bytes \d+/, "counter")
    .replace(/; policy accept;?$|;$/, "")
    .replace(/priority (\w+)$/, (_, name: string) => `priority ${priorityNames[name] ?? name}`)
    .replace(/\{ ([^}]*) \}/, (_, set: string) => `{${set.split(/,\s*/).toSorted().join(",")}}`)
    .replace(/(?<=ct state )\S+/, (states) => states.split(",").toSorted().join(","))
    .replace(/\b0x[0-9a-f]+\b/g, (mark) => String(Number(mark)))
    .replace(/\bmeta (?=mark|sk[ug]id)/g, "")
    .replace(/(?<=[sd]addr (?:!= )?)[0-9a-f.:/]+/, canonicalRange);
  // nft leaves out a protocol that a port implies.
  return /\b(tcp|udp) [sd]port\b/.test(plain) ? plain.replace(/\bmeta l4proto (tcp|udp) /, "") : plain;
}
