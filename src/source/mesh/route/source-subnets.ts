// Routes by the caller's subnet as filter chains. Envoy looks for the longest prefix of the destination first, then for that of the
// source, and never goes back; routes hold in their order. So each pair of prefixes gets the first route that holds there.
import { isIP } from "node:net";
import { cidrContains, parseCidr, type ParsedCidr } from "../../../match/cidr.ts";
import type { Json } from "../envoy-json.ts";

/** One match of a route. */
export interface SubnetMatch<T> {
  /** Empty: any. */
  readonly destinations: readonly string[];
  /** Empty: any. */
  readonly source: string;
  readonly value: T;
}

/** What holds for the connections of a pair of prefixes, unless longer ones do; an empty prefix is any. */
export interface SubnetCell<T> {
  readonly destination: string;
  readonly source: string;
  /** Undefined: no match. */
  readonly value: T | undefined;
  /** True for the one cell that everything is in. */
  readonly rest: boolean;
}

/**
 * The first matches, by the prefixes that are there; the rest comes last, unless sources leave nobody for it. A source that says
 * nothing new beside its wider ones is left out. Destinations of all IPv4 or IPv6 are any.
 * @param range where every connection goes to; empty: anywhere. Its cells have no destination
 */
export function firstMatches<T>(matches: readonly SubnetMatch<T>[], range = ""): readonly SubnetCell<T>[] {
  const read = matches.map(({ destinations, source, value }) => ({ to: destinations.map(prefixOf), from: prefixOf(source), value }));
  const everywhere: Prefix = { ...prefixOf(range), text: "" };
  const destinations = distinct(read.flatMap(({ to }) => to)).filter((prefix) => !isFamily(prefix) && !covers(prefix, everywhere));
  const sources = distinct(read.flatMap(({ from }) => (from === anywhere ? [] : [from])));
  return [...destinations, everywhere].flatMap((destination) => {
    const valueAt = (source: Prefix): T | undefined =>
      read.find(
        ({ to, from }) => (to.length === 0 || to.some((each) => isFamily(each) || covers(each, destination))) && covers(from, source),
      )?.value;
    const told = [...sources, anywhere].map((source) => ({ source, value: valueAt(source) }));
    // The longest come first, so that the next one around a prefix is the one that would hold without it.
    const needed = told.filter(
      ({ source, value }, index) =>
        source === anywhere || told.slice(index + 1).find((wider) => covers(wider.source, source))?.value !== value,
    );
    const families = needed.filter(({ source }) => isFamily(source)).map(({ source }) => source.text);
    return needed.flatMap(({ source, value }) => {
      const text = source === anywhere ? leftOver(families) : source.text;
      const rest = source === anywhere && destination === everywhere;
      return text === undefined ? [] : [{ destination: destination.text, source: text, value, rest }];
    });
  });
}

/** Who is left beside whole families: to Envoy all of a family and anybody are one prefix, and it wants each once. */
function leftOver(families: readonly string[]): string | undefined {
  if (families.length === 0) return "";
  if (families.length > 1) return undefined;
  return families[0]?.includes(":") === true ? "0.0.0.0/0" : "::/0";
}

/** CidrRange of an address or CIDR. */
export function prefixRange(cidr: string): { readonly address_prefix: string; readonly prefix_len: number } & Json {
  const [prefix = "", length] = cidr.split("/");
  return { address_prefix: prefix, prefix_len: length === undefined ? (isIP(prefix) === 6 ? 128 : 32) : Number(length) };
}

interface Prefix {
  /** As it was written first; empty: any. */
  readonly text: string;
  /** Undefined: any. */
  readonly cidr: ParsedCidr | undefined;
}

const anywhere: Prefix = { text: "", cidr: undefined };

function prefixOf(text: string): Prefix {
  if (text === "") return anywhere;
  const { address_prefix: addressPrefix, prefix_len: prefixLen } = prefixRange(text);
  return { text, cidr: parseCidr({ addressPrefix, prefixLen }) };
}

const isFamily = ({ cidr }: Prefix): boolean => cidr?.length === 0;

/** Prefixes that differ, the longest first. */
function distinct(prefixes: readonly Prefix[]): readonly Prefix[] {
  const found: Prefix[] = [];
  for (const prefix of prefixes) if (!found.some((known) => covers(known, prefix) && covers(prefix, known))) found.push(prefix);
  return found.toSorted((a, b) => (b.cidr?.length ?? 0) - (a.cidr?.length ?? 0));
}

function covers({ cidr: wide }: Prefix, { cidr: narrow }: Prefix): boolean {
  if (wide === undefined) return true;
  return narrow !== undefined && wide.length <= narrow.length && cidrContains(wide, narrow.words);
}
