// What iptables-save prints: tables with chains and rules, and rules in a form in which equal ones compare equal however
// they were written (order of matches, hexadecimal marks, masks and modules that iptables adds).
import { canonicalRange } from "../range.ts";

/** The chains of each table with their rules as printed, `-A CHAIN ...`. */
export type SavedTables = ReadonlyMap<string, ReadonlyMap<string, readonly string[]>>;

/** Reads iptables-save's output; lines that it does not know are passed over. */
export function parseSaved(text: string): SavedTables {
  const tables = new Map<string, Map<string, string[]>>();
  let chains = new Map<string, string[]>();
  for (const line of text.split("\n")) {
    const [, kind, name = ""] = /^(\*|:|-A )(\S+)/.exec(line) ?? [];
    if (kind === "*") tables.set(name, (chains = new Map()));
    else if (kind === ":") chains.set(name, chains.get(name) ?? []);
    else if (kind === "-A ") chains.set(name, [...(chains.get(name) ?? []), line]);
  }
  return tables;
}

/** The words of a rule behind `-A CHAIN` as one comparable text. */
export function canonicalRule(rule: string): string {
  const words = rule.replaceAll('"', "").split(/\s+/);
  const options: string[] = [];
  let negated = false;
  for (let i = 0; i < words.length; i++) {
    const word = words[i] ?? "";
    if (word === "!") {
      negated = true;
      continue;
    }
    if (!word.startsWith("-")) continue;
    const value = /^(-|!$)/.test(words[i + 1] ?? "-") ? "" : (words[++i] ?? "");
    const option = canonicalOption(word, value);
    if (option !== undefined) options.push(negated ? `! ${option}` : option);
    negated = false;
  }
  return options.toSorted().join(" ");
}

const allBits = 0xffffffff;

function canonicalOption(option: string, value: string): string | undefined {
  switch (option) {
    // The options of a match say which module it is of.
    case "-m":
    case "--on-ip":
    case "--nfmask":
    case "--ctmask":
      return undefined;
    case "-s":
    case "-d":
      return `${option} ${canonicalRange(value)}`;
    case "--to-port":
      return `--to-ports ${value}`;
    case "--ctstate":
      return `${option} ${value.split(",").toSorted().join(",")}`;
    case "--mark":
    case "--tproxy-mark":
      return `${option} ${canonicalMark(value)}`;
    case "--set-mark":
    case "--set-xmark":
      return `--set-xmark ${canonicalMark(value)}`;
    default:
      return value === "" ? option : `${option} ${value}`;
  }
}

function canonicalMark(text: string): string {
  const [mark = "0", mask = String(allBits)] = text.split("/");
  return `${Number(mark)}/${Number(mask)}`;
}
